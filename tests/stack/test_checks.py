"""`perdure doctor` against the real servers, and without them."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.envconfig import ClientConfigProfile

from perdure.cli import run
from tests.support.stack import database
from workers.checks import check_all
from workers.settings import Settings
from workers.stack.stack import Stack


async def test_every_server_is_found_and_a_missing_worker_is_named(settings: Settings) -> None:
    findings = {finding.name: finding for finding in await check_all(settings)}
    assert {name for name, finding in findings.items() if not finding.ok} == {"worker"}
    assert findings["worker"].next_step == "Start one with `perdure worker`."


async def test_a_database_that_was_never_migrated_is_named_with_the_command_that_helps(stack: Stack) -> None:
    async with database(stack, "template0") as url:
        findings = await check_all(stack.settings.model_copy(update={"database_url": url}))
    (postgres,) = (finding for finding in findings if finding.name == "postgres")
    assert not postgres.ok
    assert postgres.next_step == "Run `perdure migrate`."


async def test_a_namespace_that_does_not_exist_is_a_finding_that_says_what_to_do(settings: Settings) -> None:
    lost = settings.model_copy(
        update={"temporal": ClientConfigProfile(address=settings.temporal_address, namespace="nope")}
    )
    findings = {finding.name: finding for finding in await check_all(lost)}
    for name in ("temporal", "search attributes", "worker"):
        assert not findings[name].ok
        assert "nope" in findings[name].detail
        assert findings[name].next_step == "Create the namespace nope, or set TEMPORAL_NAMESPACE."
    assert findings["postgres"].ok


@pytest.mark.parametrize("arguments", [["reindex", "docs"], ["migrate"]])
async def test_a_command_in_a_namespace_that_does_not_exist_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", settings.temporal_address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nope")
    monkeypatch.setenv("PERDURE_DATABASE_URL", settings.require_database_url())
    assert await asyncio.to_thread(run, arguments) == 4
    told = capsys.readouterr().err
    assert f"Temporal at {settings.temporal_address}, namespace nope: " in told
    assert "Create the namespace nope, or set TEMPORAL_NAMESPACE." in told


async def test_servers_that_are_away_are_all_named_and_each_line_says_what_to_do(settings: Settings) -> None:
    nobody = "127.0.0.1:1"
    away = settings.model_copy(
        update={
            "temporal": ClientConfigProfile(address=nobody),
            "database_url": f"postgresql+psycopg://postgres@{nobody}/perdure",
            "weaviate_url": f"http://{nobody}",
        }
    )
    findings = {finding.name: finding for finding in await check_all(away)}
    assert {name for name, finding in findings.items() if finding.ok} == {"embedder"}
    assert all(finding.next_step for finding in findings.values() if not finding.ok)
