"""Values that no type checker would let pass: each is refused by name, before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client as TemporalClient

from perdure import (
    Client,
    InvalidMessage,
    InvalidRequest,
    InvalidSessionId,
    PayloadTooLarge,
    SessionConfig,
    SessionFilter,
    SessionHandle,
)
from perdure.calls import Calls
from tests.unit.client.transport import Script

SECOND = timedelta(seconds=1)
NOT_DURATIONS: list[Any] = [30, 0.5, None, "30", timedelta(0), timedelta(seconds=-1)]


@pytest.fixture
async def client() -> Client:
    """A client of a server that is not there."""
    return Client(await TemporalClient.connect("127.0.0.1:1", lazy=True), rpc_timeout=SECOND, timeout=SECOND)


@pytest.fixture
def script() -> Script:
    return Script({})


@pytest.fixture
def session(script: Script) -> SessionHandle:
    return SessionHandle(Calls(script, rpc_timeout=SECOND, timeout=SECOND), "t", "s", None)


@pytest.mark.parametrize("session_id", ["", 5, b"s", "a b"])
async def test_only_none_makes_an_id(client: Client, session: SessionHandle, session_id: Any) -> None:
    with pytest.raises(InvalidSessionId):
        await client.start_session(session_id)
    with pytest.raises(InvalidRequest, match="Not an id"):
        await session.verify(request_id=session_id)


@pytest.mark.parametrize("duration", NOT_DURATIONS)
async def test_a_timeout_is_a_duration(client: Client, session: SessionHandle, duration: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^timeout: takes a timedelta of more than 0, not "):
        Client(client.temporal, timeout=duration)
    with pytest.raises(InvalidRequest, match=r"^rpc_timeout: takes a timedelta of more than 0, not "):
        Client(client.temporal, rpc_timeout=duration)
    with pytest.raises(InvalidRequest, match=r"^timeout: takes a timedelta of more than 0, not "):
        await session.verify(timeout=duration)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"limit": 0}, "SessionFilter: limit: takes a whole number from 1 to 1000, not 0"),
        (
            {"status": "foo"},
            'SessionFilter: status: takes one of active, suspended, archived, deleted or null, not "foo"',
        ),
    ],
)
def test_a_filter_is_refused_as_a_request_is(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SessionFilter(**fields)
    assert refused.value.message == said
    assert [error["field"] for error in refused.value.details["errors"]] == [*fields]


@pytest.mark.parametrize("where", ["x", {"limit": 5}, 0])
async def test_a_list_takes_a_filter(client: Client, where: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^where: takes a SessionFilter, not "):
        await client.list_sessions(where)


@pytest.mark.parametrize("config", ["x", 5, ["x"]])
async def test_a_config_beside_a_corpus_has_its_shape_told(client: Client, config: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^StartSession: config: "):
        await client.start_session("s", corpus="c", config=config)


@pytest.mark.parametrize("too_long", [600 * 1024, 512 * 1024 + 1])
async def test_content_that_no_session_can_take_is_refused_with_a_limit_that_one_may_have(
    session: SessionHandle, script: Script, too_long: int
) -> None:
    content = "x" * too_long
    for call in (session.add_user_message(content), session.add_messages([{"role": "user", "content": content}])):
        with pytest.raises(PayloadTooLarge) as refused:
            await call
        assert refused.value.details == {"field": "content", "size_bytes": too_long, "limit_bytes": 512 * 1024}
    assert SessionConfig(max_content_bytes=refused.value.details["limit_bytes"])
    assert script.updates == []


async def test_bytes_are_no_text_and_a_set_is_no_list(session: SessionHandle, script: Script) -> None:
    no_text: Any = b"x"
    for call in (
        session.add_user_message(no_text),
        session.add_user_message("x", message_id=no_text),
        session.add_user_message("x", expected_head=no_text),
        session.add_messages([{"role": "user", "content": [{"type": "text", "text": no_text}]}]),
        session.add_message(no_text, "x"),
        session.compile(no_text),
        session.update(title=no_text),
    ):
        with pytest.raises(InvalidRequest):
            await call
    for value, kind in (({1, 2}, "set"), (b"x", "bytes")):
        part: Any = {"type": "tool_result", "tool_call_id": "t", "result": value}
        with pytest.raises(InvalidMessage, match=f"metadata holds a value of type {kind}"):
            await session.add_user_message("x", metadata={"a": [value]})
        with pytest.raises(InvalidMessage, match=f"content holds a value of type {kind}"):
            await session.add_user_message([part])
    assert script.updates == []
