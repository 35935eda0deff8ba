"""Tries the harness itself: `python -m tests.faults.try_harness [name ...]`.

Each trial takes one guarantee out of a copy of the sources and runs the test that stands for it, which must go red
with the words that say what was lost. Exit code 1 when one stayed green, or went red for another reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("api", "workflows", "activities", "workers", "tests", "pyproject.toml")
TIMEOUT_SECONDS = 400
RED = 1
"""What pytest exits with when a test failed."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """`old`, which must stand in `file` exactly once, becomes `new`."""

    file: str
    old: str
    new: str

    def found(self, tree: Path) -> int:
        """How often `old` stands there."""
        return (tree / self.file).read_text("utf-8").count(self.old)

    def apply(self, tree: Path) -> None:
        """Change the file in `tree`."""
        if (found := self.found(tree)) != 1:
            raise SystemExit(f"{self.file} holds {self.old!r} {found} times; bring the trial up to date")
        path = tree / self.file
        path.write_text(path.read_text("utf-8").replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A guarantee, how to take it out, the test that must go red, and what its report then says (any of these)."""

    without: str
    patches: Sequence[Patch]
    test: str
    says: Sequence[str]


TRIALS = {
    "deduplication": Trial(
        without="the receipts of commands, and the unique indexes on keys and message ids",
        patches=[
            Patch(
                file="workflows/core/decide.py",
                old="receipt = state.receipts.get(command.key)",
                new="receipt = {**state.receipts, command.key: None}[command.key]",
            ),
            Patch(
                file="activities/stores/migrations/versions/0001_sessions.py",
                old='["tenant", "session_id", "key", "ordinal"],\n        unique=True,',
                new='["tenant", "session_id", "key", "ordinal"],\n        unique=False,',
            ),
            Patch(
                file="activities/stores/migrations/versions/0001_sessions.py",
                old='        sa.UniqueConstraint("tenant", "session_id", "message_id", name="uq_messages_id"),\n',
                new="",
            ),
        ],
        test="test_same_key.py::test_the_same_key_sent_three_times_at_once_and_after_each_change_is_one_message",
        says=["== {0}"],
    ),
    "handlers": Trial(
        without="the wait for running handlers before continue-as-new",
        patches=[
            Patch(
                file="workflows/life.py",
                old="return workflow.all_handlers_finished() and (self._committer is None or self._committer.idle)",
                new="return True",
            )
        ],
        test="test_continue_as_new.py::"
        "test_nothing_is_lost_doubled_or_reordered_when_a_session_changes_runs_every_ten_messages",
        says=["was acknowledged and is lost", "an update that had been accepted was given up"],
    ),
    "conflict": Trial(
        without="the comparison of the event sequence in the statement that inserts a commit",
        patches=[
            Patch(
                file="activities/stores/session_commit.py",
                old='sessions.c.event_sequence == bindparam("base_sequence"),',
                new='bindparam("base_sequence") >= 0,',
            )
        ],
        test="test_lost_answer.py::test_a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated",
        says=["is lost", "of the posts were accepted", "is stored as"],
    ),
    "early_answer": Trial(
        without="the wait for the commit before the answer",
        patches=[
            Patch(
                file="activities/session.py",
                old="result, answered = await asyncio.gather("
                "self._store.commit(request, events, by_message), _ready(wanted))",
                new="self.pending = asyncio.create_task(self._store.commit(request, events, by_message))\n"
                '        result, answered = Committed(outcome="committed"), await _ready(wanted)',
            )
        ],
        test="test_postgres.py::test_nothing_is_lost_doubled_or_reordered_when_postgres_crashes_under_load",
        says=["was acknowledged and is lost", "of the posts were accepted"],
    ),
}


def _copy(tree: Path) -> None:
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)


def try_one(trial: Trial) -> str | None:
    """Run the trial; what was wrong with it, or none if the test went red as it should."""
    with tempfile.TemporaryDirectory(prefix="perdure-trial-") as folder:
        tree = Path(folder)
        _copy(tree)
        for patch in trial.patches:
            patch.apply(tree)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/faults/{trial.test}"],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": f"{tree / 'api'}:{tree}"},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {TIMEOUT_SECONDS} s"
    lines = [line for line in done.stdout.splitlines() if line.lstrip("| ").startswith("E ") or "Error: " in line]
    lines = [line.strip("| ") for line in lines]
    told = next((line for line in lines if any(words in line for words in trial.says)), None)
    print(f"{'red' if done.returncode == RED else 'NOT RED'}: {trial.test}\n    without {trial.without}\n    {told}")
    if done.returncode != RED:
        return f"pytest exited with {done.returncode}"
    return None if told else "red for another reason:\n" + "\n".join(lines[:10])


def main(names: Sequence[str]) -> int:
    """Run the named trials, or all."""
    problems = {name: try_one(TRIALS[name]) for name in names or TRIALS}
    for name, problem in problems.items():
        if problem:
            print(f"{name}: {problem}", file=sys.stderr)
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
