"""Lists of sessions, from the reader or, for a client that has nothing but Temporal, from its visibility."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from zlib import crc32

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from perdure import attributes
from perdure.base import Result
from perdure.contract import SESSION_WORKFLOW
from perdure.errors import InvalidRequest, Unavailable
from perdure.ids import workflow_id
from perdure.reader import SessionFilter, unknown_cursor
from perdure.session import Session, Status


class SessionSummary(Result):
    """A session in a list. From visibility, count and time are as of its last change of status or of runs."""

    tenant: str
    session_id: str
    user_id: str | None = None
    title: str | None = None
    status: Status
    message_count: int
    updated_at: datetime

    @classmethod
    def of(cls, session: Session) -> SessionSummary:
        """The summary of a whole session."""
        return cls.model_validate(session.model_dump(include=set(cls.model_fields)))


class SessionList(Result):
    """Sessions, in the order of `list_sessions`. `cursor` asks for the next page; none: there is no more."""

    sessions: list[SessionSummary]
    cursor: str | None = None


async def list_by_visibility(client: Client, tenant: str, where: SessionFilter, rpc_timeout: timedelta) -> SessionList:
    """A page of sessions as Temporal knows them, newest start first.

    It may hold fewer than `limit`. A session that was archived and came back may be listed again on a later page, as it
    was then; one that Temporal has forgotten, since its retention is over, is not listed.

    Raises:
        InvalidRequest: a filter that visibility has no answer to.
        Unavailable: Temporal does not answer.
    """
    query = _query(tenant, where)
    token = _token(where.cursor)
    prefix = workflow_id(tenant, "x").removesuffix("x")
    found: dict[str, SessionSummary] = {}
    try:
        page = client.list_workflows(query, page_size=where.limit, next_page_token=token, rpc_timeout=rpc_timeout)
        await page.fetch_next_page()
    except (RPCError, RuntimeError) as error:
        raise Unavailable(f"Temporal cannot list sessions: {error} See `perdure doctor`.") from error
    for run in page.current_page or ():
        session_id = run.id.removeprefix(prefix)
        if session_id not in found and (summary := await _summary(tenant, session_id, run)):
            found[session_id] = summary
    more = page.next_page_token
    return SessionList(
        sessions=[s for s in found.values() if where.status in (None, s.status)],
        cursor=_cursor(more) if more else None,
    )


def _query(tenant: str, where: SessionFilter) -> str:
    if where.metadata is not None or where.status == "deleted":
        raise InvalidRequest(
            "Without a reader, sessions are listed by user, status and time only. Give the client a reader to list "
            "them by metadata, or deleted ones."
        )
    terms = [
        f"WorkflowType = {_quoted(SESSION_WORKFLOW)}",
        f"{attributes.TENANT.name} = {_quoted(tenant)}",
        # A session that is active or suspended is an open workflow; an archived one may have been opened again since.
        "ExecutionStatus = 'Running'"
        if where.status in ("active", "suspended")
        else "ExecutionStatus != 'ContinuedAsNew'",
    ]
    if where.status is not None:
        terms.append(f"{attributes.STATUS.name} = {_quoted(where.status)}")
    else:
        terms.append(f"{attributes.STATUS.name} IN ('active', 'suspended', 'archived')")
    if where.user_id is not None:
        terms.append(f"{attributes.USER.name} = {_quoted(where.user_id)}")
    if where.updated_after is not None:
        terms.append(f"{attributes.LAST_ACTIVITY.name} >= '{_time(where.updated_after)}'")
    if where.updated_before is not None:
        terms.append(f"{attributes.LAST_ACTIVITY.name} < '{_time(where.updated_before)}'")
    return " AND ".join(terms)


def _time(value: datetime) -> str:
    """In UTC: visibility knows no time zones of odd seconds."""
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:
        raise InvalidRequest(f"{value.isoformat()} is no time in UTC.") from None


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _cursor(token: bytes) -> str:
    """With a checksum: Temporal answers a token that is not its own like a failure of its own."""
    return base64.urlsafe_b64encode(crc32(token).to_bytes(4) + token).decode()


def _token(cursor: str | None) -> bytes | None:
    if cursor is None:
        return None
    try:
        data = base64.urlsafe_b64decode(cursor)
    except ValueError as error:
        raise unknown_cursor() from error
    checksum, token = data[:4], data[4:]
    if crc32(token).to_bytes(4) != checksum or not token:
        raise unknown_cursor()
    return token


async def _summary(tenant: str, session_id: str, run: WorkflowExecution) -> SessionSummary | None:
    shown = run.typed_search_attributes
    status = shown.get(attributes.STATUS)
    if status not in ("active", "suspended", "archived"):
        return None
    return SessionSummary(
        tenant=tenant,
        session_id=session_id,
        user_id=shown.get(attributes.USER),
        title=await run.memo_value("title", None),
        status=status,
        message_count=shown.get(attributes.MESSAGE_COUNT) or 0,
        updated_at=shown.get(attributes.LAST_ACTIVITY) or run.start_time,
    )
