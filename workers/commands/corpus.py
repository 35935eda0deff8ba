"""`perdure corpus` and `perdure reindex`: fill corpora from folders, look at them, make their indexes anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from perdure.cli.output import INTERRUPTED, Format, Output, progress, show
from perdure.cli.session_text import table_of
from perdure.corpus import MAX_FILE_BYTES, UNCHANGED, Artifact, Corpus, IngestReport, Phase, ingest_workflow_id
from workers.commands.run import run

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.stores.corpus_store import PostgresCorpusStore
    from workers.settings import Settings

_READING: Phase = "reading"
_COUNTED = "files, {task.fields[spans]} spans, {task.fields[rate]:.0f} a second"
Name = Annotated[str, typer.Argument(help="The corpus.")]

corpus = typer.Typer(name="corpus", help="Corpora: what working sets are drawn from.", no_args_is_help=True)


@corpus.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="A folder, or one file.", exists=True, readable=True)],
    name: Annotated[str, typer.Option("--name", "-n", help="The corpus; made if there is none.")],
    chunking: Annotated[
        str | None,
        typer.Option(
            help="How documents are cut: structure-v2 (a new corpus's default) or lines-v1. Cannot be changed."
        ),
    ] = None,
    max_file_bytes: Annotated[int, typer.Option(min=1, help="A larger file is left out.")] = MAX_FILE_BYTES,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out paths that match this shell pattern; may be repeated.")
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove documents whose files are gone or excluded: the folder is all of the corpus."
        ),
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Bring the files of a folder into a corpus: new and changed ones; unchanged ones are skipped.

    Hidden files, generated code and folders such as node_modules are left out. Ctrl-C leaves the ingest running.
    """

    async def work(settings: Settings, on_progress: Callable[[IngestReport], None]) -> IngestReport:
        from workers.ingest_folder import ingest_folder

        async with _store(settings) as store:
            return await ingest_folder(
                await _connected(settings),
                store,
                path,
                corpus=name,
                tenant=settings.tenant,
                task_queue=settings.task_queue,
                chunking=chunking,
                max_file_bytes=max_file_bytes,
                exclude=exclude or (),
                prune=prune,
                on_progress=on_progress,
            )

    _watched(name, work, output)


def reindex(name: Name, output: Output = Format.TEXT) -> None:
    """Make a corpus's index in Weaviate anew from PostgreSQL; the old one serves until the new one is whole.

    Indexes of older versions are made anew when they are asked for; until then full text serves them.
    """

    async def work(settings: Settings, on_progress: Callable[[IngestReport], None]) -> IngestReport:
        from workers import ingest_folder

        return await ingest_folder.reindex(
            await _connected(settings),
            corpus=name,
            tenant=settings.tenant,
            task_queue=settings.task_queue,
            on_progress=on_progress,
        )

    # It looks at no file, and so has none to count.
    _watched(name, work, output, lambda report: f"{name}, version {report.version}: {report.spans} spans indexed anew.")


@corpus.command("list")
def list_(output: Output = Format.TEXT) -> None:
    """List the tenant's corpora."""

    async def work(settings: Settings) -> list[Corpus]:
        async with _store(settings) as store:
            return await store.list_corpora(settings.tenant)

    found = run(work)
    if found or output is Format.JSON:
        show(found, output, lambda: _corpora(found))
    else:
        progress("No corpora. `perdure corpus ingest` makes one.")


@corpus.command("show")
def show_(name: Name, output: Output = Format.TEXT) -> None:
    """Show a corpus, the versions of it that are kept, and its artifacts."""

    async def work(settings: Settings) -> tuple[Corpus, list[Artifact], list[int]]:
        async with _store(settings) as store:
            held = await store.get_corpus(settings.tenant, name)
            artifacts: list[Artifact] = []
            while page := await store.list_artifacts(settings.tenant, name, artifacts[-1].path if artifacts else ""):
                artifacts += page
            kept = [item.version for item in await store.versions(settings.tenant, name)]
            return held, artifacts, kept

    held, artifacts, kept = run(work)
    data = {**held.model_dump(mode="json"), "versions_kept": kept, "documents": artifacts}
    show(data, output, lambda: _documents(held, artifacts))
    if output is Format.TEXT and len(kept) > 1:
        progress(f"Versions kept, for `--as-of`: {kept[0]} to {kept[-1]}.")


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[PostgresCorpusStore]:
    from activities.stores.corpus_store import PostgresCorpusStore
    from activities.stores.engine import Engine
    from workers.database_errors import explained

    async with Engine(settings.require_database_url(), pool_size=2, explain=explained) as engine:
        yield PostgresCorpusStore(engine)


async def _connected(settings: Settings) -> Client:
    from perdure.pollers import pollers
    from workers.settings import connect_temporal

    client = await connect_temporal(settings)
    if not await pollers(client, settings.task_queue):
        progress(f"No worker polls the task queue {settings.task_queue!r}: this waits for one. Start `perdure worker`.")
    return client


def _watched(
    name: str,
    work: Callable[[Settings, Callable[[IngestReport], None]], Awaitable[IngestReport]],
    output: Format,
    told: Callable[[IngestReport], str] | None = None,
) -> None:
    """Show how far `work` is, and its result: what is `told` of it, or else a table of the files."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from workers.settings import Settings

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *(() if told else (MofNCompleteColumn(), TextColumn(_COUNTED))),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    row = bar.add_task(_READING, total=None, spans=0, rate=0.0)

    def on_progress(report: IngestReport) -> None:
        seconds = bar.tasks[row].elapsed or 0
        bar.update(
            row,
            description=report.phase.replace("_", " "),
            completed=report.files_done,
            total=report.files if report.phase == "done" else report.files or None,
            spans=report.spans,
            rate=report.spans / seconds if seconds else 0,
        )

    async def watched(settings: Settings) -> IngestReport:
        return await work(settings, on_progress)

    try:
        with bar:
            report = run(watched)
    except KeyboardInterrupt:
        if bar.tasks[row].description == _READING:
            progress("Nothing was started; the corpus is as it was.")
            raise typer.Exit(INTERRUPTED) from None
        progress(
            "No longer watching; what has started goes on. Run the command again to watch it, or look at workflow "
            f"`{ingest_workflow_id(Settings.load().tenant, name)}` in the Temporal UI."
        )
        raise typer.Exit(INTERRUPTED) from None
    for failure in report.failures:
        progress(f"Left out: {failure.path}: {failure.reason}")
    if report.phase == "index_behind":
        progress(f"Weaviate is away ({report.error}). Full-text search serves until it is back; nothing is lost.")
    show(report, output, lambda: told(report) if told else _result(report))


def _result(report: IngestReport) -> Group:
    table = table_of("files", "created", "updated", "skipped", "removed", "left out", "spans", "version", "indexed")
    files = (report.files, report.created, report.updated, report.skipped, report.removed, report.failed)
    counts = (*files, report.spans, report.version)
    table.add_row(*map(str, counts), "yes" if report.indexed else "no")
    skipped = [Text(f"{report.skipped} skipped: {UNCHANGED}", "table.caption")] if report.skipped else []
    return Group(table, *skipped)  # not as the table's own caption, which is folded to the table's width


def _corpora(found: list[Corpus]) -> Table:
    table = table_of("corpus", "version", "documents", "spans", "indexed", "embedder", "updated")
    for held in found:
        values = (
            *(held.corpus, str(held.version), str(held.artifacts), str(held.spans), "yes" if held.indexed else "no"),
            *(held.embedder, f"{held.updated_at:%Y-%m-%d %H:%M:%S}"),
        )
        table.add_row(*map(Text, values))  # as they are: a name may hold what rich takes for markup
    return table


def _documents(held: Corpus, artifacts: list[Artifact]) -> Group:
    table = table_of("document", "bytes", "spans", "changed in version")
    for artifact in artifacts:
        values = (artifact.path, str(artifact.size_bytes), str(artifact.spans), str(artifact.changed_in))
        table.add_row(*map(Text, values))  # as they are: a path may hold what rich takes for markup
    title = f"{held.corpus}, version {held.version}: {held.artifacts} documents, {held.spans} spans by {held.chunking}"
    return Group(Text(title, "table.title"), table)  # not as the table's own title, which is folded to its width
