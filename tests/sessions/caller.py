"""A caller that has nothing but a Temporal client, and sees the wire as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from perdure.contract import SESSION_WORKFLOW
from perdure.events import Event
from perdure.message import Message
from perdure.session import Session
from tests.support.observed import Observed, observe
from tests.support.site import Site


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A refusal as it crossed the wire."""

    name: str
    message: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """Calls one session by its workflow id, with JSON and nothing else."""

    site: Site
    session_id: str
    handle: WorkflowHandle[Any, Any]

    @classmethod
    async def start(cls, site: Site, session_id: str, *, task_timeout: timedelta | None = None, **start: Any) -> Caller:
        """Start a session, as any Temporal client would."""
        handle = await site.bare.start_workflow(
            SESSION_WORKFLOW,
            {"tenant": site.settings.tenant, "session_id": session_id, **start},
            id=site.workflow_id(session_id),
            task_queue=site.settings.task_queue,
            task_timeout=task_timeout,
        )
        return cls(site, session_id, site.bare.get_workflow_handle(handle.id))

    async def update(self, name: str, body: object = None, *, update_id: str | None = None) -> Any:
        """The answer to an update, as JSON."""
        return await self.handle.execute_update(name, {} if body is None else body, id=update_id)

    async def refused(self, name: str, body: object = None) -> Refusal:
        """The refusal of an update, which must have one."""
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await self.update(name, body)
        cause = failed.value.cause
        assert isinstance(cause, ApplicationError)
        (details,) = cause.details
        return Refusal(name=cause.type or "", message=cause.message, details=details)

    async def says(self, content: str, role: str = "user") -> Message:
        """Add a message."""
        answer = await self.update("add_message", {"role": role, "content": content})
        return Message.model_validate(answer["message"])

    async def session(self) -> Session:
        """The session as the open run has it."""
        return Session.model_validate(await self.handle.query("get_session"))

    async def events(self) -> list[Event]:
        """What happened, from Postgres."""
        return (await self.site.reader.read_events(self.site.settings.tenant, self.session_id)).events

    async def event_types(self) -> list[str]:
        """The types of the events."""
        return [event.data.type for event in await self.events()]

    async def observed(self) -> Observed:
        """The session from every side."""
        return await observe(self.site.client, self.site.reader, self.session_id)

    async def run_is(self, status: WorkflowExecutionStatus) -> bool:
        """Whether the newest run has that status."""
        return (await self.handle.describe()).status is status

    async def history_length(self) -> int:
        """Events in Temporal's history of the newest run."""
        return (await self.handle.describe()).history_length


async def failure_of(handle: WorkflowHandle[Any, Any]) -> str | None:
    """The name of the failure that a run ends with."""
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause.type


def raw(json: bytes) -> RawValue:
    """Exactly these bytes, as JSON."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=json))
