"""What the benchmarks have in common: their options, and how figures are told."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from benchmarks.measure import Figure
from perdure.errors import InvalidRequest
from workers.settings import Settings


def arguments(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    try:
        data_dir = Settings.read().data_dir
    except InvalidRequest as error:
        parser.error(error.message)
    parser.add_argument("--data-dir", type=Path, default=data_dir / "benchmark", help="of the stack")
    return parser


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def conclude(figures: Sequence[Figure], options: argparse.Namespace) -> NoReturn:
    """Print the figures as asked for, and end: with 1 if `--check` was given and a goal is missed."""
    if options.output == "json":
        print(json.dumps([asdict(figure) | {"met": figure.met} for figure in figures], indent=1))
    else:
        print(table(figures))
    end(failed=options.check and any(figure.met is False for figure in figures))


def end(*, failed: bool) -> NoReturn:
    """End the process at once: the SDK's threads can abort the interpreter while it shuts down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else 0)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table for people."""
    rows = [(f.name, f"{f.value:.2f} {f.unit}".strip(), _goal(f), f.note) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {goal:<{widths[2]}}  {note}".rstrip()
        for name, value, goal, note in rows
    )


def _goal(figure: Figure) -> str:
    if figure.at_most is None:
        return ""
    return f"{'✓' if figure.met else '✗'} at most {figure.at_most:g}"
