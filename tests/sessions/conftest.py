"""Callers of sessions that the shared worker serves."""

from __future__ import annotations

import pytest

from tests.sessions.caller import Caller
from tests.support.site import Site


@pytest.fixture
async def caller(site: Site) -> Caller:
    """A caller with nothing but Temporal, of a new session."""
    return await Caller.start(site, "talk")


@pytest.fixture
def alone(site: Site, unique: str) -> Site:
    """The site with a task queue that nobody polls but a worker that the test starts."""
    site.settings = site.settings.model_copy(update={"task_queue": unique})
    return site
