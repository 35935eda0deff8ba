"""From one run of a session's workflow to the next: what is handed on, when, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from temporalio.client import WorkflowExecutionStatus

from perdure.contract import SESSION_WORKFLOW
from tests.sessions.caller import Caller, failure_of
from tests.support.eventually import eventually
from tests.support.rules import disagreements
from tests.support.site import Site

SHORT_RUNS = {"run_budget": {"events": 20}}
SMALL_RUNS = {"max_content_bytes": 512 * 1024, "run_budget": {"history_bytes": 1024 * 1024}}


async def _run_id(caller: Caller) -> str | None:
    return (await caller.handle.describe()).run_id


async def _until_the_next_run(caller: Caller, call: Callable[[], Awaitable[object]]) -> None:
    first = await _run_id(caller)

    async def changed() -> bool:
        await call()
        return await _run_id(caller) != first

    await eventually(changed, within=60)  # a task that is lost on a busy machine is waited for


async def test_pages_and_a_heavy_state_are_not_carried_by_one_workflow_task(caller: Caller) -> None:
    await caller.update("add_message", {"role": "assistant", "content": "\x01" * 147_000})  # six bytes each, as JSON

    async def two_pages() -> None:
        pages = (caller.update("read_messages", {"limit": 1}) for _ in range(2))
        await asyncio.wait_for(asyncio.gather(*pages), 15)

    await _until_the_next_run(caller, two_pages)
    assert await caller.run_is(WorkflowExecutionStatus.RUNNING)
    session = caller.site.client.session(caller.session_id)  # which sends again where the next run is due as well
    assert (await session.add_message("user", "and now?")).sequence_number == 1


async def test_a_batch_that_spends_a_runs_budget_twice_over_does_not_shut_the_session(site: Site) -> None:
    caller = await Caller.start(site, "batch", config=SMALL_RUNS)
    await caller.update("add_messages", {"messages": [{"role": "user", "content": "x" * 10_350}] * 100})
    assert (await asyncio.wait_for(caller.says("Hello"), 15)).sequence_number == 100


async def test_a_run_does_not_end_for_the_state_that_it_was_given(site: Site) -> None:
    caller = await Caller.start(site, "heavy", metadata={"x": "y" * 15_000}, config=SMALL_RUNS)
    first = await _run_id(caller)
    await caller.says("x" + "\n" * 520_000)  # two bytes each, as JSON: all that a run may spend
    await caller.handle.signal("touch")

    async def changed() -> bool:
        return await _run_id(caller) != first

    await eventually(changed)
    second = await _run_id(caller)
    await asyncio.sleep(3)
    assert await _run_id(caller) == second


async def test_a_cleared_title_stays_cleared(site: Site) -> None:
    caller = await Caller.start(site, "titled", title="A talk", config=SHORT_RUNS)
    await _until_the_next_run(caller, lambda: caller.says("Hello"))
    await caller.update("update_session", {"title": None})
    await _until_the_next_run(caller, lambda: caller.says("Hello"))
    assert await (await caller.handle.describe()).memo_value("title", None) is None
    assert disagreements(await caller.observed()) == []


async def test_only_a_run_hands_a_state_to_the_next(site: Site, caller: Caller) -> None:
    await caller.says("a secret")
    owner = {"run_id": await _run_id(caller), "started_at": datetime.now(UTC)}
    carry = {"state": await caller.handle.query("get_state"), "owner": owner, "active_at": datetime.now(UTC)}
    forged = await site.bare.start_workflow(
        SESSION_WORKFLOW,
        {"tenant": site.settings.tenant, "session_id": "forged", "carry": carry},
        id=site.workflow_id("forged"),
        task_queue=site.settings.task_queue,
    )
    assert await failure_of(forged) == "InvalidRequest"
    assert (await caller.says("and now?")).sequence_number == 1
