"""One worker in this process for all these tests; each test has a tenant of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sessions.caller import Caller
from tests.support.site import Site, shared_worker, site_on
from workers.settings import Settings
from workers.stack.stack import Stack


@pytest.fixture(scope="session")
async def shared_settings(stack: Stack, template_database: str) -> AsyncIterator[Settings]:
    """Settings of the worker that these tests share; it polls as long as they last."""
    async with shared_worker(stack, template_database, "sessions") as settings:
        yield settings


@pytest.fixture
async def site(stack: Stack, shared_settings: Settings, unique: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The test's own tenant, served by the shared worker."""
    async with site_on(stack, shared_settings.model_copy(update={"tenant": unique}), tmp_path) as site:
        yield site


@pytest.fixture
async def caller(site: Site) -> Caller:
    """A caller with nothing but Temporal, of a new session."""
    return await Caller.start(site, "talk")
