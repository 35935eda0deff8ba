"""What a message may hold, checked where it enters."""

from __future__ import annotations

import pytest

from perdure.errors import InvalidMessage
from perdure.message import (
    Content,
    FilePart,
    Part,
    TextPart,
    ThoughtPart,
    ToolCallPart,
    ToolResultPart,
    check_content,
    check_metadata,
)


@pytest.mark.parametrize("content", ["", " \n", [], [TextPart(text="")], [ThoughtPart(text=" "), TextPart(text="\t")]])
def test_content_that_says_nothing_is_refused(content: Content) -> None:
    with pytest.raises(InvalidMessage, match="empty"):
        check_content(content)


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
    check_content([TextPart(text=""), part])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_refused_at_any_depth(number: float) -> None:
    for metadata in ({"a": number}, {"a": {"b": [1.5, number]}}, {"a": (number,)}):
        with pytest.raises(InvalidMessage, match="JSON has not"):
            check_metadata(metadata)
    with pytest.raises(InvalidMessage, match="content holds the number"):
        check_content([ToolCallPart(tool_call_id="c", name="n", parameters={"x": number})])
