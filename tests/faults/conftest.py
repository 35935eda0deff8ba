"""Sites for the fault tests; what their workers wrote is shown when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from activities.stores.migrate import upgrade
from tests.support.site import Site, site_on
from tests.support.stack import TEMPLATE, data_dir, database, execute, stack_settings
from workers.settings import Settings
from workers.stack.stack import Stack

LOG_LINES = 15
LINE = 300
_site = pytest.StashKey[Site]()


@pytest.fixture
async def site(stack: Stack, settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """On the stack of all tests: for faults that leave its servers alone."""
    async with site_on(stack, settings, tmp_path) as site:
        request.node.stash[_site] = site
        yield site


@pytest.fixture(scope="session")
async def fragile_stack(stack: Stack) -> AsyncIterator[Stack]:
    """Temporal and PostgreSQL that may be killed; with the Weaviate of all tests."""
    with data_dir() as folder:
        shared = {
            "weaviate_url": stack.addresses.weaviate or "http://127.0.0.1:9",
            "weaviate_grpc_port": stack.addresses.weaviate_grpc_port,
        }
        async with Stack(stack_settings(folder).model_copy(update=shared)) as fragile:
            await execute(fragile, f'CREATE DATABASE "{TEMPLATE}"')
            await asyncio.to_thread(upgrade, fragile.postgres.url(TEMPLATE))
            yield fragile


@pytest.fixture
async def fragile_site(
    fragile_stack: Stack, unique: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    """On a stack whose Temporal and PostgreSQL may be killed. A test starts them again."""
    async with database(fragile_stack) as url:
        settings = fragile_stack.settings.model_copy(
            update={"database_url": url, "task_queue": unique, "tenant": unique}
        )
        async with site_on(fragile_stack, settings, tmp_path) as site:
            request.node.stash[_site] = site
            yield site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each worker's log to the report of a test that failed."""
    report = yield
    site = item.stash.get(_site, None)
    if report.failed and site is not None:
        for log in site.logs():
            lines = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
            report.sections.append((f"End of {log}", "\n".join(line[:LINE] for line in lines)))
    return report
