"""The workflow has the handlers that the contract names, and no others."""

from __future__ import annotations

from typing import cast

import pytest
from temporalio import workflow
from temporalio.client import Client

from activities.session import COMMITS
from perdure.contract import SESSION_WORKFLOW, Handlers
from perdure.errors import InvalidRequest
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


async def test_a_name_that_no_corpus_can_have_is_refused_before_anybody_is_asked() -> None:
    nobody = cast("Client", None)
    with pytest.raises(InvalidRequest, match="Not an id: 'bad name'"):
        await reindex(nobody, corpus="bad name")
