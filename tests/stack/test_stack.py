"""The stack in this process: parts are usable, can be hurt, and keep their data."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client

from perdure.errors import Unavailable
from tests.support.eventually import eventually
from tests.support.stack import data_dir, stack_settings
from workers.search_attributes import missing
from workers.settings import Settings
from workers.stack.part import PartFailed
from workers.stack.stack import Stack

SERVERS = ("temporal", "database_url", "weaviate_url", "weaviate_grpc_port")
"""The settings that name servers."""


async def _put_row(stack: Stack) -> None:
    async with await psycopg.AsyncConnection.connect(stack.postgres.url().replace("+psycopg", "")) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS value")


async def _row(stack: Stack) -> int:
    async with await psycopg.AsyncConnection.connect(stack.postgres.url().replace("+psycopg", "")) as connection:
        row = await (await connection.execute("SELECT value FROM kept")).fetchone()
        assert row is not None
        return int(row[0])


async def test_search_attributes_are_registered(temporal_client: Client) -> None:
    assert await missing(temporal_client) == []


async def test_a_part_killed_through_its_handle_restarts_at_the_same_address(stack: Stack) -> None:
    before = stack.addresses
    for part in stack.parts:
        await part.kill()
        assert not part.running
        assert not part.crashed
        await part.start()
        await part.probe()
    assert stack.addresses == before


async def test_a_frozen_part_answers_nothing_until_thawed(stack: Stack) -> None:
    stack.weaviate.freeze()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await stack.weaviate.probe()
    finally:
        stack.weaviate.thaw()
    await eventually(partial(_usable, stack))


def _with_own(stack: Stack, folder: Path, *named: str) -> Settings:
    """Settings of a stack in `folder` that starts its own of what is named so, and has the rest from `stack`."""
    own = stack_settings(folder)
    return own.model_copy(update={n: getattr(stack.settings, n) for n in SERVERS if n not in named})


async def _usable(stack: Stack) -> bool:
    await stack.weaviate.probe()
    return True


async def test_a_database_survives_a_crash_of_its_server_and_of_the_stack(stack: Stack) -> None:
    with data_dir() as folder:
        settings = _with_own(stack, folder, "database_url")
        async with Stack(settings) as own:
            addresses = own.addresses
            await _put_row(own)
            await own.postgres.crash()
            await own.postgres.start()
            assert await _row(own) == 42
        async with Stack(settings) as own:
            assert await _row(own) == 42
            assert own.addresses == addresses


async def test_the_watch_names_the_part_that_ended_by_itself(stack: Stack) -> None:
    with data_dir() as folder:
        async with Stack(_with_own(stack, folder, "temporal", "database_url")) as own:
            os.kill(own.temporal.pid, signal.SIGKILL)
            failure = await own.watch()
    assert failure.name == "Temporal"
    assert "SIGKILL" in str(failure)


async def test_a_second_stack_in_the_same_folder_is_refused_with_a_way_out(stack: Stack) -> None:
    with pytest.raises(Unavailable, match="PERDURE_DATA_DIR"):
        async with Stack(stack_settings(stack.settings.data_dir)):
            pass


async def test_a_part_named_by_the_settings_is_not_started(stack: Stack) -> None:
    with data_dir() as folder:
        async with Stack(stack.settings.model_copy(update={"data_dir": folder})) as other:
            assert other.parts == []
            assert other.addresses.postgres == stack.addresses.postgres


async def test_a_part_that_cannot_start_stops_the_others_and_shows_its_log() -> None:
    with data_dir() as folder:
        (folder / "postgres").mkdir()
        (folder / "postgres" / "PG_VERSION").write_text("9")
        with pytest.raises(PartFailed, match="PostgreSQL ended with exit code"):
            async with Stack(stack_settings(folder)):
                pass
        assert not (folder / "ports.json").exists()  # its ports may be why


async def test_a_stack_that_cannot_leave_its_addresses_leaves_no_server(stack: Stack) -> None:
    with data_dir() as folder:

        def once_it_is_usable(told: str) -> None:
            if told == "Temporal is usable":
                (folder / "running.json").mkdir()

        own = Stack(_with_own(stack, folder, "temporal"), progress=once_it_is_usable)
        with pytest.raises(Unavailable, match=r"cannot be used: .+\. Set PERDURE_DATA_DIR to"):
            async with own:
                pass
        assert not own.temporal.running


@pytest.mark.parametrize("variable", ["PERDURE_DATA_DIR", "PERDURE_CACHE_DIR"])
async def test_a_folder_that_cannot_be_used_is_named_with_its_variable(tmp_path: Path, variable: str) -> None:
    file = tmp_path / "file"
    file.touch()
    field = variable.removeprefix("PERDURE_").lower()
    with pytest.raises(Unavailable, match=rf"{file} cannot be used: .+\. Set {variable} to"):
        async with Stack(stack_settings(tmp_path / "data").model_copy(update={field: file})):
            pass
