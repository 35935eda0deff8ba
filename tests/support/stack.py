"""Stacks for tests: in a folder of their own, on any free ports, and gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from temporalio.envconfig import ClientConfigProfile

from workers.settings import Settings
from workers.stack.stack import Stack

TEMPLATE = "perdure_template"


@contextmanager
def data_dir() -> Iterator[Path]:
    """A new folder with a short path, which PostgreSQL's own user can reach; unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stack_settings(folder: Path) -> Settings:
    """Settings of a whole stack in `folder`, whatever the environment says."""
    return Settings(
        data_dir=folder,
        database_url=None,
        weaviate_url=None,
        temporal=ClientConfigProfile(),
        temporal_port=0,
        temporal_ui_port=0,
        postgres_port=0,
        weaviate_port=0,
    )


def stack_environment(folder: Path) -> dict[str, str]:
    """The same for a process: what its environment says beyond ours."""
    ports = dict.fromkeys(("TEMPORAL", "TEMPORAL_UI", "POSTGRES", "WEAVIATE"), "0")
    addresses = dict.fromkeys(("PERDURE_DATABASE_URL", "PERDURE_WEAVIATE_URL", "TEMPORAL_ADDRESS"), "")
    return {
        "PERDURE_DATA_DIR": str(folder),
        **{f"PERDURE_{name}_PORT": port for name, port in ports.items()},
        **addresses,
    }


@asynccontextmanager
async def database(stack: Stack, template: str = TEMPLATE) -> AsyncIterator[str]:
    """The URL of a new database that is a copy of `template`, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    await execute(stack, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield stack.postgres.url(name)
    finally:
        await execute(stack, f'DROP DATABASE "{name}" WITH (FORCE)')


async def execute(stack: Stack, statement: str) -> None:
    """Run one statement on the stack's PostgreSQL server, outside a transaction."""
    await execute_in(stack.postgres.url("postgres"), statement)


async def execute_in(database_url: str, statement: str) -> None:
    """Run one statement in that database, outside a transaction."""
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement.encode())
