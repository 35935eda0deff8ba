"""What was recorded by earlier programs replays on this one, and live sessions replay at every step."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

import workflows
from perdure.contract import INGEST_WORKFLOW, PURGE_WORKFLOW, RECOMPILE_WORKFLOW, SESSION_WORKFLOW
from perdure.session import RunBudget, SessionConfig
from tests.replay.record import KNOWN
from tests.replay.saved import FOLDER, IDENTITY, names
from tests.support.load import times, write
from tests.support.runs import histories
from tests.support.site import Site, site_on
from workers.runner import SessionRunner
from workers.settings import Settings
from workers.stack.stack import Stack
from workflows.ingest import IngestCorpus
from workflows.purge import PurgeSession
from workflows.recompile import RecompileSession
from workflows.session import SessionWorkflow

SAVED = sorted(FOLDER.glob("*.json"))
SOURCES = sorted(Path(workflows.__path__[0]).rglob("*.py"))
WORKFLOWS: Mapping[str, type] = {
    SESSION_WORKFLOW: SessionWorkflow,
    INGEST_WORKFLOW: IngestCorpus,
    PURGE_WORKFLOW: PurgeSession,
    RECOMPILE_WORKFLOW: RecompileSession,
}
NAMES = {
    "another_user",
    "archived",
    "archived_in_time",
    "backlog",
    "behind",
    "bounded",
    "caught_up",
    "changed",
    "compiled",
    "deleted",
    "deleted_before",
    "deleted_late",
    "error_forgotten",
    "every_role",
    "expired_once",
    "heavy",
    "idle",
    "ingested",
    "not_kept_awake",
    "published_without_index",
    "purged",
    "purged_alone",
    "read",
    "recompiled",
    "refused_in_turn",
    "reindexed",
    "repeated_for_nothing",
    "repeated_late",
    "rested",
    "rolled",
    "several_at_once",
    "signalled",
    "suspended_and_resumed",
    "suspended_twice",
    "unknown",
}


SANDBOX = SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules("bpe_openai"))
"""The SDK's own: what a workflow reaches, ours or not, finds no clock, no randomness and no I/O in it."""


def _type_of(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


async def _replay(history: WorkflowHistory, runner: WorkflowRunner) -> None:
    """Replay on the one workflow that it is of: a sandbox takes half a second for each that it is given.

    Raises:
        NondeterminismError: it is of another program.
    """
    workflow = WORKFLOWS[_type_of(history)]
    replayer = Replayer(workflows=[workflow], data_converter=pydantic_data_converter, workflow_runner=runner)
    await replayer.replay_workflow(history)


def _history(name: str, **replaced: str) -> WorkflowHistory:
    text = FOLDER.joinpath(f"{name}.json").read_text("utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def _patches_of(source: Path) -> Iterator[str]:
    """The names that a source gives to `workflow.patched`, itself or by a constant of its own."""
    tree = ast.parse(source.read_text("utf-8"))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("workflow.patched", "patched"):
            (name,) = node.args
            yield ast.literal_eval(constants[name.id] if isinstance(name, ast.Name) else name)


def _markers_in(history: WorkflowHistory) -> Iterator[str]:
    """The patches that a history went through."""
    for event in history.events:
        for payload in event.marker_recorded_event_attributes.details["patch-data"].payloads:
            yield json.loads(payload.data)["id"]


def test_there_is_a_history_of_everything_that_workflows_go_through() -> None:
    assert names() == NAMES == KNOWN
    assert {"rolled-0.json", "rolled-1.json"} <= {path.name for path in SAVED}


def test_there_is_a_history_of_every_workflow() -> None:
    assert {_type_of(_history(path.stem)) for path in SAVED} == set(WORKFLOWS)


def test_there_is_a_history_of_every_patch() -> None:
    patches = {name for source in SOURCES for name in _patches_of(source)}
    assert "purged-alone" in patches  # which a constant names
    assert patches - {name for path in SAVED for name in _markers_in(_history(path.stem))} == set()


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_history_names_no_machine(path: Path) -> None:
    assert set(re.findall(r'"identity": "(.*)"', path.read_text("utf-8"))) == {IDENTITY}


@pytest.mark.parametrize("runner", [SessionRunner(), SANDBOX], ids=["as it runs", "in the sandbox"])
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
async def test_a_saved_history_replays(path: Path, runner: WorkflowRunner) -> None:
    await _replay(_history(path.stem), runner)


async def test_a_history_of_another_program_does_not_replay() -> None:
    with pytest.raises(NondeterminismError):
        await _replay(_history("every_role-0", add_message="suspend"), SessionRunner())


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
            await _replay(history, SessionRunner())
    await site.check(met={})
