"""What is ended of a stack that was killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from workers.stack.postgres import PostgresServer

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
