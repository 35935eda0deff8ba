"""The `perdure` command: what must hold before its first heavy import, and after its last line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn


def run(arguments: Sequence[str]) -> int:
    """Run one command line and answer its exit code. Errors become a sentence on stderr; `--debug` adds a traceback."""
    try:
        from perdure.cli import command
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        print(f"Error: {error.name} is not installed. Install `perdure[cli]`.", file=sys.stderr)
        return 1
    return command.run(arguments)


def main() -> NoReturn:
    """Entry point of the `perdure` script."""
    _mend_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    # A process that used the Temporal SDK can abort while the interpreter is torn down, having succeeded.
    os._exit(code)


def _mend_streams() -> None:
    """A stream that the caller closed leads nowhere, and a character that a terminal does not know is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
