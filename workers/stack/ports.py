"""The ports of a stack: those asked for, else those it had before, else the usual ones, else any that are free."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

from perdure.errors import Unavailable

USUAL = {"temporal": 7233, "temporal_ui": 8233, "postgres": 5432, "weaviate": 8080, "weaviate_grpc": 50051}
CLUSTER = "weaviate_cluster"
CLUSTER_PORTS = 4
"""Weaviate talks to itself on so many ports, which it takes to be consecutive."""
ATTEMPTS = 20


def choose(asked: dict[str, int | None], memory: Path) -> dict[str, int]:
    """A free port on 127.0.0.1 for each name, remembered in the file `memory` so that a restart keeps addresses.

    `asked` holds a port, 0 for any, or none for the usual one if that is free.

    Raises:
        Unavailable: a port that was asked for is taken.
    """
    before = json.loads(memory.read_text()) if memory.exists() else {}
    chosen: dict[str, int] = {}
    with ExitStack() as held:  # all held until the last is chosen, so that none is chosen twice
        for name in [*USUAL, CLUSTER]:
            port, count = asked.get(name, 0), CLUSTER_PORTS if name == CLUSTER else 1
            wishes = [port] if port else [before.get(name), USUAL.get(name) if port is None else None, *[0] * ATTEMPTS]
            for wish in wishes:
                if wish is not None and (found := _hold(wish, count, held)):
                    chosen[name] = found
                    break
            else:
                raise Unavailable(
                    f"Port {port} for {name} is in use. Set PERDURE_{name.upper()}_PORT to another, or to 0 for any.",
                    port=port,
                )
    memory.write_text(json.dumps(chosen))
    return chosen


def _hold(port: int, count: int, held: ExitStack) -> int | None:
    """The first of `count` consecutive ports, all bound now; none if one of them is taken."""
    with ExitStack() as sockets:
        first = port
        for number in range(count):
            candidate = sockets.enter_context(socket.socket())
            candidate.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: old connections don't count
            try:
                candidate.bind(("127.0.0.1", first + number if first else 0))
            except (OSError, OverflowError):
                return None
            first = first or candidate.getsockname()[1]
        held.enter_context(sockets.pop_all())
        return first
