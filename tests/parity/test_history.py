"""Cases 20 to 25: the conversation as text; those with a limit by the predecessor's rule, and by tokens."""

from __future__ import annotations

import pytest

from perdure.history import estimate, render
from tests.unit.test_history import FOUR, message, talk

LONG = [message("user", f"Message {number}: {'A' * 1000}", number) for number in range(10)]


def test_case_20_lines_are_joined_by_a_blank_line() -> None:
    expected = "User: Hello\n\nAssistant: Hi there!\n\nUser: How are you?"
    assert render(talk("Hello", "Hi there!", "How are you?")).text == expected


def test_case_21_an_empty_session_has_an_empty_history() -> None:
    assert render([], max_tokens=10).text == ""


def test_case_22_every_role_has_its_name() -> None:
    assert render([message("system", "S"), message("tool", "T", 1)]).text == "System: S\n\nTool: T"


@pytest.mark.parametrize(
    ("limit", "by_rule", "by_tokens"),
    [(20, 4, 3), (19, 3, 3), (16, 3, 2), (15, 2, 2), (10, 2, 1), (9, 1, 1), (6, 1, 1)],
)
def test_case_23_the_newest_that_fit_are_kept(limit: int, by_rule: int, by_tokens: int) -> None:
    history = render(FOUR, max_tokens=limit, counting="estimate")
    assert (history.messages, history.truncated) == (FOUR[-by_rule:], False)
    assert history.complete == (by_rule == 4)
    assert render(FOUR, max_tokens=limit).messages == FOUR[-by_tokens:]


def test_case_24_a_newest_message_that_does_not_fit_is_cut_and_flagged() -> None:
    history = render(FOUR, max_tokens=5, counting="estimate")
    assert (history.text, history.messages, history.truncated) == ("Assistant: Response ", FOUR[-1:], True)
    assert estimate(history.text) == 5
    assert not render(FOUR, max_tokens=5).truncated


def test_case_25_long_messages_fill_the_limit_from_the_newest() -> None:
    assert render(LONG, max_tokens=1000, counting="estimate").messages == LONG[7:]
    assert render(LONG, max_tokens=1000).messages == LONG[3:]
