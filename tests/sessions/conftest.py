"""Callers of sessions that the shared worker serves."""

from __future__ import annotations

import pytest

from tests.sessions.caller import Caller
from tests.support.site import Site


@pytest.fixture
async def caller(site: Site) -> Caller:
    """A caller with nothing but Temporal, of a new session."""
    return await Caller.start(site, "talk")
