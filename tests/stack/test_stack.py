"""The stack in this process: parts are usable, can be hurt, and keep their data."""

from __future__ import annotations

import os
import signal
from functools import partial

import psycopg
import pytest
from temporalio.client import Client

from perdure.errors import Unavailable
from tests.support.eventually import eventually
from tests.support.stack import data_dir, stack_settings
from workers.search_attributes import missing
from workers.stack.part import PartFailed
from workers.stack.stack import Stack


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
    with pytest.raises(OSError):  # noqa: PT011 - whichever way the socket notices
        await stack.weaviate.probe()
    stack.weaviate.thaw()
    await eventually(partial(_usable, stack))


async def _usable(stack: Stack) -> bool:
    await stack.weaviate.probe()
    return True


async def test_a_database_survives_a_crash_of_its_server_and_of_the_stack() -> None:
    with data_dir() as folder:
        async with Stack(stack_settings(folder)) as stack:
            addresses = stack.addresses
            await _put_row(stack)
            await stack.postgres.crash()
            await stack.postgres.start()
            assert await _row(stack) == 42
        async with Stack(stack_settings(folder)) as stack:
            assert await _row(stack) == 42
            assert stack.addresses == addresses


async def test_the_watch_names_the_part_that_ended_by_itself() -> None:
    with data_dir() as folder:
        async with Stack(stack_settings(folder)) as stack:
            os.kill(stack.temporal.pid, signal.SIGKILL)
            failure = await stack.watch()
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
