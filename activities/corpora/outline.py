"""The outline of a document: where its definitions and headings stand, and what encloses each line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

TOP, INNER, GAP, NONE = 3, 2, 1, 0
"""How well a span starts at a line: at a heading or definition, at an inner definition, after a blank line, badly."""

_DEFINITION = re.compile(
    r"(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|static|abstract|final|async|unsafe|extern)\s+)*"
    r"(?:def|class|fn|func|function|struct|enum|trait|impl|interface|namespace|module|message|service|type)\s+(?=\S)"
    r"(?:\([^)]*\)\s*)?(?P<name>[\w.$]*)"
)
_COMMENT = re.compile(r"@|#|//|/\*|\*")
_HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<name>\S.*)")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|~{3,}|\^{3,})\s*$")
_UNDERLINES = "=-~^"
_FENCE = re.compile(r"\s*(?:```|~~~)")
_PROSE = (".md", ".markdown", ".mdx", ".rst", ".txt")


class Line(NamedTuple):
    """A line, how well a span starts there, the name it gives, and the names it stands under, outermost first."""

    text: str
    start: int = NONE
    name: str = ""
    within: tuple[str, ...] = ()


def outline_of(path: str, lines: Sequence[str]) -> list[Line]:
    """The outline by headings for prose, else by keywords and indentation, as they are in most languages."""
    return _prose(lines) if path.lower().endswith(_PROSE) else _code(lines)


def _prose(lines: Sequence[str]) -> list[Line]:
    found: list[Line] = []
    open_names: list[tuple[int, str]] = []
    fenced = False
    for index, text in enumerate(lines):
        fence = _FENCE.match(text) is not None
        heading = None if fenced else _heading(text, lines[index + 1] if index + 1 < len(lines) else "")
        if heading is not None:
            _close(open_names, heading[0])
        within = tuple(name for _, name in open_names)
        if heading is not None:
            found.append(Line(text, TOP, heading[1], within))
            open_names.append(heading)
        else:
            after_gap = not fenced and index > 0 and text.strip() and not lines[index - 1].strip()
            found.append(Line(text, GAP if after_gap else NONE, "", within))
        fenced ^= fence
    return found


def _heading(text: str, following: str) -> tuple[int, str] | None:
    marked = _HEADING.match(text)
    if marked:
        return len(marked["level"]), marked["name"].rstrip("# ")
    if text.strip() and _UNDERLINE.match(following):
        return _UNDERLINES.index(following[0]) + 1, text.strip()
    return None


def _code(lines: Sequence[str]) -> list[Line]:
    found: list[Line] = []
    open_names: list[tuple[int, str]] = []
    within: tuple[str, ...] = ()
    for index, text in enumerate(lines):
        stripped = text.lstrip()
        depth = len(text) - len(stripped)
        if stripped and stripped[0] not in ")]}" and _close(open_names, depth):
            within = tuple(name for _, name in open_names)
        definition = _DEFINITION.match(stripped)
        if definition:
            found.append(Line(text, INNER if depth else TOP, definition["name"], within))
            _lift(found)
            if definition["name"]:
                open_names.append((depth, definition["name"]))
                within = (*within, definition["name"])
        else:
            after_gap = stripped and index > 0 and not lines[index - 1].strip()
            found.append(Line(text, GAP if after_gap else NONE, "", within))
    return found


def _close(open_names: list[tuple[int, str]], depth: int) -> bool:
    """Drop the names that end before a line of this depth; whether there were any."""
    held = len(open_names)
    while open_names and open_names[-1][0] >= depth:
        open_names.pop()
    return len(open_names) < held


def _lift(found: list[Line]) -> None:
    """Move the start of a definition up to the decorators and comments right above it."""
    index = len(found) - 1
    while index > 0 and _COMMENT.match(found[index - 1].text.lstrip()):
        above, start = found[index - 1], found[index].start
        found[index] = found[index]._replace(start=NONE)
        found[index - 1] = above._replace(start=start)
        index -= 1
