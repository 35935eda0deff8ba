"""Follow-up questions find what the talk is about only when the thread is part of the query."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from perdure.message import Message, Role
from perdure.thread_query import thread_query
from perdure.working_set import CompilerConfig
from tests.retrieval.conftest import Corpora, write

DOCUMENTS = {
    "worker.md": "# Worker\n\nA worker polls a task queue. Calling shutdown ends the worker after its activities.\n",
    "database.md": "# Database\n\nThe database server listens on a port. It goes down by the command pg_ctl halt.\n",
    "engine.md": "# Engine\n\nThe engine of the boat has a key. Turning the key to the left silences the engine.\n",
    "music.md": "# Music\n\nThe record player spins records. Lifting the needle off the record ends the music.\n",
    "kettle.md": "# Kettle\n\nThe kettle boils water for tea. It clicks off once the water boils.\n",
    "how.md": "# How to stop\n\nTo stop something, first ask how it is stopped, and who stops it, and why it should.\n",
    "cost.md": "# Cost\n\nHow much does it cost? It costs nothing, and that is how it should be.\n",
}
"""The last two hold the very words of the follow-ups, and nothing about any subject."""
TALKS: list[tuple[list[str], str, str]] = [
    (["How does a worker get its tasks?", "It polls a task queue."], "and how do I stop it?", "worker.md"),
    (["Which port has the database?", "The database server listens on 5432."], "how do I stop it?", "database.md"),
    (["Does the boat have an engine?", "Yes, an engine with a key."], "and how do I stop it?", "engine.md"),
    (["Play some music on the record player.", "A record spins now."], "how can I stop that?", "music.md"),
    (["I'd like tea, is the kettle on?", "The kettle boils the water."], "and how do I stop it?", "kettle.md"),
]


def said(texts: list[str]) -> list[Message]:
    roles: tuple[Role, Role] = ("user", "assistant")
    return [
        Message(
            message_id=f"m{number}",
            session_id="s",
            role=roles[number % 2],
            content=text,
            sequence_number=number,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, text in enumerate(texts)
    ]


async def test_a_query_from_the_thread_finds_what_the_message_alone_does_not(corpora: Corpora, tmp_path: Path) -> None:
    await corpora.ingest(write(tmp_path, DOCUMENTS))
    config = CompilerConfig(enable_mmr=False)

    async def place(query: str, search_query: str | None, wanted: str) -> int:
        found = await corpora.compiler.compile(
            tenant=corpora.tenant, corpus="docs", query=query, config=config, search_query=search_query
        )
        assert found.query == query
        assert found.manifest["search_query"] == search_query
        return next(citation.rank for citation in found.citations if citation.path == wanted)

    alone = [await place(question, None, wanted) for _, question, wanted in TALKS]
    from_thread = [
        await place(question, thread_query(question, said(texts)), wanted) for texts, question, wanted in TALKS
    ]
    ranks = f"rank of the answer: by the message {alone}, from the thread {from_thread}"
    assert sum(rank == 1 for rank in alone) <= 1, ranks
    assert sum(rank == 1 for rank in from_thread) >= 4, ranks
    assert sum(from_thread) < sum(alone) / 2, ranks
