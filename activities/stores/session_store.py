"""The write side of sessions in Postgres: open and commit, each in one transaction, idempotent and fenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import to_json
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.commit import (
    Answered,
    Commit,
    Committed,
    Open,
    Opened,
    Owner,
    ReadAnswer,
    StoredMessage,
    StoredReceipt,
)
from activities.deflate import answerable
from activities.ports import Fenced, Unstorable
from activities.stores.batches import in_batches
from activities.stores.engine import Engine
from activities.stores.session_commit import commit_rows, commit_statement
from activities.stores.session_rows import event_of, event_row, is_session, session_of
from activities.stores.tables import events, messages, sessions, tenants, working_sets
from perdure.errors import CapacityExceeded, SessionNotFound
from perdure.events import Event, MessageAdded, SessionCreated
from perdure.session import Session
from perdure.working_set import WorkingSet

CATCH_UP_BYTES = 512 * 1024
"""Bound of the events that one answer brings to a run that is behind: always those of whole commands, one at least."""


class PostgresSessionStore:
    """`activities.ports.SessionStore` on Postgres."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open(self, request: Open) -> Opened:
        start = request.start
        async with self._engine.begin() as connection:
            await connection.execute(upsert(tenants).values(tenant=start.tenant).on_conflict_do_nothing())
            where = is_session(sessions, start.tenant, start.session_id)
            found = (await connection.execute(select(sessions).where(where).with_for_update())).mappings().one_or_none()
            if found is None:
                if start.restore_only:
                    raise SessionNotFound(session_id=start.session_id)
                return await self._create(connection, request)
            if found["owner"] != request.owner.run_id:
                if found["owner_started_at"] > request.owner.started_at:
                    raise _fenced(request.owner)
                await connection.execute(
                    update(sessions)
                    .where(where)
                    .values(owner=request.owner.run_id, owner_started_at=request.owner.started_at)
                )
            return await self._restore(connection, session_of(found), request)

    async def _create(self, connection: AsyncConnection, request: Open) -> Opened:
        start = request.start
        await _admit(connection, start.tenant, start.session_id, "create new session")
        session = start.session(at=request.at)
        event = Event(sequence=session.event_sequence, created_at=request.at, data=SessionCreated(session=session))
        row = {name: getattr(session, name) for name in Session.model_fields}
        owner = {"owner": request.owner.run_id, "owner_started_at": request.owner.started_at}
        await connection.execute(insert(sessions).values(**row, **owner))
        await connection.execute(insert(events), [event_row(start.tenant, start.session_id, event)])
        return Opened(session=session)

    async def _restore(self, connection: AsyncConnection, session: Session, request: Open) -> Opened:
        here = is_session(events, session.tenant, session.session_id)
        stored: list[MessageAdded] = []
        size = 0
        added = select(events.c.sequence, events.c.data).where(here, events.c.type == "message_added")
        async with in_batches(connection, added, events.c.sequence, descending=True) as rows:
            async for row in rows:
                if len(stored) == request.window_messages or size > request.window_bytes:
                    break
                stored.append(MessageAdded.model_validate(row["data"]))
                size += len(to_json(stored[-1].message))
        later = events.alias()
        last = (
            select(func.max(later.c.sequence))
            .where(is_session(later, session.tenant, session.session_id), later.c.key == events.c.key)
            .scalar_subquery()
        )
        keyed = await connection.execute(
            select(events.c.key, events.c.body_hash, events.c.sequence, last)
            .where(here, events.c.key.is_not(None), events.c.ordinal == 0)
            .order_by(events.c.sequence.desc())
            .limit(request.receipts)
        )
        receipts = [StoredReceipt(key=k, body_hash=h, first=first, last=end) for k, h, first, end in keyed]
        return Opened(
            session=session,
            messages=[StoredMessage(message=s.message, working_set=s.working_set) for s in reversed(stored)],
            receipts=receipts[::-1],
        )

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        statement, rows = commit_statement(*request.changed), commit_rows(request, completed, working_sets)
        try:
            status = request.changed.get("status")
            if status is None:
                async with self._engine.connect() as connection:  # one statement is a transaction by itself
                    moved = await connection.scalar(statement, rows)
            else:
                async with self._engine.begin() as connection:
                    if status == "active":
                        await _admit(connection, request.tenant, request.session_id, "resume the session")
                    moved = await connection.scalar(statement, rows)
                    if moved and status == "deleted":
                        await _forget(connection, request)
        except (IntegrityError, CapacityExceeded) as error:
            if isinstance(error, CapacityExceeded) and (behind := await self._behind(request)).events:
                return behind  # an attempt that died took the place, which others have filled since
            # A key or a message id that the run had forgotten: say which, and store nothing. A repeat needs no place.
            known = await self._known(request)
            if known.receipts or known.message_ids:
                return known
            if isinstance(error, CapacityExceeded):
                raise
            raise _unstorable(error) from error
        except DataError as error:
            raise _unstorable(error) from error
        if moved:
            return Committed(outcome="committed")
        behind = await self._behind(request)
        if not behind.events:  # Postgres has lost what this run saw stored: the next run takes what it has
            raise _fenced(request.owner)
        return behind

    async def _behind(self, request: Commit) -> Committed:
        """The events after the base, which an attempt that died had committed."""
        async with self._engine.connect() as connection:
            owner = await connection.scalar(
                select(sessions.c.owner).where(is_session(sessions, request.tenant, request.session_id))
            )
            if owner != request.owner.run_id:
                raise _fenced(request.owner)
            later = select(events).where(
                is_session(events, request.tenant, request.session_id), events.c.sequence > request.base_sequence
            )
            found: list[Event] = []
            whole = size = 0  # events of `found` that end with a command, and their bytes with those of the next one
            async with in_batches(connection, later, events.c.sequence) as rows:
                async for row in rows:
                    event = event_of(row)
                    if event.ordinal == 0:
                        whole = len(found)
                    size += len(event.model_dump_json().encode())
                    if whole and size > CATCH_UP_BYTES:
                        return Committed(outcome="behind", events=found[:whole])
                    found.append(event)
        return Committed(outcome="behind", events=found)

    async def _known(self, request: Commit) -> Committed:
        keys = {event.key for event in request.events if event.key}
        ids = {event.data.message.message_id for event in request.events if isinstance(event.data, MessageAdded)}
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(
                    events.c.key, func.min(events.c.body_hash), func.min(events.c.sequence), func.max(events.c.sequence)
                )
                .where(is_session(events, request.tenant, request.session_id), events.c.key.in_(keys))
                .group_by(events.c.key)
            )
            receipts = [StoredReceipt(key=k, body_hash=h, first=first, last=last) for k, h, first, last in rows]
            taken = await connection.scalars(
                select(messages.c.message_id).where(
                    is_session(messages, request.tenant, request.session_id), messages.c.message_id.in_(ids)
                )
            )
            return Committed(outcome="known", receipts=receipts, message_ids=list(taken))

    async def read_answer(self, request: ReadAnswer) -> Answered:
        here = is_session(events, request.tenant, request.session_id), events.c.key == request.key
        async with self._engine.connect() as connection:
            known = await connection.scalar(select(events.c.body_hash).where(*here, events.c.ordinal == 0))
            if known != request.body_hash or not request.answered:
                return Answered(body_hash=known)
            rows = await connection.execute(select(events).where(*here).order_by(events.c.sequence))
            found = [event_of(row) for row in rows.mappings()]
            if not request.room:
                return Answered(body_hash=known, events=found)
            added = {
                e.data.message.message_id: (e.sequence, e.data.message)
                for e in found
                if isinstance(e.data, MessageAdded)
            }
            bodies = await connection.execute(
                select(working_sets.c.message_id, working_sets.c.body).where(
                    is_session(working_sets, request.tenant, request.session_id),
                    working_sets.c.message_id.in_(added),
                )
            )
            sets = ((*added[message_id], to_json(body), request.room) for message_id, body in bodies)
            return Answered(body_hash=known, events=found, working_sets=answerable(sets))


def _unstorable(error: DBAPIError) -> Unstorable:
    """To decide again would end here again. Below the first line Postgres quotes the row."""
    return Unstorable(str(error.orig).partition("\n")[0])


def _fenced(owner: Owner) -> Fenced:
    return Fenced(f"Run {owner.run_id} no longer owns the session.")


async def _admit(connection: AsyncConnection, tenant: str, session_id: str, to: str) -> None:
    """Take a place among the tenant's active sessions; the lock is held only where there is a limit.

    The session itself is not counted: an attempt whose answer was lost may have activated it.
    """
    limit = await connection.scalar(
        select(tenants.c.max_active_sessions)
        .where(tenants.c.tenant == tenant, tenants.c.max_active_sessions.is_not(None))
        .with_for_update(key_share=True)
    )
    if limit is None:
        return
    current = await connection.scalar(
        select(func.count()).where(
            sessions.c.tenant == tenant, sessions.c.session_id != session_id, sessions.c.status == "active"
        )
    )
    if current >= limit:
        raise CapacityExceeded(
            f"Maximum session capacity reached ({current}/{limit}). Cannot {to}.",
            current=current,
            max=limit,
        )


async def _forget(connection: AsyncConnection, request: Commit) -> None:
    """Leave of a deleted session its row and its last event; what the same commit added before goes as well."""
    for table in (working_sets, messages):
        await connection.execute(delete(table).where(is_session(table, request.tenant, request.session_id)))
    past = events.c.type != "session_deleted"
    await connection.execute(delete(events).where(is_session(events, request.tenant, request.session_id), past))
