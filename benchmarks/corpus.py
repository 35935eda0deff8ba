"""The corpus of the benchmarks: the source of installed packages, and questions that its docstrings answer."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from activities.corpora.chunking import DEFAULT_CHUNKING
from activities.stores.corpus_store import PostgresCorpusStore
from activities.stores.engine import Engine
from benchmarks.rig import Rig
from perdure.corpus import IngestReport
from perdure.ids import DEFAULT_TENANT
from workers.ingest_folder import ingest_folder

_SOURCES = {True: ["psycopg"], False: ["psycopg", "sqlalchemy.sql"]}
"""Packages by whether it has to be quick; the longer list gives over 5,000 spans."""
_QUESTIONS = 400


@dataclass(frozen=True)
class Corpus:
    """An ingested corpus. `index` is its tenant in Weaviate."""

    name: str
    index: str
    questions: list[str]


async def ready_corpus(rig: Rig, *, quick: bool) -> Corpus:
    """Ingest what is not there yet, and think of questions."""
    packages = _SOURCES[quick]
    name = "-".join([*packages, DEFAULT_CHUNKING])
    folder = rig.stack.settings.data_dir / "documents" / name
    for package in packages:
        shutil.copytree(
            source_of(package), folder / package, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    async with Engine(rig.stack.addresses.postgres) as engine:
        store = PostgresCorpusStore(engine)
        progress = _Progress(rig)
        await ingest_folder(rig.client, store, folder, corpus=name, on_progress=progress)
        state = await store.state(DEFAULT_TENANT, name)
    if state is None or state.index is None:
        raise RuntimeError("the corpus has no index: is Weaviate there?")
    return Corpus(name, state.index, list(dict.fromkeys(sentences(folder)))[:_QUESTIONS])


def source_of(package: str) -> Path:
    """The folder of an installed package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


def sentences(folder: Path) -> Iterator[str]:
    """The first sentence of docstrings: what somebody might ask who doesn't know where it is written."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                sentence = " ".join((ast.get_docstring(node) or "").split(". ")[0].split())
                if 30 < len(sentence) < 120:
                    yield sentence


class _Progress:
    """Tells of an ingest, at every five hundred spans."""

    def __init__(self, rig: Rig) -> None:
        self._say = rig.say
        self._told = 0

    def __call__(self, report: IngestReport) -> None:
        if report.spans >= self._told + 500 or report.phase in ("done", "index_behind"):
            self._told = report.spans
            self._say(f"Ingest: {report.phase}, {report.spans} new spans, {report.skipped} files unchanged")
