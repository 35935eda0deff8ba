"""What a dry run asks of the compiler."""

from __future__ import annotations

import pytest

from activities.commit import ANSWER_BYTES
from perdure.contract import AddUserMessage, CompileQuery, Handlers, Lifecycle
from perdure.errors import CorpusNotFound, InvalidMessage, InvalidRequest, PayloadTooLarge, SessionDeleted
from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig
from tests.unit.core.test_decide import after, command, user
from tests.unit.core.test_fold import created
from workflows.core.dry_run import dry_run
from workflows.core.load import room_for
from workflows.core.state import SessionState, apply

CONFIG = SessionConfig(corpus="docs", retrieval=CompilerConfig(token_budget=500), max_content_bytes=100)


@pytest.fixture
def state() -> SessionState:
    return configured(apply(None, created()), CONFIG)


def configured(state: SessionState, config: SessionConfig) -> SessionState:
    return state.model_copy(update={"session": state.session.model_copy(update={"config": config})})


def test_it_is_what_a_message_of_that_text_would_ask_for(state: SessionState) -> None:
    found = dry_run(state, CompileQuery(query="pears?", retrieval={"mmr_lambda": 0.2}, explain=True))
    assert (found.tenant, found.corpus, found.query, found.explain) == (state.session.tenant, "docs", "pears?", True)
    assert found.config == CompilerConfig(token_budget=500, mmr_lambda=0.2)
    assert found.search_query is None


def test_the_thread_is_folded_in_from_the_head_back(state: SessionState) -> None:
    state = after(state, user("Where are the pears?", "a"), user("In which cellar?", "b"))
    found = dry_run(state, CompileQuery(query="and the key?", retrieval={"query_from": "thread"}))
    assert found.query == "and the key?"
    assert found.search_query == "and the key?\nIn which cellar?\nWhere are the pears?"


def test_without_a_corpus_it_says_what_to_do(state: SessionState) -> None:
    with pytest.raises(CorpusNotFound, match="update_session"):
        dry_run(configured(state, SessionConfig()), CompileQuery(query="pears?"))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (CompileQuery(query=" "), InvalidMessage),
        (CompileQuery(query="\0"), InvalidMessage),
        (CompileQuery(query="x" * 101), PayloadTooLarge),
        (CompileQuery(query="x", retrieval={"as_of": 0}), InvalidRequest),
    ],
)
def test_what_no_message_could_be_is_refused(state: SessionState, body: CompileQuery, error: type[Exception]) -> None:
    with pytest.raises(error):
        dry_run(state, body)


def test_a_deleted_session_compiles_nothing(state: SessionState) -> None:
    with pytest.raises(SessionDeleted):
        dry_run(after(state, command(Handlers.DELETE, Lifecycle())), CompileQuery(query="pears?"))


def test_an_explanation_has_room_of_its_own_in_the_answer() -> None:
    config = CompilerConfig(token_budget=100)
    plain, explained = (room_for(CompileQuery(query="q", explain=explain), config) for explain in (False, True))
    assert explained > plain + 1000 * 1024
    assert explained <= ANSWER_BYTES
    assert room_for(AddUserMessage(content="q", return_working_set=False), config) == 0
    assert room_for(AddUserMessage(content="q"), config) == pytest.approx(plain, abs=1024)


def test_a_long_question_which_its_working_set_repeats_has_room_in_the_answer() -> None:
    config, question = CompilerConfig(token_budget=100), "x" * 250_000
    assert room_for(AddUserMessage(content=question), config) > 2 * len(question) + 64 * 1024
