"""The client: connects, starts sessions, hands out handles, lists."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self

from temporalio.client import Client as TemporalClient
from temporalio.client import Plugin
from temporalio.service import GrpcCompression, RetryConfig

from perdure.base import plain
from perdure.calls import Calls
from perdure.contract import TASK_QUEUE, Handlers, StartSession
from perdure.errors import InvalidRequest
from perdure.fields import given
from perdure.handle import SessionHandle
from perdure.ids import DEFAULT_TENANT
from perdure.listing import SessionList, SessionSummary, list_by_visibility
from perdure.profile import connect, load_profile
from perdure.reader import Reader, SessionFilter
from perdure.session import SessionConfig
from perdure.transport import Command, TemporalTransport


class Client:
    """A typed client of Perdure's sessions, for one tenant. Safe to share between tasks of one event loop.

    Each attempt of a call is given up after `rpc_timeout`, and a call, with all its attempts, after `timeout`; `verify`
    and `what_if` have a timeout of their own.

    Args:
        temporal: connected to the namespace that the workers poll. Its data converter must write JSON. If several
            clients write to one session at once, give it `RetryConfig(max_retries=1)`, as `connect` does: the SDK's own
            retries hide for seconds that a session has too many updates in flight.
        tenant: whose sessions.
        task_queue: where the workers poll.
        reader: the read side, for a client that may reach the database. Without one, older messages are read through
            the session's workflow, and lists come from Temporal's visibility.
    """

    def __init__(
        self,
        temporal: TemporalClient,
        *,
        tenant: str = DEFAULT_TENANT,
        task_queue: str = TASK_QUEUE,
        reader: Reader | None = None,
        rpc_timeout: timedelta = timedelta(seconds=5),
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self.temporal = temporal
        self.tenant = tenant
        self._reader = reader
        self._calls = Calls(TemporalTransport(temporal, task_queue), rpc_timeout=rpc_timeout, timeout=timeout)

    @classmethod
    async def connect(
        cls,
        address: str | None = None,
        *,
        namespace: str | None = None,
        tenant: str = DEFAULT_TENANT,
        task_queue: str = TASK_QUEUE,
        reader: Reader | None = None,
        rpc_timeout: timedelta = timedelta(seconds=5),
        timeout: timedelta = timedelta(seconds=30),
        plugins: Sequence[Plugin] = (),
    ) -> Self:
        """Connect to Temporal, as the profile and the `TEMPORAL_*` variables of the `temporal` CLI say.

        Nothing is compressed on the way. From afar, give the class a Temporal client that compresses.

        Args:
            address: `host:port`, in place of theirs.
            namespace: in place of theirs.
            tenant, task_queue, reader, rpc_timeout, timeout: as for the class.
            plugins: of the Temporal client. With `temporalio.contrib.opentelemetry.OpenTelemetryPlugin` a turn is one
                trace, from this call to PostgreSQL and Weaviate, if the workers trace too.

        Raises:
            InvalidRequest: the profile, the address or a timeout is none; the message says why.
            Unavailable: nobody answers at the address.
        """
        config = load_profile().to_client_connect_config()
        if address:
            config["target_host"] = address
        if namespace:
            config["namespace"] = namespace
        temporal = await connect(
            config,
            # We retry by ourselves. The SDK would hide an error for up to ten seconds.
            retry_config=RetryConfig(max_retries=1),
            plugins=plugins,
            grpc_compression=GrpcCompression.NONE,  # of an answer with a working set it takes the server 2 ms
        )
        return cls(
            temporal, tenant=tenant, task_queue=task_queue, reader=reader, rpc_timeout=rpc_timeout, timeout=timeout
        )

    def session(self, session_id: str) -> SessionHandle:
        """A handle on a session, which need not exist. No I/O.

        Raises:
            InvalidSessionId: it is not 1-128 of `[A-Za-z0-9._:-]`.
        """
        return SessionHandle(self._calls, self.tenant, session_id, self._reader)

    async def start_session(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        title: str | None = None,
        metadata: dict[str, Any] | None = None,
        corpus: str | None = None,
        config: SessionConfig | dict[str, Any] | None = None,
    ) -> SessionHandle:
        """Make a session, or open the one that has this id: it then stays as it is, and the other arguments go unused.

        Args:
            session_id: yours, which makes the call safe to repeat; a new UUID if it is None.
            user_id: whose session it is.
            title: shown in lists and in Temporal's UI.
            metadata: up to 16 KiB of JSON.
            corpus: what working sets are drawn from; in place of the config's. One that is not there is no error: until
                it is made, each working set is empty, and `degraded` with that reason.
            config: a `SessionConfig`, or the fields of one.

        Raises:
            InvalidSessionId: it is not 1-128 of `[A-Za-z0-9._:-]`.
            SessionDeleted: the id was used by a session that was deleted.
            CapacityExceeded: the tenant has as many active sessions as it may; nothing was made.
            OutcomeUnknown, Unavailable: as for commands of `SessionHandle`.
        """
        handle = self.session(str(uuid.uuid4()) if session_id is None else session_id)
        fields = plain(config)
        if corpus is not None and (fields is None or isinstance(fields, dict)):  # else `given` says what it takes
            fields = {**(fields or {}), "corpus": corpus}
        start = given(
            StartSession,
            tenant=self.tenant,
            session_id=handle.session_id,
            user_id=user_id,
            title=title,
            metadata=metadata,
            config=fields,
        ).model_dump(mode="json", exclude_unset=True)
        await self._calls.update(
            Command(
                workflow_id=handle.workflow_id,
                name=Handlers.UPDATE_SESSION,  # of nothing: answered as soon as the session is open
                body={},
                key=handle.session_id,
                revive=start,
                at_once=True,
            )
        )
        return handle

    async def list_sessions(self, where: SessionFilter | None = None) -> SessionList:
        """A page of sessions: from the reader, last changed first, else from visibility, newest start first.

        Raises:
            InvalidRequest: the cursor is not one of this client's, or visibility knows no such filter.
            Unavailable: Temporal, or the reader, does not answer.
        """
        where = SessionFilter() if where is None else where
        if not isinstance(where, SessionFilter):
            raise InvalidRequest(f"where: takes a SessionFilter, not {where!r}")
        if self._reader is None:
            return await list_by_visibility(self.temporal, self.tenant, where, self._calls.rpc_timeout)
        page = await self._calls.read(self._reader.list_sessions(self.tenant, where))
        return SessionList(sessions=[SessionSummary.of(session) for session in page.sessions], cursor=page.cursor)
