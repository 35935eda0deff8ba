"""The workflow has the handlers that the contract names, and no others."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.client import Client

from activities.session import COMMITS
from perdure.base import Request, parse
from perdure.contract import (
    MAX_REQUEST_BYTES,
    SESSION_WORKFLOW,
    GetHistory,
    Handlers,
    ReadMessages,
    UpdateSession,
    check_request_size,
)
from perdure.errors import InvalidRequest, PayloadTooLarge
from workers.ingest_folder import reindex
from workflows import commit_parts
from workflows.session import SessionWorkflow

NAMES = {value for name, value in vars(Handlers).items() if name.isupper()}


def definition() -> workflow._Definition:
    found = workflow._Definition.from_class(SessionWorkflow)
    assert found is not None
    return found


def test_handlers_are_those_of_the_contract() -> None:
    found = definition()
    assert found.name == SESSION_WORKFLOW
    assert {*found.updates, *found.signals, *found.queries} == NAMES


def test_every_handler_is_described_for_the_ui() -> None:
    found = definition()
    described = {name: update.description for name, update in found.updates.items()}
    described |= {str(name): signal.description for name, signal in found.signals.items()}
    described |= {str(name): query.description for name, query in found.queries.items()}
    assert all(described.values()), described


def test_every_update_has_a_validator() -> None:
    assert all(update.validator for update in definition().updates.values())


def test_every_commit_is_an_activity_that_a_worker_registers() -> None:
    others = {"record_messages", "archive_session", "record_error"}
    assert {*commit_parts.ACTIVITY_OF.values(), *others} == set(COMMITS)


@pytest.mark.parametrize(
    ("model", "within", "beyond"),
    [
        (ReadMessages, {"limit": 1000, "after": -1, "before": 2**53}, [{"limit": 1001}, {"limit": 0}, {"after": -2}]),
        (ReadMessages, {"before": 0}, [{"before": -1}, {"before": 2**53 + 1}]),
        (GetHistory, {"max_tokens": 0}, [{"max_tokens": -1}, {"counting": "words"}]),
        (UpdateSession, {"title": "t" * 1024}, [{"config": {"run_budget": {"events": 19}}}]),
        (
            UpdateSession,
            {"config": {"run_budget": {"events": 20}}},
            [{"config": {"max_content_bytes": 512 * 1024 + 1}}],
        ),
    ],
)
def test_numbers_are_taken_up_to_their_bounds(
    model: type[Request], within: dict[str, Any], beyond: list[dict[str, Any]]
) -> None:
    assert parse(model, within)
    for fields in beyond:
        with pytest.raises(InvalidRequest):
            parse(model, fields)


def test_a_request_is_taken_up_to_its_size() -> None:
    check_request_size(MAX_REQUEST_BYTES)
    with pytest.raises(PayloadTooLarge):
        check_request_size(MAX_REQUEST_BYTES + 1)


async def test_a_name_that_no_corpus_can_have_is_refused_before_anybody_is_asked() -> None:
    nobody = cast("Client", None)
    with pytest.raises(InvalidRequest, match="Not an id: 'bad name'"):
        await reindex(nobody, corpus="bad name")
