"""A session over a small corpus; corpora for the cases about retrieval."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure import SessionHandle
from perdure.session import RunBudget, SessionConfig
from tests.retrieval.conftest import corpora, embedder, write
from tests.support.site import Site

__all__ = ["corpora", "embedder"]

CORPUS = "notes"
NOTES = {
    "notes.md": "# Stopping\n\nA worker is stopped by a signal.\n\n# Starting\n\nA worker is started by a command.\n",
    "fruit.txt": "There are 100 apples in the basket.\n",
}


@pytest.fixture
async def session(site: Site, tmp_path: Path) -> SessionHandle:
    """A session over a small corpus, whose runs are short."""
    await site.ingest(write(tmp_path / "documents", NOTES), CORPUS)
    return await site.client.start_session("talk", config=SessionConfig(corpus=CORPUS, run_budget=RunBudget(events=20)))
