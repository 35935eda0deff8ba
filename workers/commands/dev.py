"""`perdure dev`: the whole stack and its workers on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli.output import FAILED, INTERRUPTED, OK, Format, Output, progress, show

if TYPE_CHECKING:
    from workers.stack.stack import Stack


def dev(
    workers: Annotated[int, typer.Option(min=0, max=16, help="How many worker processes.")] = 1,
    output: Output = Format.TEXT,
) -> None:
    """Run Temporal, PostgreSQL, Weaviate and workers here, without Docker.

    What TEMPORAL_ADDRESS, PERDURE_DATABASE_URL or PERDURE_WEAVIATE_URL name is used instead of started. Addresses are
    printed once all is usable. Ctrl-C stops everything; data stays in PERDURE_DATA_DIR.
    """
    raise typer.Exit(asyncio.run(_dev(workers, output)))


async def _dev(workers: int, output: Format) -> int:
    from workers.settings import Settings
    from workers.stack.part import PartFailed
    from workers.stack.stack import Stack

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    code = INTERRUPTED
    try:
        async with Stack(Settings.read(), progress=progress) as stack:
            await add_workers(stack, workers)
            show(stack.addresses.shown(), output, lambda: _text(stack))
            code = OK
            raise await stack.watch()
    except PartFailed as failure:
        progress(f"Error: {failure}\nEverything else is stopped. `perdure dev` starts it again on the same data.")
        return FAILED
    except asyncio.CancelledError:
        progress("Stopped.")
        return code


async def add_workers(stack: Stack, count: int) -> None:
    """Bring the stack's schema to its newest version and start `count` workers on it."""
    from workers.commands.migrate import upgrade
    from workers.stack.worker_process import WorkerProcess

    await asyncio.to_thread(upgrade, stack.addresses.postgres)
    logs = stack.settings.data_dir / "logs"
    names = ["Worker" if count == 1 else f"Worker {number}" for number in range(1, count + 1)]
    environment = stack.addresses.environment()
    parts = [
        WorkerProcess(environment=environment, log=logs / f"worker-{n}.log", name=name)
        for n, name in enumerate(names, 1)
    ]
    await asyncio.gather(*map(stack.add, parts))


def _text(stack: Stack) -> str:
    lines = [f"{name.replace('_', ' '):12} {address or '-'}" for name, address in stack.addresses.shown().items()]
    exports = [f"export {name}={value}" for name, value in stack.addresses.environment().items()]
    return "\n".join(
        [
            *("Everything is usable.", "", *lines, f"{'data, logs':12} {stack.settings.data_dir}", ""),
            *("For other programs:", *exports, "", "Ctrl-C stops everything; data stays."),
        ]
    )
