"""One worker in this process for the cases about sessions; corpora for those about retrieval."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perdure import SessionHandle
from perdure.session import RunBudget, SessionConfig
from tests.retrieval.conftest import corpora, embedder, write
from tests.support.site import Site, shared_worker, site_on
from workers.settings import Settings
from workers.stack.stack import Stack

__all__ = ["corpora", "embedder"]

CORPUS = "notes"
NOTES = {
    "notes.md": "# Stopping\n\nA worker is stopped by a signal.\n\n# Starting\n\nA worker is started by a command.\n",
    "fruit.txt": "There are 100 apples in the basket.\n",
}


@pytest.fixture(scope="session")
async def parity_settings(stack: Stack, template_database: str) -> AsyncIterator[Settings]:
    """Settings of the worker that these tests share; it polls as long as they last."""
    async with shared_worker(stack, template_database, "parity") as settings:
        yield settings


@pytest.fixture
async def site(stack: Stack, parity_settings: Settings, unique: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The test's own tenant, served by the shared worker."""
    async with site_on(stack, parity_settings.model_copy(update={"tenant": unique}), tmp_path) as site:
        yield site


@pytest.fixture
async def session(site: Site, tmp_path: Path) -> SessionHandle:
    """A session over a small corpus, whose runs are short."""
    await site.ingest(write(tmp_path / "documents", NOTES), CORPUS)
    return await site.client.start_session("talk", config=SessionConfig(corpus=CORPUS, run_budget=RunBudget(events=20)))
