"""What goes into a run: the caller's start, or what the run before it carried over."""

from __future__ import annotations

from datetime import datetime

from activities.commit import Opened, Owner
from perdure.base import Frozen
from perdure.contract import StartSession
from workflows.core.state import Receipt, SessionState, bounded, entry


class Carry(Frozen):
    """All that a run hands to the next. `active_at` is the last activity, from which the idle deadline counts."""

    state: SessionState
    owner: Owner
    active_at: datetime


class SessionInput(StartSession):
    """The input of a run. Callers leave `carry` out."""

    carry: Carry | None = None


def restored(opened: Opened) -> SessionState:
    """The state of a session that Postgres knows: the same value as the fold of its events."""
    return SessionState(
        session=opened.session,
        window=bounded([entry(item.message, item.working_set) for item in opened.messages]),
        receipts={item.key: Receipt(item.body_hash, item.first, item.last) for item in opened.receipts},
    )
