"""How well retrieval finds what it should: golden queries, and the measures of their rankings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from perdure.base import SHOWN_PROBLEMS, Request, Result
from perdure.errors import InvalidMessage, InvalidRequest, PayloadTooLarge
from perdure.message import DEFAULT_CONTENT_BYTES, check_text
from perdure.problems import problem_of
from perdure.working_set import WorkingSet

DEFAULT_K = 10
_SHAPE = 'It holds a JSON array such as [{"query": "how to stop?", "expected_paths": ["docs/workers.md"], "k": 10}].'


def _storable(value: object) -> object:
    if isinstance(value, str):
        try:
            check_text(value, "the text", DEFAULT_CONTENT_BYTES)
        except (InvalidMessage, PayloadTooLarge) as error:
            raise ValueError(error.message) from None
    return value


# Before pydantic looks at it, to which a lone surrogate is no string at all.
Text = Annotated[str, BeforeValidator(_storable), Field(min_length=1)]


class GoldenQuery(Request):
    """A query, the paths that a good ranking holds, and how many of the first paths are looked at.

    Where no path is expected, none is missed: recall and nDCG are 1, precision and reciprocal rank 0.
    """

    query: Text
    expected_paths: list[Text]
    k: int = Field(default=DEFAULT_K, ge=1)


class QueryScore(Result):
    """One query's measures. `found_paths` is its ranking, whole; `latency_ms` is the time of its compilation."""

    query: str
    k: int
    expected_paths: list[str]
    found_paths: list[str]
    recall: float
    precision: float
    reciprocal_rank: float
    ndcg: float
    latency_ms: float
    degraded_reason: str | None = None


class Evaluation(Result):
    """Means over all queries, and percentiles of their latency. The index had no part in `degraded` of them."""

    corpus: str
    queries: int
    recall: float
    precision: float
    mrr: float
    ndcg: float
    p50_latency_ms: float
    p99_latency_ms: float
    degraded: int
    results: list[QueryScore]


_golden: TypeAdapter[list[GoldenQuery]] = TypeAdapter(list[GoldenQuery])


def read_golden(file: Path) -> list[GoldenQuery]:
    """The golden queries of a JSON file, in its order.

    Raises:
        InvalidRequest: it cannot be read, is no JSON, holds no query, or a query has the wrong shape or text that no
            store can keep; `details["errors"]` says which, counted from 1.
    """
    try:
        queries = _golden.validate_python(json.loads(file.read_bytes()))
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}. {_SHAPE}") from None
    except ValidationError as error:
        raise _no_golden(file, [_problem(details) for details in error.errors(include_url=False)]) from None
    except (ValueError, RecursionError) as error:
        raise _no_golden(file, [f"the file: Invalid JSON: {error}"]) from None
    if not queries:
        raise InvalidRequest(f"{file} holds no query; there is nothing to measure. {_SHAPE}")
    return queries


def ranking(working_set: WorkingSet) -> list[str]:
    """The paths of a working set by relevance. Each stands once, where its best span stands; those after it move up."""
    return list(dict.fromkeys(c.path for c in sorted(working_set.citations, key=lambda citation: citation.rank)))


def recall_at(expected: Sequence[str], found: Sequence[str], k: int) -> float:
    """|expected ∩ first k of found| / |expected|; 1 when nothing is expected."""
    return _hits(expected, found, k) / len(set(expected)) if expected else 1.0


def precision_at(expected: Sequence[str], found: Sequence[str], k: int) -> float:
    """|expected ∩ first k of found| / |first k of found|; 0 when nothing was found. A path counts once."""
    top = _top(found, k)
    return _hits(expected, found, k) / len(top) if top else 0.0


def reciprocal_rank(expected: Sequence[str], found: Sequence[str]) -> float:
    """1 / the place of the first expected path, wherever it stands; 0 when there is none."""
    wanted = set(expected)
    return next((1 / place for place, path in enumerate(_top(found), 1) if path in wanted), 0.0)


def ndcg_at(expected: Sequence[str], found: Sequence[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first k; a path's gain is 1 if it is expected, else 0.

    The sum of gain / log2(1 + place), over that of the best ranking there could be. Järvelin and Kekäläinen,
    "Cumulated Gain-Based Evaluation of IR Techniques", TOIS 20(4), 2002; this discount as in Manning, Raghavan and
    Schütze, "Introduction to Information Retrieval", 2008, section 8.4. 1 when nothing is expected, as recall.
    """
    wanted = set(expected)
    if not wanted:
        return 1.0
    gained = sum(_discount(place) for place, path in enumerate(_top(found, k), 1) if path in wanted)
    return gained / sum(_discount(place) for place in range(1, min(k, len(wanted)) + 1))


def percentile(values: Sequence[float], share: float) -> float:
    """The value at `share` of the way through the sorted values: that of index ⌊share · n⌋, at most the last.

    Raises:
        InvalidRequest: there is no value.
    """
    if not values:
        raise InvalidRequest("There is no query; there is nothing to measure.")
    return sorted(values)[min(math.floor(share * len(values)), len(values) - 1)]


def score(golden: GoldenQuery, working_set: WorkingSet) -> QueryScore:
    """The measures of one query by what was compiled for it."""
    found, expected, k = ranking(working_set), golden.expected_paths, golden.k
    return QueryScore(
        query=golden.query,
        k=k,
        expected_paths=expected,
        found_paths=found,
        recall=recall_at(expected, found, k),
        precision=precision_at(expected, found, k),
        reciprocal_rank=reciprocal_rank(expected, found),
        ndcg=ndcg_at(expected, found, k),
        latency_ms=working_set.compilation_time_ms,
        degraded_reason=working_set.degraded_reason,
    )


def summarize(corpus: str, results: Sequence[QueryScore]) -> Evaluation:
    """The evaluation that the results make.

    Raises:
        InvalidRequest: there is no result.
    """
    latencies = [result.latency_ms for result in results]
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    number = len(results)
    return Evaluation(
        corpus=corpus,
        queries=number,
        recall=math.fsum(result.recall for result in results) / number,
        precision=math.fsum(result.precision for result in results) / number,
        mrr=math.fsum(result.reciprocal_rank for result in results) / number,
        ndcg=math.fsum(result.ndcg for result in results) / number,
        p50_latency_ms=p50,
        p99_latency_ms=p99,
        degraded=sum(result.degraded_reason is not None for result in results),
        results=list(results),
    )


def _top(found: Sequence[str], k: int | None = None) -> list[str]:
    return list(dict.fromkeys(found))[:k]


def _hits(expected: Sequence[str], found: Sequence[str], k: int) -> int:
    return len(set(expected).intersection(_top(found, k)))


def _discount(place: int) -> float:
    return 1 / math.log2(1 + place)


def _no_golden(file: Path, problems: list[str]) -> InvalidRequest:
    shown = problems[:SHOWN_PROBLEMS]
    return InvalidRequest(f"{file} is no list of golden queries. {'; '.join(shown)}. {_SHAPE}", errors=shown)


def _problem(details: ErrorDetails) -> str:
    """What is wrong, and where, as a person counts: queries from 1."""
    number, *field = details["loc"] or ("",)
    where = f"query {int(number) + 1}" if number != "" else "the file"
    where += f", {'.'.join(map(str, field))}" if field else ""
    return f"{where}: {problem_of(GoldenQuery, {**details, 'loc': tuple(field)})}"
