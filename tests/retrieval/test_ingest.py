"""Ingest on real servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.worker import Worker

from activities.corpora.index import IndexActivities
from perdure.corpus import FailedFile, IngestReport
from perdure.errors import CorpusNotFound, InvalidRequest, Unavailable
from tests.retrieval.conftest import DOCUMENTS, Corpora, write
from tests.support.unlisted import unlist
from workers.ingest_folder import ingest_folder, reindex
from workflows.ingest import IngestCorpus


async def test_files_are_created_then_skipped_then_updated(corpora: Corpora, folder: Path) -> None:
    first = await corpora.ingest(folder)
    assert (first.phase, first.version, first.created, first.skipped, first.indexed) == ("done", 1, 6, 0, True)
    before = {a.path: a for a in await corpora.store.list_artifacts(corpora.tenant, "docs")}

    second = await corpora.ingest(folder)
    assert (second.version, second.created, second.updated, second.skipped, second.spans) == (1, 0, 0, 6, 0)

    write(folder, {"fruit.txt": "Only plums are left.\n", "new.txt": "A new file.\n"})
    third = await corpora.ingest(folder)
    assert (third.version, third.created, third.updated, third.skipped) == (2, 1, 1, 5)
    after = {a.path: a for a in await corpora.store.list_artifacts(corpora.tenant, "docs")}
    assert after["fruit.txt"].artifact_id == before["fruit.txt"].artifact_id
    assert after["memory.md"] == before["memory.md"]

    assert "plums" in (await corpora.compile("What fruit is left?")).text
    assert "apples" not in (await corpora.compile("apples in the basket")).text
    (held,) = await corpora.store.list_corpora(corpora.tenant)
    assert (held.version, held.artifacts, held.indexed) == (2, 7, True)


async def test_a_file_that_is_no_text_is_reported_and_the_rest_goes_in(corpora: Corpora, folder: Path) -> None:
    (folder / "image.bin").write_bytes(b"\0\1")
    report = await corpora.ingest(folder)
    assert (report.files, report.created, report.failed) == (7, 6, 1)
    assert report.failures == [FailedFile(path="image.bin", reason="binary")]


async def test_a_folder_with_nothing_to_ingest_is_refused_and_makes_no_corpus(corpora: Corpora, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="It has no files to ingest"):
        await corpora.ingest(tmp_path)
    (tmp_path / "image.bin").write_bytes(b"\0\1")
    with pytest.raises(InvalidRequest, match=r"Of 1 files none can be ingested, such as:\n  image.bin: binary"):
        await corpora.ingest(tmp_path)
    assert await corpora.store.list_corpora(corpora.tenant) == []


async def test_spans_of_a_stored_document_cover_all_its_lines(corpora: Corpora, folder: Path) -> None:
    write(folder, {"long.md": "\n".join(f"Line {n} speaks of subject {n % 7}." for n in range(1, 301))})
    await corpora.ingest(folder)
    found = sorted(await corpora.store.visible(corpora.tenant, "docs", 9, "0" * 32, 1000), key=lambda span: span.place)
    long = [span for span in found if span.path == "long.md"]
    assert [span.start_line for span in long] == [1] + [span.end_line + 1 for span in long[:-1]]
    assert long[-1].end_line == 300
    assert "\n".join(span.text for span in long) == (folder / "long.md").read_text()


async def test_progress_is_seen_while_it_works(corpora: Corpora, folder: Path) -> None:
    seen: list[IngestReport] = []
    await ingest_folder(
        corpora.client,
        corpora.store,
        folder,
        corpus="docs",
        tenant=corpora.tenant,
        task_queue=corpora.tenant,
        on_progress=seen.append,
    )
    assert seen[0].phase == "reading"
    assert seen[-1].phase == "done"
    assert seen[-1].files_done == seen[-1].files == len(DOCUMENTS)


async def test_two_ingests_of_one_corpus_follow_each_other(corpora: Corpora, folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"other.txt": "Quite another document.\n"})
    reports = await asyncio.gather(corpora.ingest(folder), corpora.ingest(other))
    assert sorted(report.version for report in reports) == [1, 2]
    assert (await corpora.store.get_corpus(corpora.tenant, "docs")).artifacts == len(DOCUMENTS) + 1


async def test_an_index_made_anew_gives_the_same_working_set(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    before = await corpora.compile("how is memory freed?")
    old = await corpora.store.index_name(corpora.tenant, "docs", "unused")
    report = await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.tenant)
    assert report.indexed
    assert await corpora.store.index_name(corpora.tenant, "docs", "unused") != old
    after = await corpora.compile("how is memory freed?")
    assert not after.degraded
    assert (after.text, after.context_hash, after.citations) == (before.text, before.context_hash, before.citations)


async def test_an_unknown_corpus_cannot_be_indexed(corpora: Corpora) -> None:
    with pytest.raises(CorpusNotFound):
        await reindex(corpora.client, corpus="nothing", tenant=corpora.tenant, task_queue=corpora.tenant)


async def test_without_an_index_reindex_is_refused_and_the_next_ingest_need_not_wait(
    corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    queue = f"{corpora.task_queue}-without"
    activities = IndexActivities(corpora.store, None, corpora.embedder.id).all()
    async with Worker(corpora.client, task_queue=queue, workflows=[IngestCorpus], activities=activities):
        with pytest.raises(Unavailable, match="Set PERDURE_WEAVIATE_URL"):
            async with asyncio.timeout(30):
                await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=queue)
    assert (await corpora.ingest(folder)).skipped == len(DOCUMENTS)


async def test_without_pruning_what_vanished_from_the_folder_stays(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    (folder / "fruit.txt").unlink()
    report = await corpora.ingest(folder)
    assert (report.version, report.removed) == (1, 0)
    assert "apples" in (await corpora.compile("apples in the basket")).text


async def test_pruning_removes_what_vanished_from_the_folder(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    (folder / "fruit.txt").unlink()
    (folder / "empty.txt").unlink()  # an artifact without spans
    report = await corpora.ingest(folder, prune=True)
    assert (report.version, report.removed, report.created, report.skipped) == (2, 2, 0, 4)
    held = await corpora.store.get_corpus(corpora.tenant, "docs")
    assert (held.version, held.artifacts, held.indexed) == (2, 4, True)
    assert {a.path for a in await corpora.store.list_artifacts(corpora.tenant, "docs")} == {
        "memory.md",
        "src/stop.py",
        "windows.txt",
        "emoji.txt",
    }
    assert "apples" not in (await corpora.compile("apples in the basket")).text
    again = await corpora.ingest(folder, prune=True)
    assert (again.version, again.removed) == (2, 0)
    back = await corpora.ingest(write(folder, {"fruit.txt": DOCUMENTS["fruit.txt"]}), prune=True)
    assert (back.version, back.created, back.removed) == (3, 1, 0)
    assert "apples" in (await corpora.compile("apples in the basket")).text


async def test_pruning_only_the_emptiest_of_files_is_a_new_version(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    (folder / "empty.txt").unlink()
    report = await corpora.ingest(folder, prune=True)
    assert (report.version, report.removed) == (2, 1)


async def test_a_file_that_cannot_be_read_any_more_is_not_taken_for_gone(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    (folder / "fruit.txt").write_bytes(b"\0")
    report = await corpora.ingest(folder, prune=True)
    assert (report.version, report.removed, report.failed) == (1, 0, 1)
    assert "apples" in (await corpora.compile("apples in the basket")).text


async def test_what_is_below_a_folder_that_cannot_be_listed_is_not_taken_for_gone(
    corpora: Corpora, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held() -> set[str]:
        return {artifact.path for artifact in await corpora.store.list_artifacts(corpora.tenant, "docs")}

    await corpora.ingest(write(folder, {"src/deep/a.md": "Quinces ripen.\n", "src.md": "A\n", "srcs/b.md": "B\n"}))
    before = await held()
    (folder / "src.md").unlink()
    (folder / "srcs/b.md").unlink()
    unlist(monkeypatch, folder / "src")
    report = await corpora.ingest(folder, prune=True)
    assert (report.version, report.removed, report.failed) == (2, 2, 1)
    assert [failure.path for failure in report.failures] == ["src"]
    assert await held() == before - {"src.md", "srcs/b.md"}
    assert "Quinces" in (await corpora.compile("do quinces ripen?")).text

    monkeypatch.undo()
    (folder / "src/deep/a.md").unlink()
    assert (await corpora.ingest(folder, prune=True)).removed == 1


async def test_a_publication_that_is_repeated_prunes_nothing_more(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    (folder / "fruit.txt").unlink()
    await corpora.ingest(folder, prune=True)
    # The upload is gone by now, and would name no file at all.
    assert await corpora.store.publish(corpora.tenant, "docs", 2, "unknown", prune=True) == (2, 1)
    assert len(await corpora.store.list_artifacts(corpora.tenant, "docs")) == 5
    assert "Ownership" in (await corpora.compile("how is memory freed?")).text


@pytest.mark.parametrize("what", ["fruit.txt", "nothing"])
async def test_pruning_by_a_file_or_by_an_empty_folder_is_refused(corpora: Corpora, folder: Path, what: str) -> None:
    await corpora.ingest(folder)
    (folder / "nothing").mkdir()
    with pytest.raises(InvalidRequest, match=r"every other document|no files to ingest"):
        await corpora.ingest(folder / what, prune=True)
    assert (await corpora.store.get_corpus(corpora.tenant, "docs")).artifacts == len(DOCUMENTS)


async def test_a_corpus_keeps_the_chunking_it_was_made_with(corpora: Corpora, folder: Path) -> None:
    plain = "\n".join(f"line {n}" for n in range(1, 101))
    write(folder, {"plain.txt": plain})
    await corpora.ingest(folder, chunking="lines-v1")
    assert (await corpora.store.get_corpus(corpora.tenant, "docs")).chunking == "lines-v1"

    write(folder, {"again.txt": plain})
    await corpora.ingest(folder)  # left out: as the corpus's is
    found = await corpora.store.visible(corpora.tenant, "docs", 9, "0" * 32, 1000)
    for path in ("plain.txt", "again.txt"):
        lines = sorted((span.start_line, span.end_line) for span in found if span.path == path)
        assert lines == [(1, 40), (41, 80), (81, 100)]
    assert (await corpora.compile("line 7")).manifest["chunking"] == "lines-v1"

    with pytest.raises(InvalidRequest, match="lines-v1"):
        await corpora.ingest(folder, chunking="structure-v2")


async def test_an_unknown_chunking_is_refused_before_anything_is_staged(corpora: Corpora, folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="structure-v2, lines-v1"):
        await corpora.ingest(folder, chunking="guess")
    assert await corpora.store.list_corpora(corpora.tenant) == []
