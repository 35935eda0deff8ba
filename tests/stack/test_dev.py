"""`perdure dev` as a process: what it prints, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from temporalio.client import Client

from perdure.contract import TASK_QUEUE
from perdure.pollers import pollers
from tests.support.eventually import eventually
from tests.support.stack import data_dir, stack_environment

WITHIN = 90.0
NO_WEAVIATE = {"PERDURE_WEAVIATE_URL": "http://127.0.0.1:9"}
"""Where nobody is: one server less to start."""


class Dev:
    """A `perdure dev` process that said that all is usable."""

    def __init__(self, process: asyncio.subprocess.Process, line: bytes) -> None:
        self.process = process
        self.addresses: dict[str, str] = json.loads(line)
        self.family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]

    async def ended(self) -> tuple[int, str]:
        """Exit code and the rest of stdout, once the process and all it started are gone."""
        rest, _ = await asyncio.wait_for(self.process.communicate(), WITHIN)
        await eventually(self._nobody_left)
        assert self.process.returncode is not None
        return self.process.returncode, rest.decode()

    async def _nobody_left(self) -> bool:
        return not any(map(_lives, self.family))

    def server(self, name: str) -> psutil.Process:
        """The process of the program `name`."""
        return next(p for p in self._started() if name in p.info["name"])

    def workers(self) -> list[psutil.Process]:
        """The processes of its workers."""
        return [p for p in self._started() if "workers.worker" in (p.info["cmdline"] or ())]

    def _started(self) -> list[psutil.Process]:
        """What it started itself and has not ended; what a server started may end at any time."""
        running = psutil.process_iter(["name", "ppid", "cmdline"])
        return [p for p in running if p.info["ppid"] == self.process.pid]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def perdure(
    folder: Path, *arguments: str, errors: Path | None = None, variables: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start `perdure` with its data in `folder`."""
    log = (errors or folder / "stderr").open("wb")
    with log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "perdure.cli", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={
                **os.environ,
                **stack_environment(folder),
                **(variables or {}),
                "PYTHONPATH": ":".join(filter(None, sys.path)),
            },
        )


@asynccontextmanager
async def dev(folder: Path, *, workers: int = 0, variables: Mapping[str, str] | None = None) -> AsyncIterator[Dev]:
    """A running `perdure dev` in `folder`, killed afterwards if it still runs."""
    process = await perdure(folder, "dev", "--workers", str(workers), "--output", "json", variables=variables)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), WITHIN)
        assert line, (folder / "stderr").read_text()
        yield Dev(process, line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_one_line_of_json_leads_to_servers_that_answer() -> None:
    with data_dir() as folder:
        async with dev(folder) as running:
            addresses = running.addresses
            assert set(addresses) == {"temporal", "namespace", "temporal_ui", "postgres", "weaviate"}
            client = await Client.connect(addresses["temporal"], namespace=addresses["namespace"])
            assert (await client.count_workflows("PerdureStatus = 'active'")).count == 0
            url = addresses["postgres"].replace("+psycopg", "")
            async with await psycopg.AsyncConnection.connect(url) as connection:
                found = await connection.execute("SELECT count(*) FROM sessions")
                assert await found.fetchone() == (0,)
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == (0, "")


async def test_ctrl_c_stops_everything_and_a_restart_keeps_data_and_addresses() -> None:
    with data_dir() as folder:
        async with dev(folder) as running:
            first = running.addresses
            url = first["postgres"].replace("+psycopg", "")
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute("INSERT INTO tenants (tenant) VALUES ('kept')")
            running.process.send_signal(signal.SIGINT)
            assert (await running.ended())[0] == 0
        async with dev(folder) as running:
            assert running.addresses == first
            async with await psycopg.AsyncConnection.connect(url) as connection:
                found = await connection.execute("SELECT tenant FROM tenants")
                assert await found.fetchone() == ("kept",)


async def test_kill_minus_nine_leaves_no_process_and_the_folder_usable() -> None:
    with data_dir() as folder:
        async with dev(folder) as running:
            assert len(running.family) > 3
            running.process.kill()
            assert (await running.ended())[0] == -signal.SIGKILL
        async with dev(folder) as running:
            running.process.send_signal(signal.SIGTERM)
            assert (await running.ended())[0] == 0


@pytest.mark.parametrize("made", ["temporal.db", "PG_VERSION"])
async def test_a_first_start_that_is_killed_half_way_leaves_the_folder_usable(made: str) -> None:
    with data_dir() as folder:
        process = await perdure(folder, "dev", "--workers", "0", variables=NO_WEAVIATE)
        while not any(folder.rglob(made)):  # noqa: ASYNC110 - files raise no events
            await asyncio.sleep(0.001)
        for victim in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        await process.communicate()
        async with dev(folder, variables=NO_WEAVIATE) as running:
            running.process.send_signal(signal.SIGHUP)
            assert await running.ended() == (0, "")


@pytest.mark.parametrize(
    ("program", "name"), [("temporal", "Temporal"), ("postgres", "PostgreSQL"), ("weaviate", "Weaviate")]
)
async def test_the_end_of_one_part_stops_all_and_is_explained(program: str, name: str) -> None:
    with data_dir() as folder:
        async with dev(folder) as running:
            running.server(program).kill()
            code, _ = await running.ended()
            assert code == 1
            told = (folder / "stderr").read_text()
            assert f"{name} ended by SIGKILL. The end of {folder / 'logs' / program}.log:" in told
            assert "Everything else is stopped. `perdure dev` starts it again on the same data." in told


async def test_two_stacks_run_beside_each_other_but_not_in_one_folder() -> None:
    with data_dir() as one, data_dir() as other:
        async with AsyncExitStack() as both:
            first, second = await asyncio.gather(*(both.enter_async_context(dev(folder)) for folder in (one, other)))
            assert not set(first.addresses.values()) & set(second.addresses.values()) - {"default"}
            third = await perdure(one, "dev", errors=other / "refused")
            out, _ = await asyncio.wait_for(third.communicate(), WITHIN)
            assert (third.returncode, out) == (4, b"")
            assert "PERDURE_DATA_DIR" in (other / "refused").read_text()
            for running in (first, second):
                running.process.send_signal(signal.SIGTERM)
            for running in (first, second):
                assert (await running.ended())[0] == 0


async def test_two_workers_run_with_the_stack_and_end_with_it() -> None:
    with data_dir() as folder:
        async with dev(folder, workers=2, variables=NO_WEAVIATE) as running:
            workers = running.workers()
            assert len(workers) == 2
            client = await Client.connect(running.addresses["temporal"])
            names = {f"{worker.pid}@{socket.gethostname()}" for worker in workers}

            async def both_poll() -> bool:
                return names <= await pollers(client, TASK_QUEUE)

            assert await eventually(both_poll)
            workers[0].kill()
            code, _ = await running.ended()
            assert code == 1
            assert re.search(r"Worker [12] ended by SIGKILL", (folder / "stderr").read_text())


async def test_a_turn_is_one_trace_from_the_client_to_postgres_and_weaviate_and_each_span_names_the_session() -> None:
    traced = {"OTEL_TRACES_EXPORTER": "console"}

    async def told(folder: Path, *arguments: str) -> str:
        done = await perdure(folder, *arguments, errors=folder / "told", variables=traced)
        assert await asyncio.wait_for(done.wait(), WITHIN) == 0
        return (folder / "told").read_text()

    with data_dir() as folder:
        (folder / "docs").mkdir()
        (folder / "docs" / "fruit.txt").write_text("There are 100 apples.")
        async with dev(folder, workers=1, variables=traced) as running:
            await told(folder, "corpus", "ingest", str(folder / "docs"), "--name", "docs")
            await told(folder, "session", "start", "s", "--corpus", "docs")
            asked = _spans(await told(folder, "session", "send", "s", "How many apples?"))
            running.process.send_signal(signal.SIGTERM)
            await running.ended()
        worked = _spans((folder / "logs" / "worker-1.log").read_text())
    (trace_id,) = {
        span["context"]["trace_id"] for span in asked if span["name"] == "StartWorkflowUpdate:add_user_message"
    }
    turn = [span for span in (*asked, *worked) if span["context"]["trace_id"] == trace_id]
    assert {span["attributes"].get("session.id") for span in turn} == {"s"}
    assert {span["attributes"].get("gen_ai.conversation.id") for span in turn} == {"s"}
    assert "RunActivity:record_user_message" in {span["name"] for span in turn}
    assert {"postgresql", "weaviate.v1.Weaviate"} <= {
        span["attributes"].get("db.system") or span["attributes"].get("rpc.service") for span in turn
    }


def _spans(log: str) -> list[dict[str, Any]]:
    """The spans that were printed among other lines."""
    decoder, start, found = json.JSONDecoder(), 0, []
    while (start := log.find("{\n", start)) >= 0:
        span, start = decoder.raw_decode(log, start)
        found.append(span)
    return found
