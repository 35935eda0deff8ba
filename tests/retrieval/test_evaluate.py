"""`perdure corpus evaluate` on real servers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from perdure.cli import run
from tests.retrieval.conftest import Corpora
from workers.stack.stack import Stack

GOLDEN = [
    {"query": "does ownership need a garbage collector?", "expected_paths": ["memory.md"], "k": 1},
    {"query": "stop a worker", "expected_paths": ["src/stop.py"], "k": 1},
    {"query": "what fruit is in the basket?", "expected_paths": ["fruit.txt", "pears.txt"], "k": 3},
]


class Evaluate:
    """Runs the command as a person would, in a process environment that leads to the test's servers."""

    def __init__(self, golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.golden = golden
        self._capsys = capsys

    async def __call__(self, *options: str, corpus: str = "docs") -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, ["corpus", "evaluate", corpus, str(self.golden), *options])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err


@pytest.fixture
async def evaluate(
    stack: Stack,
    database_url: str,
    corpora: Corpora,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Evaluate:
    await corpora.ingest(folder)
    own = {"PERDURE_DATABASE_URL": database_url, "PERDURE_TENANT": corpora.tenant, "PERDURE_DATA_DIR": str(tmp_path)}
    for name, value in {**stack.addresses.environment(), **own}.items():
        monkeypatch.setenv(name, value)
    golden = tmp_path / "golden.json"
    golden.write_text(json.dumps(GOLDEN))
    return Evaluate(golden, capsys)


async def test_the_measures_of_golden_queries_are_printed_as_a_table_and_as_json(evaluate: Evaluate) -> None:
    code, out, err = await evaluate("--output", "json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    assert (found["queries"], found["degraded"], found["missed"]) == (3, 0, [])
    assert found["recall"] == pytest.approx(2.5 / 3)
    assert found["mrr"] == 1
    assert [result["found_paths"][0] for result in found["results"]] == ["memory.md", "src/stop.py", "fruit.txt"]
    assert 0 < found["p50_latency_ms"] <= found["p99_latency_ms"]
    assert err == "Expected, but not in the corpus: pears.txt.\n"

    code, out, _ = await evaluate()
    assert code == 0
    assert all(word in out for word in ("recall", "nDCG", "p99 ms", "stop a worker", "0.833"))


async def test_a_measure_under_its_threshold_is_exit_code_1(evaluate: Evaluate) -> None:
    assert (await evaluate("--min-recall", "0.8", "--min-mrr", "1"))[0] == 0
    code, out, err = await evaluate("--min-recall", "0.9", "--min-mrr", "1", "--max-p99-ms", "0", "--output", "json")
    assert code == 1
    recall, latency = json.loads(out)["missed"]
    assert recall == "recall is 0.8333, less than 0.9"
    assert latency.startswith("p99 latency is ")
    assert f"Missed: {recall}." in err


async def test_a_small_budget_finds_less(evaluate: Evaluate) -> None:
    code, out, _ = await evaluate("--budget", "1", "--output", "json")
    assert code == 0
    assert json.loads(out)["recall"] == 0


async def test_a_query_that_expects_nothing_is_marked(evaluate: Evaluate) -> None:
    evaluate.golden.write_text(json.dumps([GOLDEN[0], {"query": "anything", "expected_paths": []}]))
    code, out, _ = await evaluate()
    assert code == 0
    assert out.count("1.000*") == 1
    assert "* no path is expected: recall and nDCG count as 1 (queries: 1)" in out
    evaluate.golden.write_text(json.dumps(GOLDEN[:1]))
    assert "*" not in (await evaluate())[1]


async def test_text_that_no_store_can_keep_is_exit_code_2_with_its_place(evaluate: Evaluate) -> None:
    evaluate.golden.write_text(json.dumps([GOLDEN[0], {"query": "\udcff", "expected_paths": ["a\0"]}]))
    code, out, err = await evaluate()
    assert (code, out) == (2, "")
    assert "query 2, query: the text holds a lone surrogate" in err
    assert "query 2, expected_paths.0: the text holds a NUL character" in err


async def test_a_corpus_or_a_file_that_is_not_there_is_a_sentence(evaluate: Evaluate) -> None:
    code, out, err = await evaluate(corpus="nothing")
    assert (code, out) == (3, "")
    assert "Corpus not found: nothing" in err
    evaluate.golden.write_text("[]")
    code, out, err = await evaluate()
    assert (code, out) == (2, "")
    assert "holds no query" in err
