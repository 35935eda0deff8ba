"""What encloses a span is renamed, and the span's own lines stay: the corpus is as one that was made anew."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from activities.spans import Span
from perdure.working_set import CompilerConfig, WorkingSet
from tests.retrieval.conftest import PATIENT, Corpora, write
from workers.ingest_folder import reindex

QUERIES = ["giraffe part 7", "zebra", "part 3"]


def code(name: str) -> str:
    """A function, and a class of that name whose methods are spans of their own."""
    methods = [
        f"    def part_{n}(self, value):\n"
        + "".join(f"        total_{n}_{line} = value * {line}\n" for line in range(16))
        for n in range(8)
    ]
    body = "".join(f"    count += {line} * count_{line}\n" for line in range(16))
    return f"def before(count):\n{body}\n\nclass {name}:\n" + "\n".join(methods)


def prose(name: str) -> str:
    """A section that stays as it is, and one of that name whose parts are spans of their own."""
    parts = [f"### Part {n}\n\n" + f"A sentence that speaks of subject {n}, at length.\n" * 16 for n in range(8)]
    return "# Guide\n\n" + "What comes before it all.\n" * 30 + f"\n## {name}\n\n" + "\n".join(parts)


def fenced(fence: str) -> str:
    """Prose of which a line is a heading unless a fence that opens in the span before it makes it code."""
    return f"# Guide\n{fence}\n" + "A step.\n" * 38 + "Another step.\n" * 5 + "# zebra\n" + "A last step.\n" * 30


class Change(NamedTuple):
    path: str
    before: str
    after: str
    chunking: str = "structure-v2"


CHANGES = {
    "class": Change("src/herd.py", code("Zebra"), code("Giraffe")),
    "heading": Change("guide.md", prose("Zebra"), prose("Giraffe")),
    "ending": Change("src/herd.py", code("Zebras"), code("Zebra")),  # of which the terms are the same
    "fence": Change("guide.md", fenced("```"), fenced("..."), "lines-v1"),
}


async def spans_of(corpora: Corpora, corpus: str = "docs") -> list[Span]:
    state = await corpora.store.state(corpora.tenant, corpus)
    assert state is not None
    found = await corpora.store.visible(corpora.tenant, corpus, state.version, "0" * 32, 1000)
    return sorted(found, key=lambda span: span.place)


def stored(spans: list[Span]) -> list[tuple[object, ...]]:
    """All that is stored of a span but the ids, which name the corpus."""
    return [(*span.place, span.end_line, span.text, span.token_count, span.terms, span.vector) for span in spans]


async def compiled(
    corpora: Corpora, corpus: str = "docs", *, by_words: float = 0.3, as_of: int | None = None
) -> list[WorkingSet]:
    config = CompilerConfig(lexical_weight=by_words, token_budget=900, retrieval_timeout=PATIENT, as_of=as_of)
    found = [await corpora.compile(query, corpus, config, explain=True) for query in QUERIES]
    assert not any(item.degraded for item in found)
    return found


def seen(found: list[WorkingSet]) -> list[tuple[object, ...]]:
    """All but the ids, and which spans have the query's words."""
    return [
        (item.text, item.context_hash, [(c.path, c.start_line, c.score, c.rank) for c in item.citations], _words(item))
        for item in found
    ]


def _words(found: WorkingSet) -> list[tuple[object, ...]]:
    assert found.explain is not None
    return sorted((span["path"], *span["lines"]) for span in found.explain["stages"]["lexical"])


def cited(found: list[WorkingSet]) -> list[tuple[object, ...]]:
    """With the ids."""
    return [(item.text, item.context_hash, item.citations) for item in found]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_corpus_in_which_a_name_changed_is_as_one_made_of_the_files_as_they_are(
    corpora: Corpora, folder: Path, change: Change
) -> None:
    await corpora.ingest(write(folder, {change.path: change.before}), chunking=change.chunking)
    spans, then = await spans_of(corpora), await compiled(corpora)

    report = await corpora.ingest(write(folder, {change.path: change.after}))
    assert (report.version, report.created, report.updated, report.skipped) == (2, 0, 1, 6)
    await corpora.ingest(folder, "fresh", chunking=change.chunking)
    renamed = await spans_of(corpora)
    assert {span.place for span in renamed} == {span.place for span in spans}
    assert stored(renamed) == stored(await spans_of(corpora, "fresh"))
    # Not by the scores of words: for some seconds Weaviate's count what was removed.
    assert seen(await compiled(corpora, by_words=0)) == seen(await compiled(corpora, "fresh", by_words=0))
    await made_anew(corpora)
    assert seen(await compiled(corpora)) == seen(await compiled(corpora, "fresh"))
    assert cited(await compiled(corpora, as_of=1)) == cited(then)

    await corpora.ingest(write(folder, {change.path: change.before}))
    assert await spans_of(corpora) == spans
    await made_anew(corpora)
    assert cited(await compiled(corpora)) == cited(then)


async def made_anew(corpora: Corpora) -> None:
    await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.task_queue)


async def test_what_a_new_name_does_not_enclose_keeps_its_spans(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(write(folder, {"src/herd.py": code("Zebra")}))
    before = {span.span_id: span for span in await spans_of(corpora)}
    await corpora.ingest(write(folder, {"src/herd.py": code("Giraffe")}))
    kept = [before[span.span_id] for span in await spans_of(corpora) if span.span_id in before]
    assert {span.path for span in kept} == {span.path for span in before.values()}
    assert {span.span_id for span in kept} == {one for one, span in before.items() if "zebra" not in span.terms}
