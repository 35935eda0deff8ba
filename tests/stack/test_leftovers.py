"""What is ended of a stack that was killed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from workers.stack.postgres import PostgresServer
from workers.stack.temporal import TemporalServer

WAITS = "print(flush=True); import time; time.sleep(60)"


def test_of_the_processes_in_the_clusters_folder_only_those_of_postgresql_are_ended(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("16")
    processes = []
    for name in ("postgres", "shell"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.symlink_to(Path(sys.executable).resolve())
        processes.append(subprocess.Popen([program, "-c", WAITS], cwd=folder, stdout=subprocess.PIPE))
    server = PostgresServer(port=1, data=folder, log=tmp_path / "log", start_timeout=timedelta(seconds=1))
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
        asyncio.run(server.prepare())
        processes[0].wait(10)
        with pytest.raises(subprocess.TimeoutExpired):
            processes[1].wait(0.5)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("statements", "kept"),
    [
        ([], False),
        (["CREATE TABLE namespaces (name)"], False),
        (["CREATE TABLE namespaces (name)", "INSERT INTO namespaces VALUES ('default')"], True),
    ],
)
def test_of_temporals_databases_only_one_that_was_never_usable_is_removed(
    tmp_path: Path, statements: list[str], kept: bool
) -> None:
    database = tmp_path / "temporal.db"
    database.touch()
    _prepare_temporal(database, statements)
    assert database.exists() is kept


def test_a_database_of_temporal_that_cannot_be_read_is_left_to_temporal(tmp_path: Path) -> None:
    database = tmp_path / "temporal.db"
    database.write_bytes(b"no database, but somebody's all the same" * 100)
    _prepare_temporal(database, [])
    assert database.exists()


def _prepare_temporal(database: Path, statements: list[str]) -> None:
    if statements:
        with sqlite3.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    timeout = timedelta(seconds=1)
    log = database.with_name("log")
    server = TemporalServer(port=1, ui_port=2, namespace="default", data=database, log=log, start_timeout=timeout)
    asyncio.run(server.prepare())
