"""Weaviate dies or hangs: messages are accepted all the same, and their working sets say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from perdure.contract import ReadMessages
from perdure.session import SessionConfig
from tests.support.eventually import eventually
from tests.support.load import accepted_more, under_load
from tests.support.site import DISTURBED, Site
from workers.stack.weaviate import WeaviateServer

HURT = "Weaviate was hurt"
BACK = "Weaviate was back"
DEGRADED = "a working set was degraded"
WHOLE = "a working set was whole"
CORPUS = "notes"
TEXT = "# Workers\n\nA worker polls a task queue.\n\n# Foxes\n\nThe quick brown fox says that it jumps.\n"


async def _kill(weaviate: WeaviateServer) -> None:
    await weaviate.kill()


async def _freeze(weaviate: WeaviateServer) -> None:
    weaviate.freeze()


async def _mend(weaviate: WeaviateServer) -> None:
    if weaviate.running:
        weaviate.thaw()
    else:
        await weaviate.start()


async def _working_sets(site: Site, session_id: str) -> tuple[int, int]:
    """How many of a session's working sets are degraded, and how many are whole; each user message has one."""
    replay = await site.reader.read_replay(site.settings.tenant, session_id, ReadMessages(limit=1000))
    sets = [turn.working_set for turn in replay.turns if turn.user_message]
    assert None not in sets
    degraded = sum(item.degraded for item in sets if item)
    return degraded, len(sets) - degraded


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with one small document."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "notes.md").write_text(TEXT)
    return folder


@pytest.mark.parametrize("hurt", [_kill, _freeze])
async def test_every_message_is_accepted_without_weaviate_and_its_working_set_says_degraded(
    site: Site, documents: Path, hurt: Callable[[WeaviateServer], Awaitable[None]]
) -> None:
    weaviate = site.stack.weaviate
    async with site.worker_here():
        await site.ingest(documents, CORPUS)
        sessions = await site.sessions(3, SessionConfig(corpus=CORPUS))

        async def whole_again() -> bool:
            answer = await site.client.session("other").add_user_message("What does the fox say?")
            return answer.working_set is not None and not answer.working_set.degraded

        async with under_load(site.ledger, site.client, sessions):
            await accepted_more(site.ledger, 30)
            site.ledger.fault(HURT)
            try:
                await hurt(weaviate)
                await accepted_more(site.ledger, 60)
            finally:
                site.ledger.fault(BACK)
                await _mend(weaviate)
            await site.client.start_session("other", corpus=CORPUS)
            await eventually(whole_again)
        counted = await asyncio.gather(*(_working_sets(site, session_id) for session_id in sessions))
        site.ledger.met[DEGRADED] = sum(degraded for degraded, _ in counted)
        site.ledger.met[WHOLE] = sum(whole for _, whole in counted)
        assert site.ledger.share_accepted() == 1
        await site.check(met={HURT: 1, DISTURBED: 1, DEGRADED: 10, WHOLE: 10})
