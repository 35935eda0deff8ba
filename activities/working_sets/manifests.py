"""What two manifests say that differs, one line for each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import to_json

COMPARED = ("program_version", "embedder", "chunking", "index", "fusion")
"""Parts of a manifest that explain why its text is another than that of the same settings and corpus version."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Such as `index.ef: 128 → 256`, in the order of `COMPARED`; a value that one of them lacks is `none`."""
    return [line for name in COMPARED for line in _differing(name, before.get(name), after.get(name))]


def _differing(name: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    old, new = _parts(before), _parts(after)
    if old is None or new is None:
        yield f"{name}: {_shown(before)} → {_shown(after)}"
        return
    for key in dict.fromkeys((*old, *new)):
        yield from _differing(f"{name}.{key}", old.get(key), new.get(key))


def _parts(value: Any) -> Mapping[str, Any] | None:
    return {} if value is None else value if isinstance(value, Mapping) else None


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else to_json(value, serialize_unknown=True).decode()
