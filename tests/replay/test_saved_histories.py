"""Sessions that were recorded by earlier programs replay on this one, and live ones replay at every step."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from perdure.session import RunBudget, SessionConfig
from tests.support.load import times, write
from tests.support.runs import histories
from tests.support.site import Site, site_on
from workers.runner import SessionRunner
from workers.settings import Settings
from workers.stack.stack import Stack
from workflows.session import SessionWorkflow

FOLDER = Path(__file__).parent / "histories"
SAVED = sorted(FOLDER.glob("*.json"))
NAMES = {
    "backlog",
    "caught_up",
    "changed",
    "compiled",
    "deleted",
    "deleted_late",
    "every_role",
    "idle",
    "purged_alone",
    "rested",
    "rolled",
    "several_at_once",
    "signalled",
    "unknown",
}


SANDBOX = SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules("bpe_openai"))
"""The SDK's own: what a workflow reaches, ours or not, finds no clock, no randomness and no I/O in it."""


def _replayer(runner: WorkflowRunner) -> Replayer:
    return Replayer(workflows=[SessionWorkflow], data_converter=pydantic_data_converter, workflow_runner=runner)


def _history(name: str, **replaced: str) -> WorkflowHistory:
    text = FOLDER.joinpath(f"{name}.json").read_text("utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    return WorkflowHistory.from_json(f"session:default:{name.rpartition('-')[0]}", text)


def test_there_is_a_history_of_everything_a_session_goes_through() -> None:
    assert {path.stem.rpartition("-")[0] for path in SAVED} >= NAMES
    assert {"rolled-0.json", "rolled-1.json"} <= {path.name for path in SAVED}


@pytest.mark.parametrize("runner", [SessionRunner(), SANDBOX], ids=["as it runs", "in the sandbox"])
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
async def test_a_saved_history_replays(path: Path, runner: WorkflowRunner) -> None:
    await _replayer(runner).replay_workflow(_history(path.stem))


async def test_a_history_of_another_program_does_not_replay() -> None:
    with pytest.raises(NondeterminismError):
        await _replayer(SessionRunner()).replay_workflow(_history("every_role-0", add_message="suspend"))


async def test_a_session_whose_worker_remembers_nothing_behaves_as_ever(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    async with site_on(stack, settings, tmp_path) as site, site.worker_here(max_cached_workflows=0):
        await _lives(site)


async def _lives(site: Site) -> None:
    sessions = await site.sessions(2, SessionConfig(run_budget=RunBudget(events=30)))
    await write(site.ledger, site.client, sessions, writers=2, pace=times(20))
    for session_id in sessions:
        await site.client.session(session_id).suspend()
        await write(site.ledger, site.client, [session_id], writers=1, pace=times(3), name="after")
        await site.client.session(session_id).get()  # the newest run has begun: a replay of one that has not would wait
        for history in await histories(site.bare, site.workflow_id(session_id)):
            await _replayer(SessionRunner()).replay_workflow(history)
    await site.check(met={})
