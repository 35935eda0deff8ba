"""Lists of sessions from Postgres: filters, order, cursors."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from sqlalchemy import update

from activities.stores.tables import sessions
from perdure import InvalidRequest, SessionNotFound
from perdure.listing import list_by_visibility
from perdure.reader import SessionFilter
from perdure.session import Session
from tests.support.eventually import eventually
from tests.support.site import Site


def _cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


async def _listed(site: Site, **where: object) -> list[Session]:
    page = await site.reader.list_sessions(site.settings.tenant, SessionFilter.model_validate(where))
    return page.sessions


async def test_a_list_is_walked_by_its_cursor_with_each_session_once(site: Site) -> None:
    await site.sessions(10)
    found: list[str] = []
    sizes: list[int] = []
    cursor = None
    while True:
        where = SessionFilter(limit=3, cursor=cursor)
        page = await site.reader.list_sessions(site.settings.tenant, where)
        sizes.append(len(page.sessions))
        found += [session.session_id for session in page.sessions]
        cursor = page.cursor
        if cursor is None:
            break
    assert sizes == [3, 3, 3, 1]
    assert sorted(found) == [f"s{n}" for n in range(10)]


async def test_of_sessions_that_changed_at_the_same_time_each_is_listed_once(site: Site) -> None:
    await site.sessions(4)
    async with site.engine.begin() as connection:
        mine = sessions.c.tenant == site.settings.tenant
        await connection.execute(update(sessions).where(mine).values(updated_at=datetime(2026, 1, 1, tzinfo=UTC)))
    first = await site.reader.list_sessions(site.settings.tenant, SessionFilter(limit=2))
    rest = await site.reader.list_sessions(site.settings.tenant, SessionFilter(limit=2, cursor=first.cursor))
    assert [s.session_id for s in (*first.sessions, *rest.sessions)] == ["s0", "s1", "s2", "s3"]


async def test_the_last_page_of_a_list_has_no_cursor_also_when_it_is_full(site: Site) -> None:
    await site.sessions(4)
    whole = await site.reader.list_sessions(site.settings.tenant, SessionFilter(limit=4))
    assert (len(whole.sessions), whole.cursor) == (4, None)
    first = await site.reader.list_sessions(site.settings.tenant, SessionFilter(limit=2))
    assert first.cursor is not None
    last = await site.reader.list_sessions(site.settings.tenant, SessionFilter(limit=2, cursor=first.cursor))
    assert (len(last.sessions), last.cursor) == (2, None)


async def test_a_time_of_any_zone_is_understood(site: Site) -> None:
    await site.sessions(1)
    for offset in (timedelta(hours=23), timedelta(seconds=1), timedelta(microseconds=-1)):
        where = SessionFilter(updated_after=datetime(2020, 1, 1, tzinfo=timezone(offset)))
        assert [s.session_id for s in await _listed(site, updated_after=where.updated_after)] == ["s0"]
        await eventually(partial(_shown, site, where))
    before_all_time = SessionFilter(updated_after=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    with pytest.raises(InvalidRequest, match="no time in UTC"):
        await _shown(site, before_all_time)


async def _shown(site: Site, where: SessionFilter) -> bool:
    page = await list_by_visibility(site.bare, site.settings.tenant, where, timedelta(seconds=5))
    return [s.session_id for s in page.sessions] == ["s0"]


async def test_numbers_that_no_event_can_have_are_refused(site: Site) -> None:
    await site.sessions(1)
    for after, limit in ((0, 0), (0, -5), (2**70, 10), (-(2**70), 10)):
        with pytest.raises(InvalidRequest):
            await site.reader.read_events(site.settings.tenant, "s0", after, limit)


async def test_a_name_that_no_tenant_can_have_has_no_sessions(site: Site) -> None:
    with pytest.raises(InvalidRequest, match="Invalid tenant"):
        await site.reader.list_sessions("a\0b", SessionFilter())
    with pytest.raises(SessionNotFound):
        await site.reader.get_session("a\0b", "s0")


async def test_the_session_that_changed_last_is_listed_first(site: Site) -> None:
    await site.sessions(3)
    for name in ("s1", "s0", "s2"):
        await site.client.session(name).add_user_message("Hello")
    assert [session.session_id for session in await _listed(site)] == ["s2", "s0", "s1"]


async def test_sessions_are_found_by_user_status_metadata_and_time(site: Site) -> None:
    await asyncio.gather(
        site.client.start_session("a", user_id="user1", metadata={"team": "red", "tags": ["x", "y"]}),
        site.client.start_session("b", user_id="user1", metadata={"team": "blue"}),
        site.client.start_session("c", user_id="user2"),
    )
    await site.client.session("b").suspend()
    found = {
        "user": await _listed(site, user_id="user1"),
        "status": await _listed(site, status="suspended"),
        "metadata": await _listed(site, metadata={"team": "red"}),
        "a list in metadata": await _listed(site, metadata={"tags": ["y"]}),
        "all of them": await _listed(site, user_id="user1", status="active"),
        "none": await _listed(site, user_id="user2", metadata={"team": "red"}),
    }
    names = {what: sorted(s.session_id for s in sessions) for what, sessions in found.items()}
    assert names == {
        "user": ["a", "b"],
        "status": ["b"],
        "metadata": ["a"],
        "a list in metadata": ["a"],
        "all of them": ["a"],
        "none": [],
    }
    middle = (await site.reader.get_session(site.settings.tenant, "b")).updated_at
    assert [s.session_id for s in await _listed(site, updated_after=middle)] == ["b"]
    assert sorted(s.session_id for s in await _listed(site, updated_before=middle)) == ["a", "c"]


async def test_deleted_sessions_are_listed_by_their_status_only(site: Site) -> None:
    await site.sessions(2)
    await site.client.session("s0").delete()
    assert [s.session_id for s in await _listed(site)] == ["s1"]
    assert [s.session_id for s in await _listed(site, status="deleted")] == ["s0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "bm9uc2Vuc2U=",
        "not base64 é",
        "a\0b",
        _cursor("2026-01-01T00:00:00Z", "a\0b"),
        _cursor("2026-01-01T00:00:00", "s"),
        _cursor("2026-01-01T00:00:00Z", None),
        _cursor(1, 2, 3),
    ],
)
async def test_a_cursor_that_nobody_gave_is_refused(site: Site, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="Start from the first page"):
        await _listed(site, cursor=cursor)
    with pytest.raises(InvalidRequest, match="Start from the first page"):
        await list_by_visibility(site.bare, site.settings.tenant, SessionFilter(cursor=cursor), timedelta(seconds=5))


async def test_an_id_that_no_session_can_have_is_not_found(site: Site) -> None:
    for read in (site.reader.get_session, site.reader.read_events):
        with pytest.raises(SessionNotFound):
            await read(site.settings.tenant, "a\0b")
