"""The corpus of the benchmarks: the source of installed packages, and questions that its docstrings answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.rig import Rig


@dataclass(frozen=True)
class Corpus:
    """An ingested corpus; without a name there is none, and nothing is compiled."""

    name: str | None
    index: str | None
    questions: list[str]
    spans: int = 0


def questions_of(folder: Path, limit: int = 400) -> list[str]:
    """The first sentence of docstrings: what somebody might ask who doesn't know where it is written."""
    return list(dict.fromkeys(_sentences(folder)))[:limit]


def source_of(package: str) -> Path:
    """The folder of an installed package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _sentences(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                sentence = " ".join((ast.get_docstring(node) or "").split(". ")[0].split())
                if 30 < len(sentence) < 120:
                    yield sentence


async def ready_corpus(rig: Rig, *, quick: bool) -> Corpus:
    del rig, quick
    return Corpus(None, None, questions_of(source_of("temporalio")))
