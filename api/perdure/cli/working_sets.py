"""`perdure session compile`, `verify`, `what-if` and `diff`: working sets looked at, changing nothing."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from perdure.cli.connection import checked_key, text_or_stdin, with_session
from perdure.cli.output import FAILED, Format, Output, progress, show
from perdure.cli.session import SessionId, session
from perdure.cli.working_set_text import comparison_text, diff_text, working_set_text
from perdure.recompile import MAX_TURNS, Comparison

Budget = Annotated[int | None, typer.Option(min=0, help="Tokens, in place of the setting.")]
Setting = Annotated[
    list[str] | None, typer.Option("--set", help="A compiler setting, as mmr_lambda=0.3; may be repeated.")
]
AsOf = Annotated[str | None, typer.Option("--as-of", help="A version of the corpus that is kept, or `newest`.")]
After = Annotated[int, typer.Option(min=-1, help="Only turns after the message of this sequence number.")]
Turns = Annotated[int, typer.Option(min=1, max=MAX_TURNS, help="How many turns.")]
RequestId = Annotated[
    str | None,
    typer.Option("--key", help="Repeat it with the same key to join it, or read it again.", callback=checked_key),
]


@session.command("compile")
def compile_(
    session_id: SessionId,
    query: Annotated[str, typer.Argument(help="What a user might say; `-` reads it from standard input.")],
    budget: Budget = None,
    setting: Setting = None,
    as_of: AsOf = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what each stage found, and its time.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the working set that a user message would get now; nothing is added."""
    retrieval = _retrieval(budget, setting, as_of)
    text = text_or_stdin(query)

    found = with_session(session_id, lambda handle: handle.compile(text, retrieval=retrieval or None, explain=explain))
    show(found, output, lambda: working_set_text(found))


@session.command()
def verify(
    session_id: SessionId,
    message: Annotated[str | None, typer.Option(help="Only the turn of this user message.")] = None,
    after: After = -1,
    turns: Turns = 100,
    key: RequestId = None,
    output: Output = Format.TEXT,
) -> None:
    """Compile stored turns again from their manifests; exit code 1 unless every hash is the same."""

    found = with_session(session_id, lambda handle: handle.verify(message, after=after, turns=turns, request_id=key))
    _compared(found, output, continued=message is None)
    if found.count("same") < len(found.turns):
        raise typer.Exit(FAILED)


@session.command("what-if")
def what_if(
    session_id: SessionId,
    budget: Budget = None,
    setting: Setting = None,
    corpus: Annotated[str | None, typer.Option(help="Another corpus, in its newest version.")] = None,
    as_of: AsOf = None,
    after: After = -1,
    turns: Turns = 100,
    key: RequestId = None,
    output: Output = Format.TEXT,
) -> None:
    """Compile stored turns again under other settings, and compare; nothing is changed. Code 1 if none could be."""
    retrieval = _retrieval(budget, setting, as_of)

    found = with_session(
        session_id,
        lambda handle: handle.what_if(retrieval=retrieval, corpus=corpus, after=after, turns=turns, request_id=key),
    )
    _compared(found, output, continued=True)
    if found.turns and found.count("unknown") == len(found.turns):
        raise typer.Exit(FAILED)


@session.command("diff")
def diff_(
    session_id: SessionId,
    before: Annotated[str, typer.Argument(help="A user message's id.", metavar="MESSAGE_A")],
    after: Annotated[str, typer.Argument(help="Another one's.", metavar="MESSAGE_B")],
    output: Output = Format.TEXT,
) -> None:
    """Show what changed from one message's working set to another's."""

    found = with_session(session_id, lambda handle: handle.diff(before, after))
    data = {**found.model_dump(mode="json"), "identical": found.identical, "summary": found.summary}
    show(data, output, lambda: diff_text(found))


def _compared(found: Comparison, output: Format, *, continued: bool) -> None:
    show(found, output, lambda: comparison_text(found))
    if continued and not found.complete:
        progress(f"There are more turns: --after {found.last}")


def _retrieval(budget: int | None, settings: list[str] | None, as_of: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for item in settings or ():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{item!r} is not NAME=VALUE, as mmr_lambda=0.3", param_hint="--set")
        if name in fields:
            raise typer.BadParameter(f"{name} is set twice", param_hint="--set")
        fields[name] = _value(value)
    for option, name, given in (("--budget", "token_budget", budget), ("--as-of", "as_of", as_of)):
        if given is not None and name in fields:
            raise typer.BadParameter(f"--set {name} says it too; give one of them", param_hint=option)
    if budget is not None:
        fields["token_budget"] = budget
    if as_of is not None:
        if as_of != "newest" and not as_of.isdecimal():
            raise typer.BadParameter("neither a version's number nor `newest`", param_hint="--as-of")
        fields["as_of"] = None if as_of == "newest" else int(as_of)
    return fields


def _value(text: str) -> Any:
    """JSON if it is any, else a string: `0.3`, `true`, `relevance`."""
    try:
        return json.loads(text)
    except ValueError:
        return text
