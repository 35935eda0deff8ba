"""`perdure demo`: the whole story in one command."""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from perdure.cli.output import FAILED, OK, Format, Output, progress, show

if TYPE_CHECKING:
    from perdure.corpus import IngestReport
    from workers.demo import Demo, Result

TELL_SECONDS = 10
"""Between lines of progress, where there is no terminal to draw a bar on."""


def demo(
    docs: Annotated[
        Path | None,
        typer.Option(
            exists=True, readable=True, resolve_path=True, help="Talk about this folder, not about temporalio."
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Talk over real documents, kill the worker in the middle of a turn, and show that nothing was lost.

    Runs a stack of its own, in the folder `demo` under PERDURE_DATA_DIR, but for servers that the environment names.
    Exits with 0 only if every check held.
    """
    from workers.demo import DEFAULT_QUESTIONS, OTHER_QUESTIONS, Demo
    from workers.settings import Settings

    settings = Settings.read()
    any_port = dict.fromkeys(("temporal_port", "temporal_ui_port", "postgres_port", "weaviate_port"), 0)
    settings = settings.model_copy(
        update={"data_dir": settings.data_dir / "demo"}
        | {name: port for name, port in any_port.items() if getattr(settings, name) is None}
    )
    folder = docs or _temporalio()
    # The bridge is 15,000 spans of vendored Rust, which nobody asks about here.
    questions, exclude = (OTHER_QUESTIONS, ()) if docs else (DEFAULT_QUESTIONS, ("bridge",))
    told = Console(stderr=output is Format.JSON)
    result = asyncio.run(_run(Demo(settings, folder, exclude, questions, told)))
    show(result, output, lambda: _closing(result))
    raise typer.Exit(OK if result.ok else FAILED)


async def _run(story: Demo) -> Result:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("Reading documents: {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[spans]} new spans"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    told = 0.0
    row = bar.add_task("", total=None, spans=0)

    def on_ingest(report: IngestReport) -> None:
        nonlocal told
        bar.start()
        if not bar.console.is_terminal and time.monotonic() > told + TELL_SECONDS:
            told = time.monotonic()
            progress(f"Reading documents: {report.files_done} of {report.files} files, {report.spans} new spans")
        bar.update(
            row, description=report.phase, completed=report.files_done, total=report.files or None, spans=report.spans
        )
        if report.phase in ("done", "index_behind"):
            bar.stop()

    try:
        return await story.run(progress, on_ingest)
    finally:
        bar.stop()


def _temporalio() -> Path:
    found = importlib.util.find_spec("temporalio")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _closing(result: Result) -> str:
    failed = [f"  ✗ {check.what}" for check in result.checks if not check.ok]
    held = "Every check held." if result.ok else "NOT every check held."
    lines = ["", f"{held} {result.seconds:.0f} s in all.", *failed]
    if result.temporal_ui:
        lines += [
            "Its servers are stopped. To look at the talk, start them again:",
            f"  PERDURE_DATA_DIR={shlex.quote(str(result.data_dir))} {_perdure()} dev",
            f"and open {result.temporal_ui}",
        ]
    return "\n".join(lines)


def _perdure() -> str:
    """What runs this program from a shell that may not have it on its PATH."""
    script = Path(sys.argv[0]).absolute()
    return shlex.quote(str(script)) if script.name == "perdure" else f"{shlex.quote(sys.executable)} -m perdure.cli"
