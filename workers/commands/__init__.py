"""The commands of `perdure` that build things. Each module here has `attach(root)`, and imports what is heavy late."""

from __future__ import annotations

import importlib
import pkgutil

import typer


def attach(root: typer.Typer) -> None:
    """Add every command of this package to `root`."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}").attach(root)
