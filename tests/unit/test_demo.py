"""The verdict of the demo: what each check looks at, and what the command makes of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perdure import Message
from perdure.calls import Calls
from perdure.cli import run
from perdure.contract import (
    AddAssistantMessage,
    AddUserMessage,
    Handlers,
    MessageAnswer,
    MessagePage,
    ReadMessages,
    Replay,
)
from perdure.corpus import IngestReport
from perdure.events import MessageAdded
from perdure.handle import SessionHandle
from perdure.history import render
from perdure.reader import EventPage, SessionFilter
from perdure.replay import turns_of
from perdure.session import Session, SessionPage
from tests.unit.client.transport import Script
from tests.unit.core.test_fold import lived
from tests.unit.test_diff import working_set
from workers.demo import Demo, Result
from workers.demo_checks import Check, look, survived
from workers.demo_crash import ATTEMPTS, Crash, interrupt
from workers.demo_talk import Talk
from workers.stack.part import Part
from workflows.core.command import Body

LONG = timedelta(seconds=5)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def answer(key: str, content: str, number: int = 0) -> MessageAnswer:
    """To a question, with a working set."""
    message = Message(
        message_id=key, session_id="s", role="user", content=content, sequence_number=number, created_at=AT
    )
    return MessageAnswer(message=message, working_set=working_set([("a", 1.0)]))


class Stored:
    """What PostgreSQL and the workflow tell of a session, each of which a test may falsify."""

    def __init__(self) -> None:
        talk: list[tuple[str, Body]] = [
            (Handlers.ADD_USER_MESSAGE, AddUserMessage(content="Where?")),
            (Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage(content="Here.")),
            (Handlers.ADD_USER_MESSAGE, AddUserMessage(content="When?")),
            (Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage(content="Now.")),
        ]
        state, self.events = lived([(f"k{n}", said) for n, said in enumerate(talk)])
        self.session: Session = state.session
        self.sent = [event.data.message for event in self.events if isinstance(event.data, MessageAdded)]
        self.rows = list(self.sent)
        self.told = list(self.sent)
        self.compiled = {m.message_id: working_set([(m.message_id, 1.0)]) for m in self.sent if m.role == "user"}
        self.kept = dict(self.compiled)

    async def look(self) -> set[str]:
        """The first words of the checks that failed."""
        calls = Calls(Script(lambda: render(self.told).model_dump(mode="json")), rpc_timeout=LONG, timeout=LONG)
        talk = Talk(SessionHandle(calls, "default", "s", self), self.sent, self.compiled)
        return {check.what.split(":")[0] for check in await look(talk, self) if not check.ok}

    async def get_session(self, tenant: str, session_id: str) -> Session:
        return self.session

    async def read_messages(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> MessagePage:
        return MessagePage(messages=self.rows, complete=True)

    async def read_replay(
        self, tenant: str, session_id: str, page: ReadMessages, max_bytes: int | None = None
    ) -> Replay:
        return Replay(session=self.session, turns=turns_of(self.rows, working_sets=self.kept), complete=True)

    async def read_events(self, tenant: str, session_id: str, after: int = 0, limit: int = 1000) -> EventPage:
        return EventPage(events=self.events, complete=True)

    async def list_sessions(self, tenant: str, where: SessionFilter) -> SessionPage:
        raise NotImplementedError


async def test_a_conversation_that_is_as_it_was_acknowledged_passes_every_check() -> None:
    assert await Stored().look() == set()


LOST, DOUBLED = "nothing lost, changed or reordered", "nothing doubled"
FOLD = "the session is the fold of its 5 events, numbered without a gap"
HISTORY = "the history that the workflow tells is the same"


async def test_each_breach_fails_the_check_that_names_it() -> None:
    stored = Stored()
    stored.rows[1] = stored.rows[1].model_copy(update={"content": "There."})
    assert await stored.look() == {LOST}

    stored = Stored()
    stored.session = stored.session.model_copy(update={"message_count": 5})
    assert await stored.look() == {DOUBLED, FOLD}

    stored = Stored()
    del stored.events[2]
    assert {check.split(" its ")[0] for check in await stored.look()} == {"the session is the fold of"}

    stored = Stored()
    stored.told[3] = stored.told[3].model_copy(update={"content": "Later."})
    assert await stored.look() == {HISTORY}

    stored = Stored()
    stored.kept["k2"] = stored.kept["k2"].model_copy(update={"text": "Forged."})
    assert await stored.look() == {"the replay has the 2 working sets byte for byte, and each hash holds"}

    stored = Stored()
    stored.compiled.clear()
    stored.kept.clear()
    assert await stored.look() == {"the replay has the 0 working sets byte for byte, and each hash holds"}


CRASH = Crash(key="k", killed_after_ms=1, met=True, stored=False, answered_after_s=2, answer=answer("k", "Where?"))


@pytest.mark.parametrize(
    ("crash", "again", "failed"),
    [
        (CRASH, CRASH.answer, []),
        (replace(CRASH, met=False), CRASH.answer, [0]),
        (replace(CRASH, answer=answer("k", "When?")), answer("k", "When?"), [1]),
        (replace(CRASH, key="other"), CRASH.answer, [1]),
        (CRASH, answer("k", "Where?", number=1), [2]),
        (CRASH, CRASH.answer.model_copy(update={"working_set": None}), [2]),
    ],
)
def test_a_turn_that_was_not_killed_or_not_answered_or_is_answered_otherwise_fails_its_check(
    crash: Crash, again: MessageAnswer, failed: list[int]
) -> None:
    assert [n for n, check in enumerate(survived(crash, "Where?", again)) if not check.ok] == failed


class Killed(Part):
    """A worker that dies as the script says: before it took the turn, in the middle of it, or after its answer."""

    name = "Worker"

    def __init__(self, script: Sequence[str]) -> None:
        self.script = list(script)
        self.abandoned = 0
        self.answers = asyncio.Event()

    async def kill(self) -> None:
        match self.script.pop(0):
            case "middle":
                self.abandoned += 1
            case "after":
                self.answers.set()
                await asyncio.sleep(0.01)

    async def start(self) -> None:
        self.answers.set()

    async def count(self) -> int:
        """What it took and never answered."""
        return self.abandoned

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    async def probe(self) -> None:
        raise NotImplementedError


class Asked(Talk):
    """A talk with that worker."""

    def __init__(self, worker: Killed) -> None:
        calls = Calls(Script({}), rpc_timeout=LONG, timeout=LONG)
        super().__init__(SessionHandle(calls, "default", "s", None), seconds=[0.001])
        self.worker = worker

    async def send(self, question: str, key: str) -> MessageAnswer:
        self.worker.answers.clear()
        await self.worker.answers.wait()
        return answer(key, question, number=len(self.messages))

    async def reply(self, text: str) -> None:
        assert text == "(The worker died, but not in the middle of this turn.)"


@pytest.mark.parametrize(
    ("script", "met", "turns"),
    [
        (["middle"], True, 1),
        (["before", "after", "middle"], True, 3),
        (["after"] * ATTEMPTS, False, ATTEMPTS),
        (["before"] * ATTEMPTS, False, ATTEMPTS),
    ],
)
async def test_only_a_worker_that_had_taken_the_turn_and_not_answered_was_killed_in_the_middle_of_it(
    script: list[str], met: bool, turns: int
) -> None:
    worker = Killed(script)
    talk = Asked(worker)
    crash = await interrupt(talk, "Where?", worker, Stored(), worker.count)
    assert crash.met is met
    assert len(talk.messages) == turns
    assert crash.answer.message == talk.messages[-1]
    assert crash.key == crash.answer.message.message_id


def end(monkeypatch: pytest.MonkeyPatch, folder: Path, checks: list[Check], temporal_ui: str | None = None) -> None:
    """Let the demo end at once, with those checks."""

    async def told(*_: object) -> Result:
        return Result(
            session_id="s",
            documents=IngestReport(),
            turns=[],
            crash={},
            checks=checks,
            temporal_ui=temporal_ui,
            data_dir=folder,
            seconds=1.0,
        )

    monkeypatch.setattr(Demo, "run", told)


@pytest.mark.parametrize("failed", [None, 0, 1])
@pytest.mark.parametrize("output", ["text", "json"])
def test_the_command_fails_and_names_the_check_that_did_not_hold(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failed: int | None,
    output: str,
) -> None:
    checks = [Check(name, n != failed) for n, name in enumerate(["first thing", "second thing"])]

    end(monkeypatch, tmp_path, checks)
    assert run(["demo", "--docs", str(tmp_path), "--output", output]) == (0 if failed is None else 1)
    out = capsys.readouterr().out
    if output == "json":
        result = json.loads(out)
        assert result["ok"] is (failed is None)
        assert [check["ok"] for check in result["checks"]] == [check.ok for check in checks]
        return
    assert ("Every check held." in out) is (failed is None)
    assert ("NOT every check held." in out) is (failed is not None)
    assert [check.what in out for check in checks] == [n == failed for n in range(2)]


def test_the_end_names_a_command_that_runs_where_perdure_is_not_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end(monkeypatch, tmp_path / "it's data", [], temporal_ui="http://127.0.0.1:1/talk")
    assert run(["demo", "--docs", str(tmp_path)]) == 0
    before, command, after = capsys.readouterr().out.splitlines()[-3:]
    assert "stopped" in before
    assert after == "and open http://127.0.0.1:1/talk"
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    shown = subprocess.run(["sh", "-c", f"{command} --help"], env=variables, capture_output=True, check=True)
    assert b"Run Temporal, PostgreSQL, Weaviate and workers here" in shown.stdout
