"""`docs/settings.md`, made from the settings. `python -m workers.settings_page` writes it anew."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from workers.settings import Settings

FILE = Path(__file__).parents[1] / "docs" / "settings.md"

_PAGE = """# Settings

Every process reads them once, from the environment. A variable that is empty counts as not set; a duration is a number
of seconds, or ISO 8601. This page is made by `python -m workers.settings_page`.

- **Temporal**: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, and the profile that
  `TEMPORAL_PROFILE` names, as the `temporal` program reads them.
- **Telemetry**: `OTEL_EXPORTER_OTLP_ENDPOINT` turns on traces and metrics, as do `OTEL_TRACES_EXPORTER` and
  `OTEL_METRICS_EXPORTER` (`otlp`, which is HTTP here, `console`, or `none`); the other `OTEL_*` mean what OpenTelemetry
  says. A worker measures `perdure.compile.duration`, `perdure.compile.degraded` (by `reason`), `perdure.circuit.open`
  and `perdure.circuit.openings` (by `part`).
- **A session's own settings** are its `config`: `SessionConfig` in `api/perdure/session.py`.

| variable | default | |
|---|---|---|
"""
_FOLDERS = {"data_dir": "`~/.local/share/perdure` on Linux", "cache_dir": "`~/.cache/perdure` on Linux"}


def page() -> str:
    """The page: a row for each setting, in the order of their declaration."""
    return _PAGE + "".join(_row(name, field) for name, field in Settings.model_fields.items() if name != "temporal")


def _row(name: str, field: FieldInfo) -> str:
    default = _FOLDERS.get(name) or _default(field.default)
    kinds = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    told = [field.description, *([f"One of {', '.join(kinds)}."] if kinds else [])]
    return f"| `{Settings.model_config.get('env_prefix')}{name.upper()}` | {default} | {' '.join(map(str, told))} |\n"


def _default(value: object) -> str:
    match value:
        case None:
            return "none"
        case timedelta(days=days, seconds=0, microseconds=0):
            return f"{days} days"
        case timedelta():
            return f"{value.total_seconds():g} s"
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
