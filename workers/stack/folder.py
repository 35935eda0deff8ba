"""A folder that the settings name, and what to tell when it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure.errors import Unavailable


@contextmanager
def used(folder: Path, variable: str) -> Iterator[None]:
    """Around what reads or writes in `folder`, which the environment's `variable` names.

    Raises:
        Unavailable: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The folder {folder} cannot be used: {error.strerror}. Set {variable} to one that can."
        ) from error
