"""Where histories are saved, and how: without what tells of the machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistory

from perdure.ids import DEFAULT_TENANT, workflow_id
from tests.support.runs import histories

FOLDER = Path(__file__).parent / "histories"
IDENTITY = "recorder"
"""In place of the process and machine that the SDK would name."""


async def save(client: Client, name: str, workflow: str | None = None) -> None:
    """Save every run of the workflow with that id; of the session with that name, if no id is given."""
    _write(name, await histories(client, workflow or workflow_id(DEFAULT_TENANT, name)))


def names() -> set[str]:
    """What there are histories of."""
    return {path.stem.rpartition("-")[0] for path in FOLDER.glob("*.json")}


def remove(name: str) -> None:
    """Remove the histories of that name."""
    for path in FOLDER.glob(f"{name}-*.json"):
        path.unlink()


def _write(name: str, runs: Iterable[WorkflowHistory]) -> None:
    for number, history in enumerate(runs):
        text = json.dumps(_without_traces(json.loads(history.to_json())), indent=1, ensure_ascii=False)
        FOLDER.joinpath(f"{name}-{number}.json").write_text(text + "\n", encoding="utf-8")


def _without_traces(value: Any) -> Any:
    """Stack traces name the folders of the machine; nothing depends on them."""
    match value:
        case dict():
            return {name: _without_traces(item) for name, item in value.items() if name != "stackTrace"}
        case list():
            return [_without_traces(item) for item in value]
        case _:
            return value
