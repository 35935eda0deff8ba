"""The ports of a stack: those asked for, else those it had before, else the usual ones, else any that are free."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from perdure.errors import Unavailable
from workers.stack.lock import FileLock
from workers.stack.whole_file import write_whole

USUAL = {"temporal": 7233, "temporal_ui": 8233, "postgres": 5432, "weaviate": 8080, "weaviate_grpc": 50051}
CLUSTER = "weaviate_cluster"
CLUSTER_PORTS = 4
"""Weaviate talks to itself on so many ports, which it takes to be consecutive."""
ANY = range(20_000, 32_000)
"""Where any free port is looked for: below those that a system gives to outgoing connections, which would take one
between its choice and the start of its server."""
ATTEMPTS = 20
_adapter = TypeAdapter(dict[str, int])


def choose(asked: dict[str, int | None], memory: Path, taken: Path, claims: ExitStack) -> dict[str, int]:
    """A free port on 127.0.0.1 for each name, remembered in the file `memory` so that a restart keeps addresses.

    `asked` holds a port, 0 for any, or none for the usual one if that is free. Until `claims` is closed, nobody else
    who chooses with the same folder `taken` gets these ports: until its server is up a port looks free, and several
    stacks may start at once.

    Raises:
        Unavailable: a port that was asked for is taken.
    """
    taken.mkdir(parents=True, exist_ok=True)
    before = _remembered(memory)
    chosen: dict[str, int] = {}
    with ExitStack() as mine:
        for name in [*USUAL, CLUSTER]:
            port, count = asked.get(name, 0), CLUSTER_PORTS if name == CLUSTER else 1
            wishes = (
                [port]
                if port
                else [before.get(name), USUAL.get(name) if port is None else None, *random.sample(ANY, ATTEMPTS)]
            )
            for wish in wishes:
                if wish is not None and _claim(wish, count, taken, mine):
                    chosen[name] = wish
                    break
            else:
                raise Unavailable(
                    f"Port {port} for {name} is in use. Set PERDURE_{name.upper()}_PORT to another, or to 0 for any.",
                    port=port,
                )
        write_whole(memory, _adapter.dump_json(chosen))
        claims.push(mine.pop_all())
    return chosen


def _remembered(memory: Path) -> dict[str, int]:
    try:
        return _adapter.validate_json(memory.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _claim(port: int, count: int, taken: Path, claims: ExitStack) -> bool:
    """Whether `count` ports from `port` on were free, and are ours now."""
    with ExitStack() as mine, ExitStack() as sockets:
        for number in range(port, port + count):
            candidate = sockets.enter_context(socket.socket())
            candidate.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: old connections don't count
            try:
                candidate.bind(("127.0.0.1", number))
            except (OSError, OverflowError):
                return False
            lock = FileLock(taken / f"{number}.lock")
            if not lock.acquire():
                return False
            mine.callback(lock.remove)
        claims.push(mine.pop_all())
        return True
