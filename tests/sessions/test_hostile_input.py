"""Nothing that a caller sends may stop a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from perdure.contract import SESSION_WORKFLOW
from perdure.errors import SessionNotFound
from tests.sessions.caller import Caller, failure_of, raw
from tests.support.eventually import eventually
from tests.support.runs import histories
from tests.support.site import Site
from workers.runner import SessionRunner
from workflows.session import SessionWorkflow


def nested(depth: int) -> dict[str, Any]:
    """An object with lists in it, `depth` levels deep."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return {"deep": value}


@pytest.mark.parametrize(
    ("name", "body", "refusal"),
    [
        ("add_message", {"role": "user", "content": "x", "message_id": "i" * 1_000_000}, "InvalidRequest"),
        ("add_message", {"role": "r" * 1_000_000, "content": "x"}, "InvalidRole"),
        ("add_message", {"role": "user", "content": "x", "expected_head": "h" * 1_000_000}, "InvalidRequest"),
        ("add_message", {"role": "user", "content": "x", **{f"f{i}": 1 for i in range(50_000)}}, "InvalidRequest"),
        ("add_message", {"role": "user", "content": "x" * 1_700_000}, "PayloadTooLarge"),
        ("add_message", {"role": "user", "content": "x", "metadata": nested(100)}, "InvalidMessage"),
        ("read_messages", {"before": 2**63}, "InvalidRequest"),
        ("read_replay", {"after": -(2**63) - 1}, "InvalidRequest"),
        ("update_session", {"config": {"idle_timeout": 1e12}}, "InvalidRequest"),
        ("update_session", {"config": {"archive_after": "P999999999D"}}, "InvalidRequest"),
    ],
)
async def test_hostile_input_is_refused_by_name_and_the_session_goes_on(
    caller: Caller, name: str, body: dict[str, Any], refusal: str
) -> None:
    refused = await caller.refused(name, body)
    assert refused.name == refusal
    assert len(refused.message) < 3000
    assert (await caller.says("still here")).sequence_number == 0


async def test_a_title_in_a_codec_that_the_worker_has_not_stops_nothing(site: Site) -> None:
    sealed = RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"?"))
    start = {"tenant": site.settings.tenant, "session_id": "talk", "title": "Plain"}
    handle = await site.bare.start_workflow(
        SESSION_WORKFLOW,
        start,
        id=site.workflow_id("talk"),
        task_queue=site.settings.task_queue,
        memo={"title": sealed},
    )
    assert (await Caller(site, "talk", handle).says("Hello")).sequence_number == 0
    assert await (await handle.describe()).memo_value("title") == "Plain"


async def test_one_message_id_under_many_keys_at_once_is_stored_once(caller: Caller) -> None:
    for number in range(3):
        bodies = [
            {
                "messages": [{"role": "user", "content": "once", "message_id": f"same-{number}"}],
                "request_id": f"r{i}-{number}",
            }
            for i in range(4)
        ]
        answers = await asyncio.gather(*(caller.update("add_messages", b) for b in bodies), return_exceptions=True)
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert (await caller.says("still here")).sequence_number == 3


async def test_a_deleted_session_refuses_to_be_read(caller: Caller) -> None:
    await caller.says("gone soon")
    _, *reads = await asyncio.gather(
        caller.update("delete"), *(caller.update("read_replay") for _ in range(3)), return_exceptions=True
    )
    assert len(reads) == 3  # each ended, with a page or with a refusal


async def test_a_start_whose_input_names_another_session_is_refused(site: Site, caller: Caller) -> None:
    await caller.says("mine")
    other = await site.bare.start_workflow(
        "Session",
        {"tenant": site.settings.tenant, "session_id": caller.session_id},
        id=site.workflow_id("other"),
        task_queue=site.settings.task_queue,
    )
    assert await failure_of(other) == "InvalidRequest"
    assert (await caller.says("still mine")).sequence_number == 1


async def test_reads_alone_make_a_run_roll(site: Site) -> None:
    caller = await Caller.start(site, "read", config={"run_budget": {"events": 20}})
    first = (await caller.handle.describe()).run_id
    for _ in range(8):
        await caller.update("read_messages")
    await caller.says("hello")
    assert (await caller.handle.describe()).run_id != first


SAID = {"role": "user", "content": "one too many"}


@pytest.mark.parametrize("second", [SAID, None, raw(b"{")], ids=["an object", "null", "no JSON"])
async def test_two_inputs_are_refused_and_the_session_goes_on(caller: Caller, second: object) -> None:
    for name in ("add_message", "suspend", "read_messages"):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await caller.handle.execute_update(name, args=[SAID, second])
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "InvalidRequest"
        assert "There were 2 inputs. Send one" in refused.value.cause.message
    with pytest.raises(WorkflowQueryFailedError, match="There were 2 inputs"):
        await caller.handle.query("get_history", args=[{}, second])
    await caller.handle.signal("touch", args=[{}, second])
    await caller.handle.signal("user_message", args=[{"content": "x"}, second])

    async def recorded() -> bool:
        return "error_recorded" in await caller.event_types()

    await eventually(recorded)
    assert (await caller.says("still here")).sequence_number == 0
    assert await caller.event_types() == ["session_created", "error_recorded", "message_added"]
    replayer = Replayer(
        workflows=[SessionWorkflow], data_converter=pydantic_data_converter, workflow_runner=SessionRunner()
    )
    for history in await histories(caller.site.bare, caller.handle.id):
        await replayer.replay_workflow(history)


async def test_a_start_with_two_inputs_fails_by_name_and_makes_nothing(site: Site) -> None:
    start = {"tenant": site.settings.tenant, "session_id": "two"}
    handle = await site.bare.start_workflow(
        "Session", args=[start, start], id=site.workflow_id("two"), task_queue=site.settings.task_queue
    )
    assert await failure_of(handle) == "InvalidRequest"
    with pytest.raises(SessionNotFound):
        await site.reader.get_session(site.settings.tenant, "two")
