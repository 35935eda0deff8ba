"""Files as people really have them, from the folder to the working set."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.corpora.chunking import lines_of
from activities.spans import Span
from activities.tokens import count
from perdure.working_set import CompilerConfig
from tests.retrieval.conftest import Corpora, corpora_with, write
from tests.support.embeddings import DIMENSION, embeddings_server
from workers.retrieval import open_embedder
from workers.settings import Settings
from workers.stack.stack import Stack

MEGABYTE = 1024 * 1024
LONG = "quince " + "word " * ((MEGABYTE - 12) // 5)
UNUSUAL = {
    "windows.txt": "The first line ends as on Windows.\r\nSo does the turnip line.\r\n",
    "mixed.txt": "One ends here.\nThe parsnip line ends otherwise.\r\nThe last has no end",
    "empty.txt": "",
    "only-ends.txt": "\n\n\n",
    "blank.txt": "   \t\n",
    "long-line.txt": LONG,
    "separators.txt": "form\x0cfeed, a line\u2028separator and next\x85line stay where the rutabaga is\n",
    "emoji/👩‍👩‍👧.md": "# 👩‍👩‍👧 a family\n\nThe kohlrabi is for 👩🏽‍🚀.\n",
    "中文/说明.txt": "中文文本没有空格。\n花椰菜在这里。\n",
    "עברית/קובץ.txt": "שלום עולם\nהכרוב כאן\n",
    "zero\u200bwidth\u2060.txt": "zero\u200bwidth spaces hide the ce\u200bleriac\u200b\n",
    "\u202egnp.txt": "A name that reads backwards names the radicchio.\n",
    "two  spaces [1] & 'quotes'.txt": "[1] chard\nLines 1-1\n\n---\n\n",
    "CON": "A name that Windows refuses holds the endive.\n",
}
QUERIES = {
    "turnip": "windows.txt",
    "parsnip": "mixed.txt",
    "rutabaga": "separators.txt",
    "kohlrabi": "emoji/👩‍👩‍👧.md",
    "花椰菜在这里": "中文/说明.txt",
    "הכרוב": "עברית/קובץ.txt",
    "zero width spaces": "zero\u200bwidth\u2060.txt",
    "radicchio": "\u202egnp.txt",
    "chard": "two  spaces [1] & 'quotes'.txt",
    "endive": "CON",
}


async def spans_of(corpora: Corpora) -> dict[str, list[Span]]:
    """The corpus's spans by path, in the order of their lines."""
    found = await corpora.store.visible(corpora.tenant, "docs", 1, "0" * 32, 10_000)
    by_path: dict[str, list[Span]] = {}
    for span in sorted(found, key=lambda span: span.place):
        by_path.setdefault(span.path, []).append(span)
    return by_path


async def test_unusual_files_are_kept_as_they_are_found_and_cited(corpora: Corpora, tmp_path: Path) -> None:
    report = await corpora.ingest(write(tmp_path, UNUSUAL))
    assert (report.created, report.failed, report.indexed) == (len(UNUSUAL), 0, True)
    assert (await corpora.ingest(tmp_path)).skipped == len(UNUSUAL)

    artifacts = {a.path: a for a in await corpora.store.list_artifacts(corpora.tenant, "docs")}
    assert set(artifacts) == set(UNUSUAL)
    spans = await spans_of(corpora)
    for path, content in UNUSUAL.items():
        assert artifacts[path].size_bytes == len(content.encode())
        assert [line for span in spans.get(path, []) for line in span.text.split("\n")] == lines_of(content)
        assert all(span.token_count == count(span.text) for span in spans.get(path, []))

    config = CompilerConfig(order="relevance", enable_mmr=False)
    for query, path in QUERIES.items():
        found = await corpora.compile(query, config=config)
        assert not found.degraded, found.degraded_reason
        assert path in [citation.path for citation in found.citations[:3]], query
        for span in found.spans:
            kept = "\n".join(lines_of(UNUSUAL[span.path])[span.start_line - 1 : span.end_line])
            assert found.text_of(span) == kept
        assert found.tokens_used == count(found.text) <= config.token_budget
        assert found.verified()


async def test_a_line_of_a_megabyte_is_found_and_left_out_because_it_does_not_fit(
    corpora: Corpora, tmp_path: Path
) -> None:
    report = await corpora.ingest(write(tmp_path, {"long-line.txt": LONG, "short.txt": "a quince\n"}))
    assert (report.created, report.spans) == (2, 2)
    found = await corpora.compile("quince", explain=True)
    assert found.explain is not None
    assert {candidate["path"] for candidate in found.explain["stages"]["lexical"]} == {"long-line.txt", "short.txt"}
    assert [citation.path for citation in found.citations] == ["short.txt"]
    assert len(found.manifest["omitted"]) == 1


@pytest.mark.parametrize("size", [MEGABYTE, MEGABYTE + 1])
async def test_a_file_over_the_limit_is_reported(corpora: Corpora, tmp_path: Path, size: int) -> None:
    report = await corpora.ingest(write(tmp_path, {"a.txt": "x" * size, "small.txt": "small"}), "sized")
    assert (report.created, report.failed) == ((2, 0) if size == MEGABYTE else (1, 1))


async def test_a_thousand_small_files_are_all_skipped_the_second_time(
    stack: Stack, settings: Settings, corpora: Corpora, tmp_path: Path
) -> None:
    files = {f"{n % 40}/{n}.txt": f"File {n}.\n" for n in range(1000)}
    write(tmp_path, files)
    with embeddings_server() as server:
        chosen = settings.model_copy(
            update={"embedder_url": server.url, "embedder_model": "m", "embedder_dimension": DIMENSION}
        )
        url, queue = settings.require_database_url(), f"{corpora.tenant}-many"
        async with (
            open_embedder(chosen) as embedder,
            corpora_with(embedder, stack, url, corpora.client, corpora.tenant, queue) as many,
        ):
            first = await many.ingest(tmp_path)
            asked = len(server.requests)
            second = await many.ingest(tmp_path)
            assert (first.created, first.spans, first.version, first.indexed) == (1000, 1000, 1, True)
            assert (second.skipped, second.spans, second.version) == (1000, 0, 1)
            assert len(server.requests) == asked
            history = await many.client.get_workflow_handle(f"ingest:{many.tenant}:docs").fetch_history()
            assert len(history.events) < 50  # the skipped files went by in one step
