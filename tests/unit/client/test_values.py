"""Python values that are no JSON: a client's call refuses each by name, or sends it as Temporal can write it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from perdure.calls import Calls
from perdure.contract import NewMessage
from perdure.errors import InvalidRequest, InvalidRole, PerdureError
from perdure.handle import SessionHandle
from perdure.message import Part, TextPart, ToolCallPart
from perdure.session import SessionConfig
from perdure.transport import Command, Run
from perdure.working_set import CompilerConfig
from tests.unit.client.transport import Script, Sent


class Written(Exception):
    """What a call ends with once it could be written."""


class Writes(Script):
    """Writes a request as Temporal's client does, and sends nothing."""

    async def update(self, command: Command, update_id: str, timeout: timedelta, *, start: bool) -> Any:
        pydantic_data_converter.payload_converter.to_payloads([command.body])
        raise Written


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    return value


NO_JSON: dict[str, Any] = {
    "circular": circular(),
    "deep": deep(),
    "long number": 10**5000,
    "bytes": b"\xff",
    "object": object(),
    "surrogate": "\ud800",
    "surrogate as a key": {"\ud800": 1},
    "tuple as a key": {(1,): 1},
    "number": 1.5,
    "set": {1},
    "nothing": None,
}


def calls(session: SessionHandle, value: Any) -> list[Awaitable[object]]:
    """The value in every place of a call where it might stand."""
    contents: list[Any] = [
        value,
        [value],
        [{"type": "text", "text": value}],
        [{"type": "tool_result", "tool_call_id": "t", "result": value}],
    ]
    return [
        *(session.add_user_message(content) for content in contents),
        *(session.add_user_message("x", metadata=metadata) for metadata in (value, {"a": value})),
        session.add_user_message("x", message_id=value),
        *(session.add_user_message("x", retrieval=r) for r in (value, {"preset": value}, {"token_budget": value})),
        *(session.compile("x", retrieval=r) for r in (value, {"preset": value})),
        session.add_message(value, "x"),
        *(session.add_messages(m) for m in (value, [value], [{"role": "user", "content": value}])),
        session.update(title=value),
        session.update(config=value),
        *(session.update(config={name: value}) for name in ("corpus", "idle_timeout", "retrieval", "\ud800")),
        session.compile(value),
        session.messages(limit=value),
        session.what_if(retrieval={"mmr_lambda": value}),
    ]


class Notes(Script):
    """Notes the requests of workflows, too."""

    async def run(self, run: Run, timeout: timedelta) -> Any:
        self.updates.append(Sent(run.request, ""))
        return await super().run(run, timeout)


@pytest.fixture
def session() -> SessionHandle:
    """A session that is asked, and does not answer."""
    second = timedelta(seconds=1)
    return SessionHandle(Calls(Writes(Written()), rpc_timeout=second, timeout=second), "t", "s", None)


@pytest.mark.parametrize("kind", NO_JSON)
async def test_what_is_no_json_is_refused_by_name(session: SessionHandle, kind: str) -> None:
    told = await asyncio.gather(*calls(session, NO_JSON[kind]), return_exceptions=True)
    foreign = [(at, error) for at, error in enumerate(told) if not isinstance(error, PerdureError | Written)]
    assert foreign == []
    for error in told:
        if isinstance(error, PerdureError):
            assert error.message.encode()


async def test_the_refusal_says_what_to_send(session: SessionHandle) -> None:
    with pytest.raises(InvalidRequest, match="Send text, numbers, true, false, null, lists and objects") as refused:
        await session.add_user_message("x", retrieval={"order": object()})
    assert refused.value.message.startswith("AddUserMessage cannot be written as JSON: ")
    with pytest.raises(
        InvalidRequest, match="takes text or a list of parts, not a dict that cannot be written as JSON"
    ):
        await session.add_user_message(NO_JSON["circular"])
    with pytest.raises(InvalidRole, match=r"Invalid role: \\ud800\. Must be one of: user"):
        await session.add_message("\ud800", "x")


@pytest.mark.parametrize("part", [TextPart(text="x"), ToolCallPart(tool_call_id="t", name="n")])
async def test_a_part_made_in_python_is_sent_with_its_type(part: Part) -> None:
    script, second = Script(Written()), timedelta(seconds=1)
    session = SessionHandle(Calls(script, rpc_timeout=second, timeout=second), "t", "s", None)
    for sent in (session.add_user_message([part]), session.add_messages([NewMessage(role="user", content=[part])])):
        with pytest.raises(Written):
            await sent
    one, several = (update.body for update in script.updates)
    assert one["content"][0]["type"] == several["messages"][0]["content"][0]["type"] == part.type


@pytest.mark.parametrize(
    "retrieval",
    [{"token_budget": 500, "retrieval_timeout": timedelta(seconds=1)}, {"as_of": None}, {"preset": "avocado"}],
)
async def test_settings_may_be_given_as_their_models(retrieval: dict[str, Any]) -> None:
    """And a field that the model was not given stays as it is."""
    script, second = Notes(Written()), timedelta(seconds=1)
    session = SessionHandle(Calls(script, rpc_timeout=second, timeout=second), "t", "s", None)
    model = CompilerConfig(**retrieval)
    fields = model.model_dump(exclude_unset=True)
    for one, config in ((fields, {"retrieval": fields}), (model, SessionConfig(retrieval=model))):
        sent: list[Awaitable[object]] = [
            session.add_user_message("x", retrieval=one, message_id="k"),
            session.compile("x", retrieval=one),
            session.update(config=config, request_id="k"),
            session.update(config={"retrieval": one}, request_id="k"),
            session.what_if(retrieval=one, request_id="k"),
        ]
        for call in sent:
            with pytest.raises(Written):
                await call
    bodies = [update.body for update in script.updates]
    assert bodies[:5] == bodies[5:]
    assert bodies[1]["retrieval"].keys() == fields.keys()
