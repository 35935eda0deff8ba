"""The lock on a file, between processes."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import Timer

from workers.stack.lock import PAUSE_SECONDS, FileLock


def test_who_only_asks_whether_it_is_held_keeps_nobody_from_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)  # as `is_held` does
        Timer(PAUSE_SECONDS, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        assert FileLock(path).acquire()


def test_a_lock_that_is_held_is_not_given_to_another(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert second.is_held()
    assert not second.acquire()
    first.release()
    assert not second.is_held()
    assert second.acquire()
    second.release()
