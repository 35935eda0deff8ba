"""The read side of sessions in Postgres: pages by key, so that a page costs the same at any age."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Select, Table, Text, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.stores.batches import in_batches
from activities.stores.engine import Engine
from activities.stores.session_rows import event_of, message_of, session_of
from activities.stores.session_rows import is_session as _is
from activities.stores.tables import events, messages, sessions, working_sets
from perdure.base import parse
from perdure.contract import MessagePage, ReadMessages, Replay
from perdure.errors import InvalidRequest, SessionDeleted, SessionNotFound
from perdure.ids import check_names, is_id, is_tenant
from perdure.message import Message
from perdure.reader import EventPage, SessionFilter, page_too_large, unknown_cursor
from perdure.replay import turns_of
from perdure.session import Session, SessionPage
from perdure.working_set import WorkingSet, WorkingSetRef

_FRAME_BYTES = 64
"""What the JSON of a turn has around its messages."""


class PostgresReader:
    """`perdure.reader.Reader` on Postgres."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get_session(self, tenant: str, session_id: str) -> Session:
        async with self._engine.connect() as connection:
            return await _session(connection, tenant, session_id)

    async def read_messages(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> MessagePage:
        async with self._engine.connect() as connection:
            await _session(connection, tenant, session_id)
            return await _messages(connection, tenant, session_id, page, max_bytes)

    async def read_replay(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> Replay:
        async with self._engine.connect() as connection:
            session = await _session(connection, tenant, session_id)
            limit = page.limit
            while True:  # halve the page until it fits, and read nothing before it does
                low, high, complete = await _turn_bounds(connection, tenant, session_id, page, limit)
                size = 0 if max_bytes is None else await _bytes(connection, session, low, high)
                if max_bytes is None or size <= max_bytes:
                    return await _replay(connection, session, low, high, complete)
                if limit == 1:
                    raise page_too_large(size, max_bytes)
                limit //= 2

    async def read_events(self, tenant: str, session_id: str, after: int = 0, limit: int = 1000) -> EventPage:
        parse(ReadMessages, {"after": after, "limit": limit})  # the same bounds
        _check_id(tenant, session_id)
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(events)
                .where(_is(events, tenant, session_id), events.c.sequence > after)
                .order_by(events.c.sequence)
                .limit(limit + 1)
            )
            found = [event_of(row) for row in rows.mappings()]
            if not found:
                with suppress(SessionDeleted):
                    await _session(connection, tenant, session_id)
            return EventPage(events=found[:limit], complete=len(found) <= limit)

    async def list_sessions(self, tenant: str, where: SessionFilter) -> SessionPage:
        check_names(InvalidRequest, tenant)
        query = (
            select(sessions)
            .where(*_conditions(tenant, where))
            .order_by(sessions.c.updated_at.desc(), sessions.c.session_id)
            .limit(where.limit + 1)
        )
        async with self._engine.connect() as connection:
            found = [session_of(row) for row in (await connection.execute(query)).mappings()]
        page = found[: where.limit]
        return SessionPage(sessions=page, cursor=_cursor(page[-1]) if len(found) > where.limit else None)


async def _session(connection: AsyncConnection, tenant: str, session_id: str) -> Session:
    _check_id(tenant, session_id)
    row = (await connection.execute(select(sessions).where(_is(sessions, tenant, session_id)))).mappings().one_or_none()
    if row is None:
        raise SessionNotFound(session_id=session_id)
    if row["status"] == "deleted":
        raise SessionDeleted(session_id=session_id)
    return session_of(row)


def _check_id(tenant: str, session_id: str) -> None:
    """No session has an id that is none; and Postgres cannot even be asked for some of them."""
    if not (is_tenant(tenant) and is_id(session_id)):
        raise SessionNotFound(session_id=session_id)


async def _messages(
    connection: AsyncConnection, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None
) -> MessagePage:
    """Upwards from `after` when it is given; otherwise the newest ones, below `before`."""
    upwards = page.after is not None
    query = _within(select(messages).where(_is(messages, tenant, session_id)), page)
    found: list[Message] = []
    size = 0
    complete = True
    async with in_batches(connection, query, messages.c.sequence_number, descending=not upwards) as rows:
        async for row in rows:
            message = message_of(row)
            size += len(message.model_dump_json().encode()) if max_bytes is not None else 0
            if len(found) == page.limit or (found and max_bytes is not None and size > max_bytes):
                complete = False
                break
            found.append(message)
    return MessagePage(messages=found if upwards else found[::-1], complete=complete)


def _within(query: Select[Any], page: ReadMessages) -> Select[Any]:
    if page.before is not None:
        query = query.where(messages.c.sequence_number < page.before)
    if page.after is not None:
        query = query.where(messages.c.sequence_number > page.after)
    return query


async def _turn_bounds(
    connection: AsyncConnection, tenant: str, session_id: str, page: ReadMessages, limit: int
) -> tuple[int, int, bool]:
    """The half-open range of sequence numbers that holds up to `limit` whole turns, and whether that is all."""
    number = messages.c.sequence_number
    here = _is(messages, tenant, session_id)
    ends = await connection.execute(_within(select(func.min(number), func.max(number)).where(here), page))
    bottom, top = ends.one()
    if top is None:
        return 0, 0, True
    # What is added meanwhile is not of this page.
    starts = _within(select(number).where(here, messages.c.role == "user", number <= top), page)
    if page.after is not None:
        # `limit` turns upwards end where the next one starts.
        found = list(await connection.scalars(starts.order_by(number).limit(limit + 1)))
        leading = bool(not found or found[0] > bottom)
        end = found[limit - leading :][:1]
        return bottom, end[0] if end else top + 1, not end
    found = list(await connection.scalars(starts.order_by(number.desc()).limit(limit)))
    low = found[-1] if len(found) == limit else bottom
    return low, top + 1, low == bottom


async def _bytes(connection: AsyncConnection, session: Session, low: int, high: int) -> int:
    """Of the JSON of the turns from `low` to below `high`: about as many as that will have, and no less."""
    inside = _between(session, low, high)
    asked = select(messages.c.message_id).where(inside, messages.c.role == "user")
    of_messages = select(func.octet_length(_row_text(messages)) + _FRAME_BYTES).where(inside)
    of_sets = select(func.octet_length(_row_text(working_sets))).where(
        _is(working_sets, session.tenant, session.session_id), working_sets.c.message_id.in_(asked)
    )
    sizes = of_messages.union_all(of_sets).subquery()
    return len(session.model_dump_json().encode()) + int(await connection.scalar(select(func.sum(sizes.c[0]))) or 0)


def _row_text(table: Table) -> ColumnElement[str]:
    """A whole row as JSON."""
    return cast(func.row_to_json(table.table_valued()), Text)


def _between(session: Session, low: int, high: int) -> ColumnElement[bool]:
    number = messages.c.sequence_number
    return and_(_is(messages, session.tenant, session.session_id), number >= low, number < high)


async def _replay(connection: AsyncConnection, session: Session, low: int, high: int, complete: bool) -> Replay:
    rows = await connection.execute(
        select(messages).where(_between(session, low, high)).order_by(messages.c.sequence_number)
    )
    found = [message_of(row) for row in rows.mappings()]
    sets: dict[str, WorkingSet] = {}
    lost: dict[str, WorkingSetRef] = {}
    asked = _between(session, low, high), messages.c.role == "user"
    for message_id, recorded, body in await connection.execute(_COMPILED.where(*asked)):
        if body is None:
            if recorded is not None:
                lost[message_id] = WorkingSetRef.model_validate(recorded)
            continue
        # The hash is the event's: whoever changes the row could change the one in it, too.
        known = {"context_hash": recorded["context_hash"]} if recorded is not None else {}
        sets[message_id] = WorkingSet.model_validate({**body, **known})
    return Replay(session=session, turns=turns_of(found, working_sets=sets, references=lost), complete=complete)


def _of_message(table: Table, message_id: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(_is(table, messages.c.tenant, messages.c.session_id), message_id == messages.c.message_id)


_COMPILED = select(messages.c.message_id, events.c.data["working_set"], working_sets.c.body).select_from(
    messages.outerjoin(  # one that was compiled for came by itself, so its id is its event's key
        events, and_(_of_message(events, events.c.key), events.c.type == "message_added")
    ).outerjoin(working_sets, _of_message(working_sets, working_sets.c.message_id))
)
"""Of messages: what their events say of their working sets, and what is stored of them."""


def _conditions(tenant: str, where: SessionFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [sessions.c.tenant == tenant]
    conditions.append(sessions.c.status == where.status if where.status else sessions.c.status != "deleted")
    if where.user_id is not None:
        conditions.append(sessions.c.user_id == where.user_id)
    if where.metadata is not None:
        conditions.append(sessions.c.metadata.contains(where.metadata))
    if where.updated_after is not None:
        conditions.append(sessions.c.updated_at >= where.updated_after)
    if where.updated_before is not None:
        conditions.append(sessions.c.updated_at < where.updated_before)
    if where.cursor is not None:
        updated_at, session_id = _position(where.cursor)
        older = sessions.c.updated_at < updated_at
        tied = and_(sessions.c.updated_at == updated_at, sessions.c.session_id > session_id)
        conditions.append(older | tied)
    return conditions


def _cursor(session: Session) -> str:
    return base64.urlsafe_b64encode(to_json([session.updated_at, session.session_id])).decode()


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        written_at, session_id = from_json(base64.urlsafe_b64decode(cursor))
        updated_at = datetime.fromisoformat(written_at)
        if updated_at.tzinfo is None or not is_id(session_id):
            raise unknown_cursor()
        return updated_at, session_id
    except (ValueError, TypeError) as error:
        raise unknown_cursor() from error
