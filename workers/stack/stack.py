"""The stack as a whole."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

from perdure.errors import Unavailable
from workers.settings import Settings, stack_lock
from workers.stack import ports
from workers.stack.addresses import Addresses
from workers.stack.folder import used
from workers.stack.part import POLL_SECONDS, Part, PartFailed
from workers.stack.postgres import PostgresServer
from workers.stack.temporal import TemporalServer
from workers.stack.weaviate import WeaviateServer
from workers.stack.weaviate_binary import Progress

PORTS = "ports.json"
P = TypeVar("P", bound=Part)


class Stack:
    """Starts the servers that the settings don't already name, and ends them, and all they started, at exit.

    Use as `async with Stack(settings) as stack:` in the main thread. Inside, all parts are usable. Without a Weaviate
    server, and with no way to get one, the stack goes on without. Data and logs are under `settings.data_dir` and
    survive; the kernel ends every part when this process dies (on Linux).

    Raises:
        Unavailable: another stack runs in the data directory, a folder or a port cannot be used, or a part has no
            program.
        PartFailed: a part did not start. All others are stopped then.
    """

    def __init__(self, settings: Settings, *, progress: Progress = lambda _: None) -> None:
        self._given = settings
        self._progress = progress
        self._lock = stack_lock(settings.data_dir)
        self._ports: dict[str, int] = {}
        self._port_claims = ExitStack()
        self._temporal: TemporalServer | None = None
        self._postgres: PostgresServer | None = None
        self._weaviate: WeaviateServer | None = None
        self._added: list[Part] = []
        self._addresses: Addresses | None = None

    @property
    def temporal(self) -> TemporalServer:
        """The Temporal server of this stack."""
        return _own(self._temporal, "Temporal")

    @property
    def postgres(self) -> PostgresServer:
        """The PostgreSQL server of this stack."""
        return _own(self._postgres, "PostgreSQL")

    @property
    def weaviate(self) -> WeaviateServer:
        """The Weaviate server of this stack."""
        return _own(self._weaviate, "Weaviate")

    @property
    def parts(self) -> list[Part]:
        """The servers that this stack started."""
        return [part for part in (self._temporal, self._postgres, self._weaviate) if part is not None]

    @property
    def addresses(self) -> Addresses:
        """Where the parts are."""
        assert self._addresses is not None, "the stack is not started"
        return self._addresses

    @property
    def settings(self) -> Settings:
        """The settings of a process that uses this stack."""
        return self._given.at(self.addresses)

    async def __aenter__(self) -> Self:
        self._claim_data_dir()
        try:
            self._make_parts()
            await self._start()
            self._note()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def add(self, part: Part) -> None:
        """Start a part that needs the servers: it is watched as they are, and ended before them.

        Raises:
            PartFailed: it did not start.
        """
        self._added.append(part)
        await part.start()

    async def watch(self) -> PartFailed:
        """Wait until a part ends by itself, and answer which and why. What its handle does to it does not count."""
        while True:
            for part in [*self.parts, *self._added]:
                if part.crashed:
                    return part.failure()
            await asyncio.sleep(POLL_SECONDS)

    def _claim_data_dir(self) -> None:
        folder = self._given.data_dir
        with used(folder, "PERDURE_DATA_DIR"):
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            acquired = self._lock.acquire()
        if not acquired:
            raise Unavailable(
                f"Process {self._lock.holder()} runs a stack in {folder}. Stop it, or set PERDURE_DATA_DIR to another "
                "folder for a second stack beside it."
            )
        Addresses.forget(folder)  # what a stack that was killed left would be believed again

    def _make_parts(self) -> None:
        given, data, logs = self._given, self._given.data_dir, self._given.data_dir / "logs"
        timeout = given.start_timeout
        asked = {
            "temporal": given.temporal_port,
            "temporal_ui": given.temporal_ui_port,
            "postgres": given.postgres_port,
            "weaviate": given.weaviate_port,
            "weaviate_grpc": given.weaviate_port and 0,
        }
        with used(given.cache_dir, "PERDURE_CACHE_DIR"):
            chosen = ports.choose(asked, data / PORTS, given.cache_dir / "ports", self._port_claims)
        self._ports = chosen
        for old in logs.glob("*.log"):
            old.replace(old.with_suffix(".log.1"))
        if not given.temporal.address:
            self._temporal = TemporalServer(
                port=chosen["temporal"],
                ui_port=chosen["temporal_ui"],
                namespace=given.namespace,
                data=data / "temporal.db",
                log=logs / "temporal.log",
                start_timeout=timeout,
            )
        if given.database_url is None:
            self._postgres = PostgresServer(
                port=chosen["postgres"], data=data / "postgres", log=logs / "postgres.log", start_timeout=timeout
            )
        if given.weaviate_url is None:
            self._weaviate = WeaviateServer(
                ports=chosen,
                data=data / "weaviate",
                cache_dir=given.cache_dir,
                log=logs / "weaviate.log",
                start_timeout=timeout,
                progress=self._progress,
            )

    async def _start(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for part in self.parts:
                    group.create_task(self._start_part(part))
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None  # the others were cancelled because of it, or say the same
        given, temporal, weaviate = self._given, self._temporal, self._weaviate
        self._addresses = Addresses(
            temporal=temporal.address if temporal else given.temporal_address,
            namespace=given.namespace,
            temporal_ui=temporal.ui if temporal else None,
            postgres=self._postgres.url() if self._postgres else given.require_database_url(),
            weaviate=weaviate.url if weaviate else given.weaviate_url,
            weaviate_grpc_port=weaviate.grpc_port if weaviate else given.weaviate_grpc_port,
        )

    def _note(self) -> None:
        folder = self._given.data_dir
        with used(folder, "PERDURE_DATA_DIR"):
            ports.remember(self._ports, folder / PORTS)
            self.addresses.write(folder)

    async def _start_part(self, part: Part) -> None:
        self._progress(f"Starting {part.name}")
        try:
            await part.start()
        except Unavailable as error:
            if part is not self._weaviate:
                raise
            self._weaviate = None
            self._progress(f"Going on without Weaviate, so working sets will be degraded. {error}")
        else:
            self._progress(f"{part.name} is usable")

    async def _stop(self) -> None:
        Addresses.forget(self._given.data_dir)
        try:
            for parts in (self._added, self.parts):
                await asyncio.gather(*(part.stop() for part in parts))
        finally:
            for part in [*self._added, *self.parts]:  # whoever is in a hurry, a second Ctrl-C say, leaves none behind
                part.send(signal.SIGKILL)
            self._port_claims.close()
            self._lock.release()


def _own(part: P | None, name: str) -> P:
    if part is None:
        raise LookupError(f"{name} is no part of this stack: the settings name another, or there is none")
    return part
