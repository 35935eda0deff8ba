"""What a refusal says of a field."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.base import Request, parse
from perdure.contract import AddMessage, AddMessages, AddUserMessage, StartSession, UpdateSession
from perdure.errors import InvalidRequest
from perdure.reader import SessionFilter
from perdure.recompile import Change
from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig
from workflows.core.decide import compiler_config

PARTS = "'text', 'thought', 'tool_call', 'tool_result', 'file'"
KNOWN = ", ".join(sorted([*CompilerConfig.model_fields, "preset"]))
BAD: list[tuple[dict[str, Any], str]] = [
    ({"nope": 3}, f"retrieval.nope: unknown. There are {KNOWN}"),
    ({"mmr_lamda": 1}, f"retrieval.mmr_lamda: unknown; did you mean mmr_lambda? There are {KNOWN}"),
    ({"mmr_lambda": "x"}, 'retrieval.mmr_lambda: takes a number from 0 to 1, not "x"'),
    ({"token_budget": -1}, "retrieval.token_budget: takes a whole number from 0 to 100000, not -1"),
    ({"token_budget": 0.5}, "retrieval.token_budget: takes a whole number from 0 to 100000, not 0.5"),
    ({"enable_mmr": None}, "retrieval.enable_mmr: takes true or false, not null"),
    ({"order": "up"}, 'retrieval.order: takes one of document, relevance, not "up"'),
    ({"as_of": 0}, "retrieval.as_of: takes a whole number from 1 to 9007199254740992 or null, not 0"),
    ({"preset": "guava"}, "retrieval: unknown preset: 'guava'. Use one of: avocado"),
    (
        {"retrieval_timeout": 99},
        "retrieval.retrieval_timeout: takes a duration in seconds or as ISO 8601, more than 0 and at most 15, not 99",
    ),
]


@pytest.mark.parametrize(("retrieval", "said"), BAD)
def test_a_bad_setting_is_refused_in_the_same_words_wherever_it_stands(retrieval: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as of_message:
        compiler_config(SessionConfig(), retrieval)
    with pytest.raises(InvalidRequest) as of_change:
        parse(Change, {"retrieval": retrieval})
    with pytest.raises(InvalidRequest) as of_update:
        parse(UpdateSession, {"config": {"retrieval": retrieval}})
    with pytest.raises(InvalidRequest) as of_start:
        parse(StartSession, {"session_id": "s", "config": {"retrieval": retrieval}})
    assert of_message.value.message == of_change.value.message == said
    assert of_update.value.message == f"config.{said}"
    assert of_start.value.message == f"StartSession: config.{said}"
    field, problem = said.split(": ", 1)
    assert of_message.value.details["errors"] == [{"field": field, "problem": problem}]


def test_a_field_in_a_list_is_found_and_what_no_type_tells_is_left_to_its_own_words() -> None:
    message = {"role": "user", "content": "x", "mesage_id": "k"}
    with pytest.raises(InvalidRequest) as refused:
        parse(AddMessages, {"messages": [message, {"content": "x"}]})
    assert refused.value.details["errors"] == [
        {
            "field": "messages.0.mesage_id",
            "problem": "unknown; did you mean message_id? There are content, message_id, metadata, role",
        },
        {"field": "messages.1.role", "problem": "missing"},
    ]


def test_a_bad_id_is_told_with_its_place_and_beside_whatever_else_is_wrong() -> None:
    message = {"role": "user", "content": "x", "message_id": "k"}
    with pytest.raises(InvalidRequest) as of_many:
        parse(AddMessages, {"messages": [message, {**message, "message_id": "bad name!"}]})
    assert of_many.value.message == f"AddMessages: messages.1.message_id: {NOT_AN_ID}"
    assert of_many.value.details["errors"] == [{"field": "messages.1.message_id", "problem": NOT_AN_ID}]
    with pytest.raises(InvalidRequest) as of_update:
        parse(UpdateSession, {"title": 5, "user_id": "bad name!"})
    assert of_update.value.message == f"UpdateSession: title: takes text, not 5; user_id: {NOT_AN_ID}"


@pytest.mark.parametrize(
    ("content", "field", "problem"),
    [
        (None, "", "takes text or a list of parts, not null"),
        ({"text": "x"}, "", 'takes text or a list of parts, not {"text": "x"}'),
        ([{"type": "text"}], ".0.text", "missing"),
        ([{"text": "x"}], ".0", "has no 'type'"),
        ([{"type": "x"}], ".0", f"takes one of {PARTS} as its 'type', not 'x'"),
        (["x", {"type": "tool_call", "tool_call_id": "t", "name": 5}], ".1.name", "takes text, not 5"),
    ],
)
def test_content_of_a_wrong_shape_is_refused_without_the_names_of_types(
    content: object, field: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest) as of_one:
        parse(AddUserMessage, {"content": content})
    with pytest.raises(InvalidRequest) as of_many:
        parse(AddMessages, {"messages": [{"role": "user", "content": content}]})
    assert of_one.value.details["errors"][-1] == {"field": f"content{field}", "problem": problem}
    assert of_many.value.details["errors"][-1] == {"field": f"messages.0.content{field}", "problem": problem}
    assert "str" not in {str(each["field"]).split(".")[-1] for each in of_one.value.details["errors"]}
    assert "union" not in of_one.value.message


@pytest.mark.parametrize("name", ["updated_after", "updated_before"])
def test_a_time_without_a_zone_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(SessionFilter, {name: "2026-11-22T16:00:00"})
    assert refused.value.message == f"SessionFilter: {name}: Input should have timezone info"


@pytest.mark.parametrize("retrieval", [{"order": "\udcff"}, {"order": "é" * 1000}, {"\udcff": 1}, {"mmr_lambda": [{}]}])
def test_whatever_is_quoted_can_be_sent_and_is_short(retrieval: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        compiler_config(SessionConfig(), retrieval)
    assert len(refused.value.message.encode()) < 400


NOT_AN_ID = "Not an id: 'bad name!'. Use 1 to 128 characters of A-Z a-z 0-9 . _ : -"
USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        (StartSession, {"session_id": "s", "config": {"corpus": "bad name!"}}, f"config.corpus: {NOT_AN_ID}"),
        (UpdateSession, {"title": 5}, "title: takes text, not 5"),
        (UpdateSession, {"metadata": [1]}, "metadata: takes an object, not [1]"),
        (UpdateSession, {"config": "x"}, 'config: takes an object, not "x"'),
        (AddMessage, {**USER, "role": 5}, "role: takes text, not 5"),
        (AddUserMessage, {}, "content: missing"),
        (AddUserMessage, {**USER, "expected_head": "x" * 129}, "expected_head: takes text of at most 128 characters"),
        (AddUserMessage, {**USER, "parts": [USER]}, "parts: unknown. There are content, "),
        (AddMessages, {"messages": []}, "messages: has 0 items; the least is 1"),
        (AddMessages, {"messages": [USER] * 101}, "messages: has 101 items; the limit is 100"),
        (AddMessages, {"messages": 5}, "messages: takes a list, not 5"),
        (AddMessages, {"messages": [5]}, "messages.0: takes an object, not 5"),
    ],
)
def test_what_is_wrong_is_said_in_words_and_not_in_pydantics(
    model: type[Request], body: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(model, body)
    assert said in refused.value.message
    assert not {"Input", "String", "List", "Field"} & set(refused.value.message.split())
