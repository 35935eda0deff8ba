"""What each command does to a session, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.contract import (
    AddAssistantMessage,
    AddMessages,
    AddUserMessage,
    Handlers,
    Lifecycle,
    NewMessage,
    UpdateSession,
)
from perdure.errors import (
    HeadMoved,
    IdempotencyConflict,
    InvalidMessage,
    InvalidRequest,
    PayloadTooLarge,
    SessionDeleted,
)
from perdure.ids import is_id
from perdure.message import TextPart, ThoughtPart
from perdure.working_set import PRESETS, CompilerConfig
from tests.unit.core.test_fold import created, events_of
from workflows.core.command import Body, Command, Expire, body_hash, command_of
from workflows.core.decide import compiler_config, decide, receipt_of
from workflows.core.state import SessionState, apply

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def state() -> SessionState:
    return apply(None, created())


def command(name: str, body: Body, key: str = "k") -> Command:
    return command_of(name, body, key, AT)


def after(state: SessionState, *commands: Command | Expire) -> SessionState:
    for item in commands:
        for event in events_of(state, item):
            state = apply(state, event)
    return state


def user(content: str = "Hello", key: str = "k", **fields: object) -> Command:
    return command(Handlers.ADD_USER_MESSAGE, AddUserMessage.model_validate({"content": content, **fields}), key)


def test_a_repeated_key_with_the_same_body_has_a_receipt(state: SessionState) -> None:
    state = after(state, user("Hello", "k"))
    assert receipt_of(state, user("Hello", "k")) is not None
    assert receipt_of(state, user("Hello", "other")) is None


def test_a_repeated_key_with_another_body_is_refused(state: SessionState) -> None:
    state = after(state, user("Hello", "k"))
    with pytest.raises(IdempotencyConflict) as caught:
        receipt_of(state, user("Goodbye", "k"))
    assert caught.value.details == {"key": "k"}


def test_a_default_sent_or_left_out_is_the_same_body() -> None:
    left_out = AddUserMessage(content="a")
    sent = AddUserMessage(content="a", metadata=None, expected_head=None, retrieval=None)
    assert body_hash("add_user_message", left_out) == body_hash("add_user_message", sent)


def test_the_order_of_names_makes_no_other_body() -> None:
    one, other = {"a": 1, "b": {"c": [{"d": 2, "e": 3}]}}, {"b": {"c": [{"e": 3, "d": 2}]}, "a": 1}
    first, second = (AddUserMessage(content="a", metadata=metadata) for metadata in (one, other))
    assert body_hash("add_user_message", first) == body_hash("add_user_message", second)


def test_a_thought_is_another_body_than_the_same_text() -> None:
    said, thought = (AddAssistantMessage(content=[part(text="a")]) for part in (TextPart, ThoughtPart))
    assert body_hash("add_assistant_message", said) != body_hash("add_assistant_message", thought)


@pytest.mark.parametrize(
    "fields",
    [{"metadata": {"a": 1}}, {"expected_head": "h"}, {"retrieval": {"token_budget": 1}}, {"retrieval": {"as_of": 1}}],
)
def test_what_a_message_carries_makes_another_body(fields: dict[str, Any]) -> None:
    bare, carrying = (AddUserMessage.model_validate({"content": "a", **each}) for each in ({}, fields))
    assert body_hash("add_user_message", bare) != body_hash("add_user_message", carrying)


@pytest.mark.parametrize("fields", [{"explain": True}, {"return_working_set": False}, {"message_id": "k"}])
def test_the_key_and_what_is_to_be_answered_make_no_other_body(fields: dict[str, Any]) -> None:
    bare, asking = (AddUserMessage.model_validate({"content": "a", **each}) for each in ({}, fields))
    assert body_hash("add_user_message", bare) == body_hash("add_user_message", asking)


def test_the_same_words_by_another_command_are_another_body() -> None:
    asked, answered = user("a"), command(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage(content="a"))
    assert asked.body_hash != answered.body_hash


def test_a_key_made_of_what_is_no_id_is_one_and_the_same_each_time() -> None:
    first, again, other = (command(Handlers.SUSPEND, Lifecycle(), key) for key in ("a b", "a b", "a/b"))
    assert first.key == again.key != other.key
    assert is_id(first.key)


def test_clearing_a_field_is_another_body_than_leaving_it() -> None:
    assert body_hash("update_session", UpdateSession(title=None)) != body_hash("update_session", UpdateSession())


def test_an_expected_head_that_moved_is_refused_with_the_head(state: SessionState) -> None:
    state = after(state, user(key="first"))
    with pytest.raises(HeadMoved) as caught:
        decide(state, user(key="second", expected_head="other"))
    assert caught.value.details["active_message_id"] == "first"
    assert decide(state, user(key="second", expected_head="first"))


def test_a_batch_expects_a_head_as_a_message_does(state: SessionState) -> None:
    state = after(state, user(key="first"))
    right, wrong = (
        command(Handlers.ADD_MESSAGES, AddMessages(messages=[NewMessage(role="user", content="a")], expected_head=head))
        for head in ("first", "other")
    )
    assert decide(state, right)
    with pytest.raises(HeadMoved):
        decide(state, wrong)


def test_a_batch_is_all_or_nothing(state: SessionState) -> None:
    good, empty = NewMessage(role="user", content="a"), NewMessage(role="user", content=" ")
    with pytest.raises(InvalidMessage):
        decide(state, command(Handlers.ADD_MESSAGES, AddMessages(messages=[good, empty])))


def test_a_batch_names_its_messages_alike_in_every_retry(state: SessionState) -> None:
    body = AddMessages(messages=[NewMessage(role="user", content="a"), NewMessage(role="assistant", content="b")])
    ids = [[e.data.message.message_id for e in events_of(state, command(Handlers.ADD_MESSAGES, body))] for _ in "ab"]  # type: ignore[union-attr]  # every event adds a message
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_content_over_the_limit_of_the_session_is_refused(state: SessionState) -> None:
    state = after(state, command(Handlers.UPDATE_SESSION, UpdateSession(config={"max_content_bytes": 10}), "u"))
    with pytest.raises(PayloadTooLarge) as caught:
        decide(state, user("12345678901"))
    assert caught.value.details == {"field": "content", "size_bytes": 11, "limit_bytes": 10}


def test_an_unknown_override_of_retrieval_is_refused(state: SessionState) -> None:
    with pytest.raises(InvalidRequest):
        decide(state, user(retrieval={"token_budgets": 1}))


def test_a_preset_replaces_what_the_session_had_and_fields_beside_it_win(state: SessionState) -> None:
    own = UpdateSession(config={"retrieval": {"mmr_lambda": 0.8, "max_spans": 7}})
    state = after(state, command(Handlers.UPDATE_SESSION, own, "a"))
    once = compiler_config(state.session.config, {"preset": "avocado", "semantic_weight": 0.1})
    assert (once.mmr_lambda, once.semantic_weight, once.lexical_weight, once.max_spans) == (0.5, 0.1, 0.3, 7)
    chosen = UpdateSession(config={"retrieval": {"preset": "avocado"}})
    state = after(state, command(Handlers.UPDATE_SESSION, chosen, "b"))
    assert state.session.config.retrieval == CompilerConfig(**PRESETS["avocado"], max_spans=7)


def test_an_unknown_preset_is_refused_with_the_known_ones(state: SessionState) -> None:
    with pytest.raises(InvalidRequest, match="avocado"):
        decide(state, user(retrieval={"preset": "guava"}))


def test_an_update_merges_config_field_by_field(state: SessionState) -> None:
    state = after(
        state,
        command(Handlers.UPDATE_SESSION, UpdateSession(config={"retrieval": {"token_budget": 10}}), "a"),
        command(Handlers.UPDATE_SESSION, UpdateSession(config={"corpus": "docs"}), "b"),
    )
    assert state.session.config.retrieval.token_budget == 10
    assert state.session.config.corpus == "docs"


def test_idle_suspends_then_archives_and_a_message_revives(state: SessionState) -> None:
    for status in ("suspended", "archived"):
        state = after(state, Expire(at=AT, status=state.session.status))
        assert state.session.status == status
    assert after(state, Expire(at=AT, status="archived")) == state
    assert after(state, user()).session.status == "active"


def test_suspend_and_resume_twice_change_nothing_more(state: SessionState) -> None:
    suspended = after(state, command(Handlers.SUSPEND, Lifecycle(), "a"))
    assert decide(suspended, command(Handlers.SUSPEND, Lifecycle(), "b")) == []
    resumed = after(suspended, command(Handlers.RESUME, Lifecycle(), "c"))
    assert decide(resumed, command(Handlers.RESUME, Lifecycle(), "d")) == []


def test_an_archived_session_can_be_resumed_and_not_suspended(state: SessionState) -> None:
    archived = after(state, Expire(at=AT, status="active"), Expire(at=AT, status="suspended"))
    assert decide(archived, command(Handlers.SUSPEND, Lifecycle(), "a")) == []
    assert after(archived, command(Handlers.RESUME, Lifecycle(), "b")).session.status == "active"


@pytest.mark.parametrize(
    "change",
    [
        command(Handlers.UPDATE_SESSION, UpdateSession(title="A title")),
        command(Handlers.SUSPEND, Lifecycle()),
        command(Handlers.DELETE, Lifecycle()),
        Expire(at=AT, status="active"),
        user(),
    ],
)
def test_whatever_changes_a_session_moves_its_time(state: SessionState, change: Command | Expire) -> None:
    assert after(state, change).session.updated_at == AT


def test_a_tombstone_tells_nothing_of_what_the_session_was(state: SessionState) -> None:
    told = UpdateSession(title="t", user_id="u", metadata={"m": 1}, config={"corpus": "c"})
    changes = command(Handlers.UPDATE_SESSION, told, "u"), user(), command(Handlers.DELETE, Lifecycle(), "d")
    nothing = {"status": "deleted", "event_sequence": 4, "updated_at": AT}
    assert after(state, *changes).session == state.session.model_copy(update=nothing)


def test_a_deleted_session_keeps_nothing_and_refuses_all(state: SessionState) -> None:
    delete = command(Handlers.DELETE, Lifecycle(), "d")
    state = after(state, user(), delete)
    assert state.session.status == "deleted"
    assert state.window == ()
    assert list(state.receipts) == ["d"]
    with pytest.raises(SessionDeleted):
        decide(state, command(Handlers.ADD_ASSISTANT_MESSAGE, AddAssistantMessage(content="x"), "e"))
    assert receipt_of(state, delete) is not None
