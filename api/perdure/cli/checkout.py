"""The one way from the published package to what is not shipped with it."""

from __future__ import annotations

import importlib
from types import ModuleType


def from_checkout(name: str) -> ModuleType | None:
    """The module, in a checkout or the image with the `server` extra; none elsewhere."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None
