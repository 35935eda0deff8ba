"""`python -m benchmarks.turn`: measures what a turn costs on a stack of its own, and prints a table or JSON."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.cold import cold_answer
from benchmarks.corpus import Corpus, ready_corpus
from benchmarks.cost import turn_cost
from benchmarks.footprint import footprint
from benchmarks.growth import growth
from benchmarks.measure import Figure
from benchmarks.report import arguments, conclude, say, table
from benchmarks.rig import Rig, open_rig
from benchmarks.throughput import throughput

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
    async with open_rig(options.data_dir, say) as rig:
        corpus = await ready_corpus(rig, quick=options.quick)
        for name in options.only or SCENARIOS:
            say(f"Measuring: {name}")
            found = await SCENARIOS[name](rig, corpus, options.quick)
            say(table(found))
            figures += found
    return figures


def main() -> None:
    """Exit code 1 with `--check` when a goal is missed."""
    parser = arguments("turn", __doc__)
    parser.add_argument("--quick", action="store_true", help="few samples and a small corpus: to see that it works")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="measure this; may be repeated")
    options = parser.parse_args()
    conclude(asyncio.run(measure(options)), options)


if __name__ == "__main__":
    main()
