"""`python -m benchmarks.turn`: measures what a turn costs on a stack of its own, and prints a table or JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.cold import cold_answer
from benchmarks.corpus import Corpus, ready_corpus
from benchmarks.cost import turn_cost
from benchmarks.footprint import footprint
from benchmarks.growth import growth
from benchmarks.measure import Figure
from benchmarks.rig import Rig, open_rig
from benchmarks.throughput import throughput
from workers.settings import Settings

Scenario = Callable[[Rig, Corpus, bool], Awaitable[list[Figure]]]

SCENARIOS: dict[str, Scenario] = {
    "cost": lambda rig, corpus, quick: turn_cost(rig, corpus, rounds=30 if quick else 200, warm_up=10),
    "growth": lambda rig, corpus, quick: growth(rig, corpus, late=60 if quick else 500, sessions=1 if quick else 2),
    "cold": lambda rig, corpus, quick: cold_answer(rig, corpus, sessions=2 if quick else 5),
    "footprint": lambda rig, _, quick: footprint(rig, sessions=50 if quick else 200, turns=10),
    "one session": lambda rig, _, quick: throughput(rig, sessions=1, seconds=3 if quick else 15),
    "16 sessions": lambda rig, _, quick: throughput(rig, sessions=16, seconds=3 if quick else 15),
}


async def measure(options: argparse.Namespace) -> list[Figure]:
    """All figures asked for, in order."""
    figures: list[Figure] = []
    async with open_rig(options.data_dir, _say) as rig:
        corpus = await ready_corpus(rig, quick=options.quick)
        for name in options.only or SCENARIOS:
            _say(f"Measuring: {name}")
            found = await SCENARIOS[name](rig, corpus, options.quick)
            _say(table(found))
            figures += found
    return figures


def table(figures: list[Figure]) -> str:
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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Exit code 1 with `--check` when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turn", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples and a small corpus: to see that it works")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="measure this; may be repeated")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--data-dir", type=Path, default=Settings().data_dir / "benchmark", help="of the stack")
    options = parser.parse_args()
    figures = asyncio.run(measure(options))
    if options.output == "json":
        print(json.dumps([asdict(figure) | {"met": figure.met} for figure in figures], indent=1))
    else:
        print(table(figures))
    failed = options.check and any(figure.met is False for figure in figures)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else 0)  # the SDK's threads can abort the interpreter while it shuts down


if __name__ == "__main__":
    main()
