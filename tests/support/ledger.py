"""The ledger: what the load invoked, what it was told, and which faults fell meanwhile; written as it happens."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["accepted", "refused", "unknown"]
PROBE = "probe"
"""The writer whose messages show that a session has recovered; they count neither as load nor as successes."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A message as it was sent, by one call; the same key may be sent by several. `at` is monotonic, in seconds."""

    number: int
    session_id: str
    writer: str
    key: str
    role: str
    content: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call was told. Accepted without a sequence number: a signal, which Temporal took and nobody answered."""

    call: int
    outcome: Outcome
    sequence_number: int | None
    error: str | None
    at: float


@dataclass(frozen=True, kw_only=True)
class Read:
    """How many messages a session was said to have, at `at`, to a reader that had asked at `asked_at`."""

    session_id: str
    message_count: int
    asked_at: float
    at: float


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that fell at `at`; `kind` says which."""

    kind: str
    at: float


class Ledger:
    """Append-only, one line of JSON a record, so that a test that dies leaves it behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self.calls: list[Call] = []
        self.answers: dict[int, Answer] = {}
        self.reads: list[Read] = []
        self.faults: list[Fault] = []
        self.met: Counter[str] = Counter()
        """What shows that the faults were met, counted by whoever sees it."""

    def invoked(self, session_id: str, writer: str, key: str, role: str, content: str) -> int:
        """Record a call that is about to be made; answers its number."""
        call = Call(
            number=len(self.calls),
            session_id=session_id,
            writer=writer,
            key=key,
            role=role,
            content=content,
            at=time.monotonic(),
        )
        self.calls.append(call)
        self._write("invoked", call)
        return call.number

    def told(
        self, call: int, outcome: Outcome, *, sequence_number: int | None = None, error: str | None = None
    ) -> None:
        """Record what the call was told."""
        answer = Answer(call=call, outcome=outcome, sequence_number=sequence_number, error=error, at=time.monotonic())
        self.answers[call] = answer
        self._write("told", answer)

    def read(self, session_id: str, message_count: int, *, asked_at: float) -> None:
        """Record how many messages a session is said to have now."""
        read = Read(session_id=session_id, message_count=message_count, asked_at=asked_at, at=time.monotonic())
        self.reads.append(read)
        self._write("read", read)

    def fault(self, kind: str) -> None:
        """Record a fault, at the moment in which it falls."""
        fault = Fault(kind=kind, at=time.monotonic())
        self.faults.append(fault)
        self.met[kind] += 1
        self._write("fault", fault)

    @property
    def sessions(self) -> list[str]:
        """The sessions that were written to."""
        return sorted({call.session_id for call in self.calls})

    @property
    def last_fault_at(self) -> float:
        """When the last fault fell; now, if none did."""
        return max((fault.at for fault in self.faults), default=time.monotonic())

    def outcome(self, call: Call) -> Outcome:
        """What a call was told; unknown as long as it was told nothing."""
        answer = self.answers.get(call.number)
        return answer.outcome if answer else "unknown"

    @property
    def accepted(self) -> int:
        """How many calls were accepted so far."""
        return sum(answer.outcome == "accepted" for answer in self.answers.values())

    def share_accepted(self) -> float:
        """The part of the load's posts that was accepted, of 1."""
        load = [call for call in self.calls if call.writer != PROBE]
        return sum(self.outcome(call) == "accepted" for call in load) / max(1, len(load))

    def disturbed(self, *, accepted: bool = False) -> int:
        """How many posts were in flight at the moment of a fault; with `accepted`, those that were accepted."""
        return sum(
            any(self._in_flight(call, fault) for fault in self.faults)
            for call in self.calls
            if call.writer != PROBE and (not accepted or self.outcome(call) == "accepted")
        )

    def among_posts(self) -> int:
        """How many faults fell while a post was in flight."""
        posts = [call for call in self.calls if call.writer != PROBE]
        return sum(any(self._in_flight(call, fault) for call in posts) for fault in self.faults)

    def _in_flight(self, call: Call, fault: Fault) -> bool:
        return call.at < fault.at < self._told_at(call)

    def _told_at(self, call: Call) -> float:
        answer = self.answers.get(call.number)
        return answer.at if answer else float("inf")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, kind: str, record: Call | Answer | Read | Fault) -> None:
        self._file.write(json.dumps({"record": kind, **asdict(record)}, ensure_ascii=False) + "\n")
        self._file.flush()
