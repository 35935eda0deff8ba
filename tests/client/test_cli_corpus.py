"""`perdure corpus` and `perdure reindex`, against real servers."""

from __future__ import annotations

import asyncio
import re

import pytest

from perdure.cli import run
from tests.client.conftest import Ingest
from tests.client.test_cli import cli
from tests.retrieval.conftest import DOCUMENTS

__all__ = ["cli"]


pytestmark = pytest.mark.usefixtures("cli")


@pytest.fixture(autouse=True)
async def _documents(ingest: Ingest) -> None:
    await ingest(DOCUMENTS)


async def test_a_reindex_tells_of_spans_and_counts_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(run, ["reindex", "docs"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"docs, version 1: [1-9]\d* spans indexed anew\.\n", printed.out)
    assert "done" in printed.err
    assert "files" not in printed.err


async def test_the_versions_that_are_kept_are_told_once_there_is_a_choice(
    capsys: pytest.CaptureFixture[str], ingest: Ingest
) -> None:
    assert await asyncio.to_thread(run, ["corpus", "show", "docs"]) == 0
    assert "Versions kept" not in capsys.readouterr().err
    await ingest({"fruit.txt": "Only plums are left.\n"})
    assert await asyncio.to_thread(run, ["corpus", "show", "docs"]) == 0
    assert "Versions kept, for `--as-of`: 1 to 2." in capsys.readouterr().err
