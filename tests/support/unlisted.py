"""Folders that cannot be listed, also by root, whom no permission keeps out."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def unlist(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let `folders` refuse to be listed, until the patch is undone."""
    listed: Any = os.scandir

    def scandir(folder: str) -> Any:
        if Path(folder) in folders:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
