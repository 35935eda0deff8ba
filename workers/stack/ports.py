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
    """A free port on 127.0.0.1 for each name: the one in the file `memory` if it is, so that a restart keeps addresses.

    `asked` holds a port, 0 for any, or none for the usual one if that is free. Until `claims` is closed, nobody else
    who chooses with the same folder `taken` gets these ports: until its server is up a port looks free, and several
    stacks may start at once.

    Raises:
        Unavailable: a port that was asked for is taken, or not for this user.
    """
    taken.mkdir(parents=True, exist_ok=True)
    before = _remembered(memory)
    chosen: dict[str, int] = {}
    with ExitStack() as mine:
        for name in [*USUAL, CLUSTER]:
            port, count = asked.get(name, 0), CLUSTER_PORTS if name == CLUSTER else 1
            usual = USUAL.get(name) if port is None else None
            for wish in [port] if port else [before.get(name), usual, *random.sample(ANY, ATTEMPTS)]:
                if wish is not None and (obstacle := _claim(wish, count, taken, mine)) is None:
                    chosen[name] = wish
                    break
            else:
                variable = f"PERDURE_{name.upper()}_PORT"
                raise Unavailable(
                    f"Port {port} for {name} is {obstacle}. Set {variable} to another, or to 0 for any.",
                    port=port,
                )
        claims.push(mine.pop_all())
    return chosen


def remember(chosen: dict[str, int], memory: Path) -> None:
    """Leave the ports for `choose`. Once the stack is usable, and not before: a port may be why it is not."""
    write_whole(memory, _adapter.dump_json(chosen))


def _remembered(memory: Path) -> dict[str, int]:
    try:
        return _adapter.validate_json(memory.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _claim(port: int, count: int, taken: Path, claims: ExitStack) -> str | None:
    """Make `count` ports from `port` on ours. None if they were free, else what one of them is."""
    with ExitStack() as mine, ExitStack() as sockets:
        for number in range(port, port + count):
            candidate = sockets.enter_context(socket.socket())
            candidate.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as servers do: old connections don't count
            try:
                candidate.bind(("127.0.0.1", number))
            except PermissionError:
                return "for privileged programs only"
            except (OSError, OverflowError):
                return "in use"
            lock = FileLock(taken / f"{number}.lock")
            if not lock.acquire():
                return "in use"
            mine.callback(lock.remove)
        claims.push(mine.pop_all())
        return None
