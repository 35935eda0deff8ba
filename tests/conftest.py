"""The real servers: one stack for a process of tests, one migrated database that is copied for each test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from temporalio.client import Client

from tests.support.stack import TEMPLATE, data_dir, database, execute, stack_settings
from workers.settings import Settings, connect_temporal
from workers.stack.stack import Stack

if TYPE_CHECKING:
    from tests.support.site import Site


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """Temporal, PostgreSQL and Weaviate. A test that hurts a part puts it right again."""
    with data_dir() as folder:
        async with Stack(stack_settings(folder)) as stack:
            yield stack


@pytest.fixture(scope="session")
async def template_database(stack: Stack) -> str:
    """The name of a database at the head of the migrations, which nobody may be connected to."""
    from activities.stores.migrate import upgrade

    await execute(stack, f'CREATE DATABASE "{TEMPLATE}"')
    await asyncio.to_thread(upgrade, stack.postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def database_url(stack: Stack, template_database: str) -> AsyncIterator[str]:
    """A database of the test's own, with all tables and no rows."""
    async with database(stack, template_database) as url:
        yield url


@pytest.fixture
def unique() -> str:
    """An id that no other test has, for sessions, corpora, tenants and queues."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def settings(stack: Stack, database_url: str, unique: str) -> Settings:
    """Settings that lead to the stack, with a database, a task queue and a tenant of the test's own."""
    return stack.settings.model_copy(update={"database_url": database_url, "task_queue": unique, "tenant": unique})


@pytest.fixture(scope="session")
async def shared_settings(stack: Stack, template_database: str) -> AsyncIterator[Settings]:
    """Settings of a worker in this process that tests share; it polls as long as they last."""
    from tests.support.site import shared_worker

    async with shared_worker(stack, template_database) as settings:
        yield settings


@pytest.fixture
async def site(stack: Stack, shared_settings: Settings, unique: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The test's own tenant, served by the shared worker."""
    from tests.support.site import site_on

    async with site_on(stack, shared_settings.model_copy(update={"tenant": unique}), tmp_path) as site:
        yield site


@pytest.fixture
async def temporal_client(stack: Stack) -> Client:
    """A client of the stack's Temporal server."""
    return await connect_temporal(stack.settings)
