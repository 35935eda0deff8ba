"""What activities answer, at its limits."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from activities.commit import DryRun, inflated
from activities.ingest import Published
from activities.session import ANSWER_BYTES, SessionActivities
from activities.stores.engine import engine_of
from activities.stores.session_reader import PostgresReader
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.working_set import CompilerConfig, WorkingSet
from tests.unit.test_diff import working_set


class Compiler:
    """Gives everybody the same text."""

    def __init__(self, text: str) -> None:
        self._made = working_set([], text)

    async def compile(
        self,
        *,
        tenant: str,
        corpus: str,
        query: str,
        config: CompilerConfig,
        search_query: str | None = None,
        explain: bool = False,
    ) -> WorkingSet:
        return self._made


async def dry_run(text: str) -> WorkingSet:
    engine = engine_of("postgresql+psycopg://nobody@127.0.0.1:1/none")  # a dry run has no use for it
    activities = SessionActivities(PostgresSessionStore(engine), PostgresReader(engine), Compiler(text), count)
    request = DryRun(tenant="t", corpus="c", query="q", config=CompilerConfig())
    return WorkingSet.model_validate_json(inflated((await activities.compile_working_set(request)).working_set))


async def test_a_dry_run_that_no_answer_can_carry_is_refused_with_what_to_do() -> None:
    assert (await dry_run("short")).text == "short"
    with pytest.raises(ApplicationError, match="without `explain`") as refused:
        await dry_run("x" * ANSWER_BYTES)
    assert refused.value.type == "PayloadTooLarge"
    assert refused.value.non_retryable


def test_a_publication_of_an_older_history_was_only_a_version() -> None:
    assert Published.model_validate_json("5") == Published(version=5)
    assert Published.model_validate_json('{"version": 5, "removed": 2}').removed == 2
