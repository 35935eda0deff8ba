"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` in the place of what `path` holds; readable by this user alone.

    Whoever reads it meanwhile, or after this process was killed, finds the old content or the new.
    """
    beside = path.with_name(f"{path.name}.tmp")
    beside.unlink(missing_ok=True)
    beside.touch(0o600)
    beside.write_bytes(content)
    os.replace(beside, path)
