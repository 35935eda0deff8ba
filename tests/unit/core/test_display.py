"""A session as Temporal's UI shows it."""

from __future__ import annotations

import pytest

from activities.session import empty, reference
from perdure.contract import Handlers, UpdateSession
from perdure.events import MessageAdded
from tests.unit.core.test_decide import after, command, user
from tests.unit.core.test_fold import created, events_of
from workflows.core.state import apply
from workflows.display import details


@pytest.mark.parametrize(("title", "shown"), [("Two\n\n# lines", "Two # lines"), (" \n", "s")])
def test_whatever_a_title_or_a_message_holds_the_list_keeps_an_item_a_line(title: str, shown: str) -> None:
    titled = command(Handlers.UPDATE_SESSION, UpdateSession(title=title), "t")
    state = after(apply(None, created()), titled, user("First\n- second", "m"))
    session, head, *_, message = details(state).splitlines()
    assert session == f"- **{shown}**, active, 1 messages"
    assert head == "- head: `m`"
    assert message == "- **user** #0: First - second"


def test_a_degraded_working_set_says_why() -> None:
    state = apply(None, created())
    (added,) = events_of(state, user())
    assert isinstance(added.data, MessageAdded)
    compiled = added.data.model_copy(update={"working_set": reference(empty("q", "The span index is away."))})
    shown = details(apply(state, added.model_copy(update={"data": compiled}))).splitlines()
    assert shown[2].startswith("- last working set: 0 tokens, 0 spans, `")
    assert shown[2].endswith("`, degraded: The span index is away.")


@pytest.mark.parametrize("text", ["word " * 40_000, " " * 1000 + "word"])
def test_of_a_long_message_the_start_is_shown(text: str) -> None:
    *_, shown = details(after(apply(None, created()), user(text, "m"))).splitlines()
    assert shown.startswith("- **user** #0: " + text[:600].strip()[:100])
    assert shown.endswith("…")
    assert len(shown) < 200
