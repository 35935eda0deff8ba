"""What must hold at the end of the demo, each thing looked up where it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from perdure import Session
from perdure.contract import MessageAnswer
from perdure.reader import Reader
from workers.demo_crash import Crash
from workers.demo_talk import Talk
from workflows.core.state import fold

PAGE = 1000


@dataclass(frozen=True)
class Check:
    """One thing that was looked up, and whether it is as it must be."""

    what: str
    ok: bool


def survived(crash: Crash, question: str, again: MessageAnswer) -> list[Check]:
    """What must hold of the turn whose worker died. `again`: what its key brought when it was sent once more."""
    state = "its message already stored" if crash.stored else "nothing of it stored yet"
    message = crash.answer.message
    return [
        Check(
            f"the worker was killed {crash.killed_after_ms:.0f} ms into a turn that it had taken, {state}", crash.met
        ),
        Check(
            f"the turn was answered all the same, {crash.answered_after_s:.1f} s after it was sent",
            (message.message_id, message.content) == (crash.key, question),
        ),
        Check("sent again with its key, it gets the same message and the same working set", again == crash.answer),
    ]


async def look(talk: Talk, reader: Reader) -> list[Check]:
    """Compare what was acknowledged with PostgreSQL, with the events, with the running workflow and with the replay."""
    handle, sent = talk.session, talk.messages
    events = (await reader.read_events(handle.tenant, handle.session_id, limit=PAGE)).events
    state = fold(None, events)
    stored = [message async for turn in handle.turns(verify=False) for message in (turn.user_message, *turn.messages)]
    turns = [turn async for turn in handle.turns(verify=False)]
    replayed = {t.user_message.message_id: t.working_set for t in turns if t.user_message and t.working_set}
    history = await handle.history()
    session: Session = await reader.get_session(handle.tenant, handle.session_id)
    return [
        Check(
            f"nothing lost, changed or reordered: PostgreSQL has the {len(sent)} acknowledged messages, in order",
            stored == sent,
        ),
        Check(
            f"nothing doubled: {len(sent)} keys, {len(sent)} messages, numbered 0 to {len(sent) - 1} without a gap",
            len({m.message_id for m in sent}) == len(sent) == session.message_count
            and [m.sequence_number for m in sent] == list(range(len(sent))),
        ),
        Check(
            f"the session is the fold of its {len(events)} events, numbered without a gap",
            [e.sequence for e in events] == list(range(1, len(events) + 1))
            and state is not None
            and state.session == session,
        ),
        Check("the history that the workflow tells is the same", history.complete and history.messages == sent),
        Check(
            f"the replay has the {len(replayed)} working sets byte for byte, and each hash holds",
            replayed == talk.working_sets and bool(replayed) and all(w.verified() for w in replayed.values()),
        ),
    ]
