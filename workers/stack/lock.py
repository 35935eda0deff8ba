"""A lock on a file that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

TRIES, PAUSE_SECONDS = 5, 0.01
"""Who asks `is_held` has the lock for a moment: to who finds it taken, that may be all."""


class FileLock:
    """An exclusive lock between processes. The file holds the pid of its last holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free; answers whether it is ours now."""
        for _ in range(TRIES):
            if self._take():
                return True
            time.sleep(PAUSE_SECONDS)
        return False

    def _take(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if not self._leads_to(descriptor):  # its last holder removed it meanwhile: this lock would keep nobody out
            os.close(descriptor)
            return False
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def _leads_to(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def is_held(self) -> bool:
        """Whether some process has the lock now."""
        if not self.path.exists():
            return False
        with self.path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def holder(self) -> str:
        """The pid of who took the lock last, as text."""
        return self.path.read_text().strip()

    def remove(self) -> None:
        """Give the lock back, and remove its file; without effect if it is not ours."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            self.release()

    def release(self) -> None:
        """Give the lock back; without effect if it is not ours."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
