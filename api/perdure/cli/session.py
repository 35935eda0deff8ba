"""`perdure session`: conversations, from the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perdure.cli.connection import checked_key, text_or_stdin
from perdure.cli.connection import json_object as _object
from perdure.cli.connection import with_client as _run
from perdure.cli.connection import with_session as _on
from perdure.cli.output import FAILED, Format, Output, confirm, progress, show
from perdure.cli.session_text import answer_text, list_text, replay_text, session_text
from perdure.cli.session_warnings import warn_of_other_fields, warn_without_corpus
from perdure.contract import PAGE_LIMIT, MessageAnswer
from perdure.fields import given
from perdure.message import ROLES, check_role
from perdure.reader import SessionFilter
from perdure.replay import corrupted
from perdure.session import Session, Status

if TYPE_CHECKING:
    from perdure.client import Client
    from perdure.handle import SessionHandle

SessionId = Annotated[str, typer.Argument(help="The session's id.", metavar="SESSION")]
Key = Annotated[
    str | None, typer.Option("--key", help="Makes it happen once: repeat it with the same key.", callback=checked_key)
]


class Clearable(StrEnum):
    """Fields of a session that may be empty."""

    USER = "user"
    TITLE = "title"
    METADATA = "metadata"


session = typer.Typer(name="session", help="Sessions: one durable conversation each.", no_args_is_help=True)


@session.command()
def start(
    session_id: Annotated[str | None, typer.Argument(help="Yours; made up if left out.", metavar="SESSION")] = None,
    user: Annotated[str | None, typer.Option(help="Whose session it is.")] = None,
    title: Annotated[str | None, typer.Option(help="Shown in lists and in the Temporal UI.")] = None,
    corpus: Annotated[str | None, typer.Option(help="What working sets are drawn from.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    config: Annotated[str | None, typer.Option(help='A JSON object, such as {"idle_timeout": 60}.')] = None,
    output: Output = Format.TEXT,
) -> None:
    """Start a session, or open the one that has this id."""
    meta, settings = _object("--metadata", metadata), _object("--config", config)

    async def work(client: Client) -> Session:
        handle = await client.start_session(
            session_id, user_id=user, title=title, corpus=corpus, metadata=meta, config=settings
        )
        return await handle.get()

    found = _run(work)
    show(found, output, lambda: session_text(found))
    warn_of_other_fields(found, user=user, title=title, corpus=corpus, metadata=meta, config=settings)
    warn_without_corpus(found)


@session.command()
def update(
    session_id: SessionId,
    user: Annotated[str | None, typer.Option(help="Whose session it is.")] = None,
    title: Annotated[str | None, typer.Option(help="Shown in lists and in the Temporal UI.")] = None,
    corpus: Annotated[str | None, typer.Option(help="What working sets are drawn from.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object, in place of the one there was.")] = None,
    config: Annotated[
        str | None,
        typer.Option(help='A JSON object, such as {"retrieval": {"max_spans": 20}}; what it leaves out stays.'),
    ] = None,
    clear: Annotated[list[Clearable] | None, typer.Option(help="Leave it empty; may be repeated.")] = None,
    key: Key = None,
    output: Output = Format.TEXT,
) -> None:
    """Change a session's fields; those left out stay."""
    settings = _object("--config", config)
    if corpus is not None:
        settings = {**(settings or {}), "corpus": corpus}
    given_fields = {"user": user, "title": title, "metadata": _object("--metadata", metadata), "config": settings}
    changes: dict[str, Any] = {name: value for name, value in given_fields.items() if value is not None}
    for name in clear or ():
        if name in changes:
            raise typer.BadParameter(f"--{name} sets what --clear {name} would clear", param_hint="--clear")
        changes[name] = None
    if not changes:
        raise typer.BadParameter("there is nothing to change. Give an option such as --title")
    if "user" in changes:
        changes["user_id"] = changes.pop("user")
    found = _on(session_id, lambda handle: handle.update(**changes, request_id=key))
    show(found, output, lambda: session_text(found))
    if corpus is not None:
        warn_without_corpus(found)


@session.command()
def send(
    session_id: SessionId,
    content: Annotated[str, typer.Argument(help="The message; `-` reads it from standard input.")],
    role: Annotated[str, typer.Option(help="Who says it.", metavar="|".join(ROLES))] = "user",
    key: Key = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    retrieval: Annotated[str | None, typer.Option(help='A JSON object, such as {"token_budget": 2000}.')] = None,
    output: Output = Format.TEXT,
) -> None:
    """Add a message; for a user message, show what its working set cites."""
    speaker = check_role(role)
    text = text_or_stdin(content)
    meta, overrides = _object("--metadata", metadata), _object("--retrieval", retrieval)
    if overrides and speaker != "user":
        raise typer.BadParameter("only a user message has a working set", param_hint="--retrieval")

    async def work(handle: SessionHandle) -> MessageAnswer:
        if speaker == "user":
            return await handle.add_user_message(text, message_id=key, metadata=meta, retrieval=overrides)
        return MessageAnswer(message=await handle.add_message(speaker, text, message_id=key, metadata=meta))

    answer = _on(session_id, work)
    show(answer, output, lambda: answer_text(answer))


@session.command("show")
def show_(session_id: SessionId, output: Output = Format.TEXT) -> None:
    """Show a session."""
    found = _on(session_id, lambda handle: handle.get())
    show(found, output, lambda: session_text(found))


@session.command()
def history(
    session_id: SessionId,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="The newest messages that fit.")] = None,
    counting: Annotated[Literal["tokenizer", "estimate"], typer.Option(help="How tokens are counted.")] = "tokenizer",
    output: Output = Format.TEXT,
) -> None:
    """Print the conversation as text."""

    found = _on(session_id, lambda handle: handle.history(max_tokens, counting=counting))
    show(found, output, lambda: found.text)
    if found.truncated:
        progress("The newest message alone is over the limit; it was cut.")
    elif not found.complete:
        progress("There are older messages. `--max-tokens` sets how many fit.")


@session.command()
def replay(
    session_id: SessionId,
    before: Annotated[int | None, typer.Option(min=0, help="Only messages below this sequence number.")] = None,
    after: Annotated[int | None, typer.Option(min=-1, help="Only messages above this sequence number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many turns.")] = PAGE_LIMIT,
    output: Output = Format.TEXT,
) -> None:
    """Show the turns with their working sets, each hash verified; exit code 1 if one is wrong."""

    found = _on(session_id, lambda handle: handle.replay(before=before, after=after, limit=limit, verify=False))
    show(found, output, lambda: replay_text(found))
    if not found.complete:
        progress("There are more turns. `--before`, `--after` and `--limit` reach them.")
    if corrupted(found.turns):
        progress("Error: a stored working set is gone or no longer has its hash. Restore the database from a backup.")
        raise typer.Exit(FAILED)


@session.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object that theirs must contain.")] = None,
    updated_after: Annotated[
        str | None, typer.Option(help="Only those with activity since, as 2026-01-31T12:00Z.")
    ] = None,
    updated_before: Annotated[str | None, typer.Option(help="Only those without activity since.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = PAGE_LIMIT,
    cursor: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """List the tenant's sessions, newest first."""
    where = given(
        SessionFilter,
        user_id=user,
        status=status,
        metadata=_object("--metadata", metadata),
        updated_after=updated_after,
        updated_before=updated_before,
        limit=limit,
        cursor=cursor,
    )

    found = _run(lambda client: client.list_sessions(where))
    if found.sessions or output is Format.JSON:
        show(found, output, lambda: list_text(found.sessions))
    else:
        progress("No sessions. `perdure session start` makes one.")
    if found.cursor and output is Format.TEXT:
        progress(f"There are more: --cursor {found.cursor}")


@session.command()
def suspend(session_id: SessionId, key: Key = None, output: Output = Format.TEXT) -> None:
    """Suspend a session; the next message resumes it."""
    found = _on(session_id, lambda handle: handle.suspend(request_id=key))
    show(found, output, lambda: session_text(found))


@session.command()
def resume(session_id: SessionId, key: Key = None, output: Output = Format.TEXT) -> None:
    """Resume a suspended or archived session."""
    found = _on(session_id, lambda handle: handle.resume(request_id=key))
    show(found, output, lambda: session_text(found))


@session.command()
def delete(
    session_id: SessionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    key: Key = None,
    output: Output = Format.TEXT,
) -> None:
    """Delete a session for good, with its messages and its workflow's history."""
    if not yes:
        confirm(f"Delete session {session_id} for good?", otherwise="Nothing was deleted.")
    _on(session_id, lambda handle: handle.delete(request_id=key))
    show({"session_id": session_id, "status": "deleted"}, output, lambda: f"Deleted {session_id}.")
