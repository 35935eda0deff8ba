"""What activities answer, at its limits."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.commit import ANSWER_BYTES, DryRun
from activities.corpora.ingest import Published
from activities.deflate import answerable, inflated
from activities.session import SessionActivities
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.message import Message
from perdure.working_set import CompilerConfig, WorkingSet
from tests.unit.test_diff import working_set


class Compiler:
    """Gives everybody the same text."""

    def __init__(self, text: str) -> None:
        self._made = working_set([], text)

    async def compile(self, **_: Any) -> WorkingSet:
        return self._made


async def dry_run(text: str) -> WorkingSet:
    engine = Engine("postgresql+psycopg://nobody@127.0.0.1:1/none")  # a dry run has no use for it
    activities = SessionActivities(PostgresSessionStore(engine), PostgresReader(engine), Compiler(text), count)
    request = DryRun(tenant="t", corpus="c", query="q", config=CompilerConfig(), room=ANSWER_BYTES)
    return WorkingSet.model_validate_json(inflated((await activities.compile_working_set(request)).working_set))


async def test_a_dry_run_that_no_answer_can_carry_is_refused_with_what_to_do() -> None:
    assert (await dry_run("short")).text == "short"
    with pytest.raises(ApplicationError, match="Ask for it with a smaller `max_spans`") as refused:
        await dry_run("x" * ANSWER_BYTES)
    assert refused.value.type == "PayloadTooLarge"
    assert refused.value.non_retryable


def message(content: str) -> Message:
    return Message(
        message_id="m", session_id="s", role="user", content=content, sequence_number=0, created_at=datetime.now(UTC)
    )


NOISE = base64.b64encode(random.Random(1).randbytes(300_000))
"""What hardly deflates."""


@pytest.mark.parametrize(
    ("content", "size", "carried"),
    [(1, 1000, True), (1, ANSWER_BYTES + 1, False), (400_000, ANSWER_BYTES - 300_000, False)],
)
def test_an_answer_carries_a_working_set_that_fits_beside_its_message(content: int, size: int, carried: bool) -> None:
    assert bool(answerable([(7, message("x" * content), b"w" * size, 2 * ANSWER_BYTES)])) == carried


def test_all_working_sets_of_a_commit_fit_into_one_result() -> None:
    found = answerable((n, message("hello"), NOISE, ANSWER_BYTES) for n in range(8))
    assert 2 <= len(found) < 8
    assert sum(map(len, found.values())) <= ANSWER_BYTES
    assert inflated(found[0]) == NOISE


def test_a_publication_of_an_older_history_was_only_a_version() -> None:
    assert Published.model_validate_json("5") == Published(version=5)
    assert Published.model_validate_json('{"version": 5, "removed": 2}').removed == 2
