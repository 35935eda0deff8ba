"""The conversation as text, beyond the golden values of the parity tests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.tokens import count
from perdure.history import estimate, line_of, render, within
from perdure.message import (
    Content,
    FilePart,
    Message,
    Part,
    Role,
    TextPart,
    ThoughtPart,
    ToolCallPart,
    ToolResultPart,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def message(role: Role, content: Content, number: int = 0) -> Message:
    bare = Message(
        message_id=str(number), session_id="s", role=role, content=content, sequence_number=number, created_at=AT
    )
    return bare.model_copy(update={"token_count": count(line_of(bare))})


def talk(*contents: str) -> list[Message]:
    roles: tuple[Role, Role] = ("user", "assistant")
    return [message(roles[i % 2], text, i) for i, text in enumerate(contents)]


FOUR = talk("Message 1", "Response 1", "Message 2", "Response 2")


def test_parts_are_shown_one_a_line() -> None:
    parts: list[Part] = [
        TextPart(text="See:"),
        ThoughtPart(text="hm"),
        ToolCallPart(tool_call_id="c", name="search", parameters={"q": "x"}),
        ToolResultPart(tool_call_id="c", result="found"),
        ToolResultPart(tool_call_id="c", result={"n": 1}),
        ToolResultPart(tool_call_id="c", result="half", error="gone"),
        FilePart(uri="file:a", media_type="text/plain"),
    ]
    shown = ["Tool: See:", "hm", 'search({"q":"x"})', "found", '{"n":1}', "gone", "[text/plain file:a]"]
    assert line_of(message("tool", parts)).splitlines() == shown


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("語" * 4, 3), ("é" * 6, 3)]
)
def test_the_bytes_rule_counts_bytes(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


def test_what_is_not_all_there_is_is_never_complete() -> None:
    for limit in (None, 1000):
        assert not render(FOUR, max_tokens=limit, complete=False).complete
        assert render(FOUR, max_tokens=limit).complete


def test_of_no_tokens_nothing_is_shown_and_that_is_flagged() -> None:
    history = render(FOUR, max_tokens=0)
    assert (history.text, history.truncated, history.complete) == ("", True, False)


def test_a_separator_after_an_ordinary_end_costs_one_token() -> None:
    messages = talk("Yes", "It is 7.", "See [1].", "Done")
    limit = sum(m.token_count for m in messages) + 3
    assert render(messages, max_tokens=limit).messages == messages
    assert render(messages, max_tokens=limit - 1).messages == messages[1:]


def test_what_did_not_fit_into_the_bytes_is_told() -> None:
    messages = talk(*["word"] * 40)
    whole = render(messages)
    assert within(whole, 100_000) == whole
    found = within(whole, 5000)
    assert 0 < len(found.messages) < len(messages)
    assert (found.messages, found.complete, found.truncated) == (messages[-len(found.messages) :], False, False)


# Ends that, with the separator after them, make several tokens more.
ENDS = ["", ".\r\n", " \r\n", "\r\n\r\n", ":+:", "+-+-+-+-+-+-+-+-"]
CONTENTS = st.builds(
    "".join, st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(ENDS))
)


@given(st.lists(CONTENTS, max_size=12), st.integers(1, 200))
@example(["Hello there.\r\n"] * 40, 100)
@example(["+-+-+-+-+-+-+-+-"] * 40, 100)
def test_the_text_never_exceeds_the_limit(contents: list[str], limit: int) -> None:
    history = render(talk(*contents), max_tokens=limit, cut_by=count)
    assert count(history.text) <= limit or len(history.text) == 1
    assert bool(history.text) == bool(contents)
