"""What a message may hold, checked where it enters."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import InvalidMessage, PayloadTooLarge
from perdure.message import (
    MAX_DEPTH,
    MAX_METADATA_BYTES,
    Content,
    FilePart,
    Part,
    TextPart,
    ThoughtPart,
    ToolCallPart,
    ToolResultPart,
    check_content,
    check_metadata,
    check_text,
)

LIMIT = 100


@pytest.mark.parametrize("content", ["", " \n", [], [TextPart(text="")], [ThoughtPart(text=" "), TextPart(text="\t")]])
def test_content_that_says_nothing_is_refused(content: Content) -> None:
    with pytest.raises(InvalidMessage, match="empty"):
        check_content(content, LIMIT)


@pytest.mark.parametrize(
    "part",
    [
        TextPart(text="x"),
        ThoughtPart(text="x"),
        ToolCallPart(tool_call_id="c", name="n"),
        ToolResultPart(tool_call_id="c"),
        FilePart(uri="file:x", media_type="text/plain"),
    ],
)
def test_one_part_that_says_something_is_enough(part: Part) -> None:
    check_content([TextPart(text=""), part], LIMIT)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_refused_at_any_depth(number: float) -> None:
    for metadata in ({"a": number}, {"a": {"b": [1.5, number]}}, {"a": (number,)}):
        with pytest.raises(InvalidMessage, match="JSON has not"):
            check_metadata(metadata)
    with pytest.raises(InvalidMessage, match="content holds the number"):
        check_content([ToolCallPart(tool_call_id="c", name="n", parameters={"x": number})], LIMIT)


def nested(levels: int) -> dict[str, Any]:
    """An object of so many levels."""
    return {"a": nested(levels - 1)} if levels > 1 else {}


def test_metadata_is_taken_up_to_its_bounds() -> None:
    around = len('{"a":""}')
    check_metadata({"a": "x" * (MAX_METADATA_BYTES - around)})
    with pytest.raises(PayloadTooLarge):
        check_metadata({"a": "x" * (MAX_METADATA_BYTES - around + 1)})
    check_metadata(nested(MAX_DEPTH + 1))  # the object itself is no level
    with pytest.raises(InvalidMessage, match="more than 32 levels"):
        check_metadata(nested(MAX_DEPTH + 2))


def test_a_short_text_is_taken_up_to_its_bytes() -> None:
    check_text("é" * 5, "title", 10)
    with pytest.raises(PayloadTooLarge, match="title has 12 bytes; the limit is 10"):
        check_text("é" * 6, "title", 10)


def test_the_escape_of_a_nul_is_text_and_a_nul_is_not() -> None:
    check_metadata({r"a\u0000": [r"b\u0000"]})
    for metadata in ({"a\0": 1}, {"a": ["b\0"]}):
        with pytest.raises(InvalidMessage, match="NUL"):
            check_metadata(metadata)
