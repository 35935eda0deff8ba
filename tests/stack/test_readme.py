"""The README's programs, run as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from perdure.contract import TASK_QUEUE
from perdure.ids import DEFAULT_TENANT
from perdure.transport import TASK_TIMEOUT
from tests.support.embeddings import DIMENSION, embeddings_server
from tests.support.site import Site, site_on
from workers.settings import Settings
from workers.stack.stack import Stack
from workers.stack.temporal import find_binary

ROOT = Path(__file__).parents[2]
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
WITHIN = 60.0
TALK = re.compile(
    r"0 [1-9]\d* [0-9a-f]{12}\n"
    r"(?:\[\d+\] \w+\.md:\d+-\d+\n){3}"
    r"User: What happens when a worker dies\?\n\nAssistant: Another one takes over\.\n"
)


def block(language: str, words: str) -> str:
    """The one block of that language that has those words."""
    [found] = [text for kind, text in BLOCKS if kind == language and words in text]
    return found


@pytest.fixture
async def site(stack: Stack, settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    """A worker where the README expects one, whose embedder costs nothing."""
    with embeddings_server() as server:
        embedder = {"embedder_url": server.url, "embedder_model": "m", "embedder_dimension": DIMENSION}
        usual = {"tenant": DEFAULT_TENANT, "task_queue": TASK_QUEUE}
        chosen = settings.model_copy(update=usual | embedder)
        async with site_on(stack, chosen, tmp_path) as site, site.worker_here():
            yield site


async def printed(site: Site, *command: str, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints that has Temporal's address, `temporal` and `perdure` on PATH, and no more."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=site.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": f"{find_binary().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(site.folder),
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "TEMPORAL_ADDRESS": site.stack.addresses.temporal,
            **(environment or {}),
        },
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), WITHIN)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def python(site: Site, name: str) -> str:
    """Run one of the README's Python programs."""
    (site.folder / name).write_text(block("python", f"# {name}\n"), "utf-8")
    return await printed(site, sys.executable, name)


async def task_timeout(site: Site, session_id: str) -> float:
    """The workflow task timeout of a session's run, in seconds."""
    history = await site.bare.get_workflow_handle(site.workflow_id(session_id)).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return started.workflow_task_timeout.ToTimedelta().total_seconds()


async def test_the_conversation_prints_what_the_readme_shows_and_the_same_again(site: Site) -> None:
    await site.ingest(ROOT / "docs", "docs")
    first = await python(site, "talk.py")
    assert TALK.fullmatch(first), first
    assert await python(site, "talk.py") == first
    assert TALK.fullmatch(block("", "Assistant: ")), "the README shows another output"


async def test_the_program_with_nothing_but_temporal_prints_its_number_and_the_history(site: Site) -> None:
    number, history = (await python(site, "bare.py")).splitlines()
    assert number == "0"
    assert "'text': 'User: Hello'" in history
    assert await task_timeout(site, "hello-2") == TASK_TIMEOUT.total_seconds()


async def test_the_commands_of_the_temporal_program_start_a_session_and_talk(site: Site) -> None:
    out = await printed(site, "sh", "-euc", block("sh", "temporal workflow start"))
    assert re.search(r"WorkflowId +session:default:hello-3\n", out)
    assert re.search(r"Result +map\[message:map\[content:Hello .* sequence_number:0 ", out)
    [history] = re.findall(r"QueryResult +(\{.*\})\n", out)
    assert json.loads(history)["text"] == "User: Hello"
    assert (await site.client.session("hello-3").get()).title == "By hand"
    assert await task_timeout(site, "hello-3") == TASK_TIMEOUT.total_seconds()


async def test_the_commands_of_perdure_do_what_they_say(site: Site) -> None:
    await site.ingest(ROOT / "docs", "docs")
    stack = site.stack.addresses.environment() | {"PERDURE_DATABASE_URL": site.settings.require_database_url()}
    embedder = {
        "PERDURE_EMBEDDER_URL": site.settings.embedder_url or "",
        "PERDURE_EMBEDDER_MODEL": site.settings.embedder_model or "",
        "PERDURE_EMBEDDER_DIMENSION": str(site.settings.embedder_dimension),
    }
    out = await printed(site, "sh", "-euc", block("sh", "perdure session start"), environment=stack | embedder)
    assert "#0 User: What happens when a worker dies?" in out
    assert re.search(r"^1 differs; \d+ → [1-9]\d* tokens$", out, re.MULTILINE)  # what-if
    assert re.search(r"^1 same; (\d+) → \1 tokens$", out, re.MULTILINE)  # verify
    assert re.search(r"^1 +1\.000 ", out, re.MULTILINE)  # evaluate
    session = await site.client.session("hello-4").get()
    assert (session.title, session.message_count) == ("Workers", 1)
