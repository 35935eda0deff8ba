"""How the talk so far is folded into a query."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from perdure.message import Message, Role
from perdure.thread_query import LOOKED_AT, THREAD_CHARACTERS, THREAD_MESSAGES, thread_query, thread_to

TOOLS: list[tuple[Role, str]] = [("tool", "x")] * 100


def said(*contents: tuple[Role, str]) -> list[Message]:
    return [
        Message(
            message_id=f"m{number}",
            session_id="s",
            role=role,
            content=content,
            sequence_number=number,
            parent_message_id=f"m{number - 1}" if number else None,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, (role, content) in enumerate(contents)
    ]


def test_without_a_thread_the_query_is_the_message() -> None:
    assert thread_query("and how do I stop it?", []) == "and how do I stop it?"


def test_the_message_comes_first_and_the_newest_of_the_thread_next() -> None:
    thread = said(("user", "How do I start a worker?"), ("assistant", "Call\n  run()."))
    assert thread_query("How do I stop it?", thread) == "How do I stop it?\nCall run().\nHow do I start a worker?"


def test_tools_and_system_are_left_out_and_take_no_place() -> None:
    thread = said(("user", "start"), ("system", "be brief"), ("tool", "42"), ("assistant", "run"), ("tool", "43"))
    assert thread_query("stop", thread) == "stop\nrun\nstart"


def test_of_a_long_message_its_beginning_is_taken() -> None:
    folded = thread_query("q", said(("user", "x" * 1000)))
    assert folded == "q\n" + "x" * THREAD_CHARACTERS


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool", "system"]), st.text()), max_size=80), st.text())
def test_it_is_bounded_and_starts_with_the_message(contents: list[tuple[Role, str]], text: str) -> None:
    folded = thread_query(text, said(*contents))
    assert folded.startswith(text)
    assert len(folded) <= len(text) + THREAD_MESSAGES * (THREAD_CHARACTERS + 1)


def test_a_thread_is_the_walk_from_the_head_and_not_the_newest_messages() -> None:
    first, second, third = said(("user", "a"), ("assistant", "b"), ("user", "c"))
    branch = third.model_copy(update={"message_id": "other", "parent_message_id": "m0", "sequence_number": 3})
    assert thread_to("other", [first, second, third, branch]) == [first, branch]
    assert thread_to(None, [first]) == []
    assert thread_to("m2", [second, third]) == [second, third]  # as far as they are known


def test_a_walk_is_bounded() -> None:
    assert len(thread_to("m99", said(*TOOLS))) == LOOKED_AT
