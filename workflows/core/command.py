"""Commands: what a caller asked for, with the key that makes it happen once."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pydantic_core import to_json

from perdure.contract import AddAssistantMessage, AddMessage, AddMessages, AddUserMessage, Lifecycle, UpdateSession
from perdure.ids import is_id
from perdure.session import Status

_NAMESPACE = uuid.UUID("6f1f7f0c-5f3c-5f0e-9a35-6c5b8a1d2f10")


Body: TypeAlias = AddUserMessage | AddAssistantMessage | AddMessage | AddMessages | UpdateSession | Lifecycle


@dataclass(frozen=True, kw_only=True)
class Command:
    """One request to a session. `name` is the handler's; `at` the workflow's time when it came."""

    name: str
    key: str
    body_hash: str
    body: Body
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Expire:
    """The idle timer fired, which was set while the session had `status`."""

    at: datetime
    status: Status


@dataclass(frozen=True, kw_only=True)
class RecordError:
    """A signal was refused; nobody waits for an answer. `key` makes its record happen once."""

    key: str
    source: str
    code: str
    message: str
    at: datetime

    @property
    def body_hash(self) -> str:
        """As of a command: what must not differ under the same key."""
        return _digest([self.source, self.code, self.message])


AnyCommand: TypeAlias = Command | Expire | RecordError
"""What the committer takes: of a caller, of the idle timer, of a signal that was refused."""


def command_of(name: str, body: Body, fallback_key: str, at: datetime) -> Command:
    """The command of a parsed request; its key is the caller's own, else `fallback_key`."""
    key = getattr(body, "message_id", None) or getattr(body, "request_id", None) or fallback_key
    if not is_id(key):
        key = str(uuid.uuid5(_NAMESPACE, key))
    return Command(name=name, key=key, body_hash=body_hash(name, body), body=body, at=at)


_NOT_HASHED = {"message_id", "request_id", "return_working_set", "explain"}


def body_hash(name: str, body: Body) -> str:
    """What must not differ when a key is used again: the command's name and body, without the key itself."""
    # A field that is left out and one that is sent as its default ask for the same, but where null clears.
    partial = isinstance(body, UpdateSession)
    return _digest([name, body.model_dump(exclude=_NOT_HASHED, exclude_unset=partial, exclude_defaults=not partial)])


def _digest(content: object) -> str:
    return hashlib.sha256(to_json(_ordered(content))).hexdigest()[:32]


def _ordered(value: object) -> object:
    """The same JSON in one order of names: a sender's map may have another one each time."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def message_id_in(key: str, index: int) -> str:
    """The id of a batch's message that has none of its own: the same in every retry."""
    return str(uuid.uuid5(_NAMESPACE, f"{index}:{key}"))
