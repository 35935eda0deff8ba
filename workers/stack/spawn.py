"""Child processes that never outlive this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.stack import launcher


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    user: str = "",
    death_signal: signal.Signals = signal.SIGKILL,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command`, by its whole path, in a process group of its own, with its output added to `log`.

    The kernel sends it `death_signal` when this process dies, however it dies (on Linux, and counted from the thread
    that calls: use the main one). `environment` is all it gets of one.
    """
    parent = [str(os.getpid()), str(int(death_signal)), user]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", launcher.__file__, *parent, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
