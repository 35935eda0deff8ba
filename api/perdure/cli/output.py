"""What commands print, and what their errors become: data on stdout, all else on stderr, an exit code for each case."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console

from perdure.errors import (
    CorpusNotFound,
    CorpusVersionNotFound,
    InvalidMessage,
    InvalidRequest,
    InvalidRole,
    InvalidSessionId,
    MessageNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PerdureError,
    Refused,
    SessionDeleted,
    SessionNotFound,
    Unavailable,
)

OK, FAILED, USAGE, NOT_FOUND, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

_UNBOUNDED = 1_000_000
"""Characters of a line that no row of a table reaches."""
_anything: TypeAdapter[Any] = TypeAdapter(Any)


class Format(StrEnum):
    """How data is printed: for people, or one line of JSON for programs."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[Format, typer.Option("--output", "-o", help="Print text for people, or one line of JSON.")]
"""The option that every command which prints data has."""


def show(data: object, output: Format, text: Callable[[], object]) -> None:
    """Print `data`, models and dataclasses included, as one line of JSON, or else what `text` makes of it.

    `text` answers a string, printed as it is, or anything that rich can render. It is folded to a terminal's width, and
    never cut; elsewhere no line is folded, since a program may read it.
    """
    if output is Format.JSON:
        print(json.dumps(_anything.dump_python(data, mode="json"), ensure_ascii=False), flush=True)
        return
    rendered = text()
    if isinstance(rendered, str):
        print(rendered, flush=True)
        return
    _console().print(rendered, crop=False)


def _console() -> Console:
    # Asked of stdout itself: FORCE_COLOR makes rich take a pipe for a terminal, of 80 columns.
    return Console(width=None if sys.stdout.isatty() else _UNBOUNDED)


def progress(message: str) -> None:
    """Tell the person at the terminal, on stderr."""
    print(message, file=sys.stderr, flush=True)


def confirm(question: str, *, otherwise: str) -> None:
    """Ask whoever sits at the terminal, on stderr, and go on only after a yes; else tell `otherwise`.

    Where nobody sits there, the command stands for itself.

    `typer.confirm` writes to stdout even when it is told not to.

    Raises:
        typer.Exit: it was no yes.
    """
    if not sys.stdin.isatty():
        return
    print(f"{question} [y/N]: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        progress(otherwise if answer else f"\n{otherwise}")
        raise typer.Exit(FAILED)


def exit_code(error: PerdureError) -> int:
    """The exit code of a command that ended with `error`."""
    match error:
        case InvalidRequest() | InvalidSessionId() | InvalidRole() | InvalidMessage() | PayloadTooLarge():
            return USAGE  # what was typed is wrong, whatever the session's state
        case SessionNotFound() | SessionDeleted() | MessageNotFound() | CorpusNotFound() | CorpusVersionNotFound():
            return NOT_FOUND
        case Unavailable() | OutcomeUnknown():
            return UNAVAILABLE
        case _:
            return FAILED


def explain(error: PerdureError) -> str:
    """The error as a sentence, with what to do next where its message does not say."""
    match error:
        case SessionNotFound():
            return f"{error.message}. `perdure session list` shows those there are."
        case SessionDeleted():
            return f"{error.message}. Its id cannot be used again; start a session with another one."
        case MessageNotFound():
            named = error.details.get("session_id", "SESSION")
            return f"{error.message} `perdure session replay {named} --output json` shows those it has."
        case CorpusNotFound():
            return f"{error.message}. `perdure corpus list` shows those there are; `perdure corpus ingest` makes one."
        case Refused() | Unavailable() | OutcomeUnknown():
            return error.message
        case _ if error.retryable:
            return f"{error.message} Try again later."
        case _:
            return error.message
