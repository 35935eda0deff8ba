"""`perdure doctor` against the real servers, and without them."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest
from temporalio.envconfig import ClientConfigProfile

from perdure.cli import run
from tests.support.stack import database, execute_in
from workers.checks import check_all
from workers.settings import Settings
from workers.stack.part import PartFailed
from workers.stack.stack import Stack
from workers.stack.worker_process import WorkerProcess


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


@pytest.mark.parametrize("command", ["doctor", "migrate"])
async def test_a_database_that_takes_connections_and_never_answers_ends_a_command_within_seconds(
    settings: Settings, tmp_path: Path, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "perdure.cli", command),
            env={
                "PYTHONPATH": ":".join(filter(None, sys.path)),
                "PERDURE_DATA_DIR": str(tmp_path),
                "TEMPORAL_ADDRESS": settings.temporal_address,
                "PERDURE_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/perdure",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            told, _ = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
    assert process.returncode == 4
    assert "timeout expired" in told.decode()


async def test_a_schema_of_a_newer_program_is_named_so_and_not_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await execute_in(settings.require_database_url(), "UPDATE alembic_version SET version_num = '9999'")
    (postgres,) = (finding for finding in await check_all(settings) if finding.name == "postgres")
    assert (postgres.detail, postgres.next_step) == (
        "schema at 9999, made by a newer Perdure",
        "Update this program.",
    )
    monkeypatch.setenv("PERDURE_DATABASE_URL", settings.require_database_url())
    assert await asyncio.to_thread(run, ["migrate"]) == 1
    assert "The schema is at 9999, made by a newer Perdure. Update this program." in capsys.readouterr().err


async def test_a_worker_refuses_an_older_schema_and_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    await execute_in(settings.require_database_url(), "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(PartFailed, match=r"this worker needs \d+\. Run `perdure migrate`"):
        await _worker(settings, tmp_path).start()
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


async def test_a_worker_without_temporal_ends_with_one_sentence(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(update={"temporal": ClientConfigProfile(address="127.0.0.1:1")})
    with pytest.raises(PartFailed, match="Temporal does not answer at"):
        await _worker(away, tmp_path).start()
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


async def test_a_worker_in_a_namespace_that_does_not_exist_never_says_that_it_is_ready(
    settings: Settings, tmp_path: Path
) -> None:
    lost = settings.model_copy(
        update={"temporal": ClientConfigProfile(address=settings.temporal_address, namespace="nope")}
    )
    worker = _worker(lost, tmp_path)
    with pytest.raises(PartFailed, match="Create the namespace nope, or set TEMPORAL_NAMESPACE"):
        await worker.start()
    assert "Traceback" not in worker.log.read_text()


def _worker(settings: Settings, folder: Path) -> WorkerProcess:
    return WorkerProcess(
        environment={
            "TEMPORAL_ADDRESS": settings.temporal_address,
            "TEMPORAL_NAMESPACE": settings.namespace,
            "PERDURE_DATABASE_URL": settings.require_database_url(),
            "PERDURE_TASK_QUEUE": settings.task_queue,
            "PERDURE_DATA_DIR": str(folder),
        },
        log=folder / "worker.log",
    )
