"""What a dry run asks of the compiler, as the state has it now."""

from __future__ import annotations

from activities.commit import DryRun
from perdure.contract import CompileQuery
from perdure.errors import CorpusNotFound, SessionDeleted
from perdure.message import check_content
from perdure.thread_query import searched
from workflows.core.decide import compiler_config
from workflows.core.load import room_for
from workflows.core.state import SessionState


def dry_run(state: SessionState, body: CompileQuery) -> DryRun:
    """The compilation that a user message of the text `body.query` would cause now.

    Raises:
        Refused: such a message would be refused.
        CorpusNotFound: the session names no corpus.
    """
    session = state.session
    if session.status == "deleted":
        raise SessionDeleted(session_id=session.session_id)
    config = compiler_config(session.config, body.retrieval)
    check_content(body.query, session.config.max_content_bytes)
    if session.config.corpus is None:
        raise CorpusNotFound(
            "The session names no corpus to compile from. Name one by `update_session`, as `config: {corpus: ...}`",
            session_id=session.session_id,
        )
    return DryRun(
        tenant=session.tenant,
        corpus=session.config.corpus,
        query=body.query,
        search_query=searched(config, body.query, session.active_message_id, state.messages),
        config=config,
        explain=body.explain,
        room=room_for(body, config),
    )
