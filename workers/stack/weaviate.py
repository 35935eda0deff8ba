"""Weaviate, as one node."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from workers.stack.part import Part
from workers.stack.weaviate_binary import Progress, find_or_install

HOST = "127.0.0.1"


class WeaviateServer(Part):
    """Takes anonymous calls; makes no collection that was not defined."""

    name = "Weaviate"

    def __init__(
        self,
        *,
        ports: Mapping[str, int],
        data: Path,
        cache_dir: Path,
        log: Path,
        start_timeout: timedelta,
        progress: Progress,
    ) -> None:
        super().__init__(log, start_timeout)
        self._ports, self._data = ports, data
        self._cache_dir, self._progress = cache_dir, progress
        self._binary: Path | None = None

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{HOST}:{self._ports['weaviate']}"

    @property
    def grpc_port(self) -> int:
        """On the host of `url`."""
        return self._ports["weaviate_grpc"]

    def command(self) -> Sequence[str | Path]:
        """The server that `prepare` found."""
        assert self._binary is not None
        return [self._binary, "--host", HOST, "--port", str(self._ports["weaviate"]), "--scheme", "http"]

    def environment(self) -> Mapping[str, str]:
        """One node that looks for no other, and elects itself within a second or two."""
        inner = self._ports["weaviate_cluster"]
        return {
            **super().environment(),
            "PERSISTENCE_DATA_PATH": str(self._data),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "AUTOSCHEMA_ENABLED": "false",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",  # its fixed port would be a second stack's too
            "LOG_LEVEL": "warning",
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": HOST,
            "CLUSTER_ADVERTISE_ADDR": HOST,
            "CLUSTER_GOSSIP_BIND_PORT": str(inner),
            "CLUSTER_DATA_BIND_PORT": str(inner + 1),
            "RAFT_PORT": str(inner + 2),
            "RAFT_INTERNAL_RPC_PORT": str(inner + 3),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            # A flat index loses vectors that are not flushed when the server is killed; the default is 60.
            "PERSISTENCE_MEMTABLES_FLUSH_DIRTY_AFTER_SECONDS": "5",
            "RAFT_TIMEOUTS_MULTIPLIER": "1",
            "GRPC_PORT": str(self.grpc_port),
        }

    async def prepare(self) -> None:
        """Find the server, or install it, once.

        Raises:
            Unavailable: there is none and none could be had.
        """
        if self._binary is None:
            self._binary = await find_or_install(self._cache_dir, self._progress)

    async def probe(self) -> None:
        """Read the schema over HTTP, and reach the gRPC port."""
        await asyncio.to_thread(self._read_schema)
        _, writer = await asyncio.open_connection(HOST, self.grpc_port)
        writer.close()
        await writer.wait_closed()

    def _read_schema(self) -> None:
        with urllib.request.urlopen(f"{self.url}/v1/schema", timeout=5) as answer:
            answer.read()
