"""Questions made from code that the project did not write: docstrings ask, the code without them has to answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import source_of

_SENTENCE = range(20, 160)
"""Characters of a first sentence that asks for something."""


@dataclass(frozen=True)
class Place:
    """Lines of a file, 1-based, inclusive."""

    path: str
    first: int
    last: int

    def overlaps(self, other: Place) -> bool:
        """Whether a line is in both."""
        return self.path == other.path and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Question:
    """The first sentence of a docstring, and the functions that bear it: more than one if it was copied."""

    text: str
    answers: tuple[Place, ...]


@dataclass(frozen=True)
class QuestionSet:
    """`files` by path, all docstrings removed; `questions` in the order of their text."""

    files: dict[str, str]
    questions: list[Question]

    def write(self, folder: Path) -> Path:
        """The files, in `folder`."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, "utf-8", newline="\n")
        return folder


def question_set(packages: Sequence[str]) -> QuestionSet:
    """All Python files of installed packages, and a question of each function whose docstring begins with one."""
    files: dict[str, str] = {}
    answers: dict[str, list[Place]] = {}
    for package in packages:
        root = source_of(package)
        for file in sorted(root.rglob("*.py")):
            path = f"{package}/{file.relative_to(root).as_posix()}"
            files[path], found = _undocumented(path, file.read_text("utf-8"))
            for sentence, place in found:
                answers.setdefault(sentence, []).append(place)
    return QuestionSet(files, [Question(text, tuple(places)) for text, places in sorted(answers.items())])


def _undocumented(path: str, source: str) -> tuple[str, list[tuple[str, Place]]]:
    """The source without its docstrings; their first sentences, with the lines that the functions then have."""
    tree = ast.parse(source)
    lines = source.split("\n")
    removed: set[int] = set()
    asked: list[tuple[str, int, int]] = []
    for node, docstring in _documented(tree):
        if lines[docstring.lineno - 1][: docstring.col_offset].strip():
            continue  # on the line of its definition
        removed.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
        sentence = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split(". ")[0].split()).rstrip(".")
        has_body = len(node.body) > 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and has_body and len(sentence) in _SENTENCE:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            asked.append((sentence, first, node.end_lineno or first))
    kept = [number for number in range(1, len(lines) + 1) if number not in removed]
    now = {number: place for place, number in enumerate(kept, 1)}
    found = []
    for sentence, first, last in asked:
        left = [now[number] for number in range(first, last + 1) if number in now]
        found.append((sentence, Place(path, left[0], left[-1])))
    return "\n".join(lines[number - 1] for number in kept), found


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(tree: ast.Module) -> Iterator[tuple[Documented, ast.Expr]]:
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            assert isinstance(docstring, ast.Expr)
            yield node, docstring
