"""`perdure session`, against real servers."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from perdure.cli import run
from tests.client.conftest import Service


class Cli:
    """Runs command lines beside the test's own loop, and gives back what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, ["session", *arguments])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    async def data(self, *arguments: str) -> Any:
        """The JSON that a command prints, as its only line on stdout."""
        code, out, err = await self(*arguments, "--output", "json")
        assert code == 0, err
        [line] = out.splitlines()
        return json.loads(line)


@pytest.fixture
def cli(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    settings = service.settings
    monkeypatch.setenv("TEMPORAL_ADDRESS", settings.temporal_address)
    monkeypatch.setenv("PERDURE_DATABASE_URL", settings.require_database_url())
    monkeypatch.setenv("PERDURE_TENANT", settings.tenant)
    monkeypatch.setenv("PERDURE_TASK_QUEUE", settings.task_queue)
    return Cli(capsys)


async def test_a_conversation_from_the_command_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await cli.data("start", "s", "--user", "ada", "--title", "[red]Hi", "--metadata", '{"a": 1}')
    assert (started["session_id"], started["status"], started["metadata"]) == ("s", "active", {"a": 1})
    sent = await cli.data("send", "s", "Hello", "--key", "k")
    assert (await cli.data("send", "s", "Hello", "--key", "k"))["message"] == sent["message"]
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi,\nAda\n"))
    assert (await cli.data("send", "s", "-", "--role", "assistant"))["message"]["content"] == "Hi,\nAda"
    assert (await cli("history", "s"))[1] == "User: Hello\n\nAssistant: Hi,\nAda\n"
    assert "[red]Hi" in (await cli("show", "s"))[1]
    code, out, _ = await cli("replay", "s")
    assert code == 0
    assert "#0 User: Hello" in out
    assert [s["session_id"] for s in (await cli.data("list", "--user", "ada"))["sessions"]] == ["s"]
    assert (await cli.data("list", "--updated-before", "2020-01-01T00:00Z"))["sessions"] == []
    assert (await cli("list", "--updated-before", "2020-01-01T00:00Z"))[1] == ""
    assert (await cli.data("suspend", "s"))["status"] == "suspended"
    assert (await cli.data("resume", "s"))["status"] == "active"
    assert (await cli("delete", "s", "--yes"))[0] == 0
    assert (await cli("show", "s"))[0] == 3
    assert (await cli("delete", "s"))[0] == 3


async def test_a_deletion_is_asked_about_on_stderr_and_stdout_has_the_data_alone(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cli.data("start", "s")
    typed = io.StringIO("Y\n")
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    code, out, err = await cli("delete", "s", "--output", "json")
    assert (code, out) == (0, '{"session_id": "s", "status": "deleted"}\n')
    assert err == "Delete session s for good? [y/N]: "


async def test_a_session_is_updated_field_by_field(cli: Cli) -> None:
    await cli.data("start", "s", "--user", "ada", "--title", "Old", "--metadata", '{"a": 1}')
    config = '{"retrieval": {"token_budget": 10}}'
    first = await cli.data("update", "s", "--title", "New", "--config", config, "--clear", "user", "--key", "k")
    assert (first["title"], first["user_id"], first["metadata"]) == ("New", None, {"a": 1})
    assert first["config"]["retrieval"]["token_budget"] == 10
    second = await cli.data("update", "s", "--metadata", '{"b": 2}', "--config", '{"retrieval": {"max_spans": 3}}')
    assert (second["title"], second["metadata"]) == ("New", {"b": 2})
    assert (second["config"]["retrieval"]["token_budget"], second["config"]["retrieval"]["max_spans"]) == (10, 3)
    code, out, err = await cli("update", "s", "--clear", "metadata", "--clear", "title", "--user", "eve")
    assert (code, err) == (0, "")
    assert "eve" in out
    assert "New" not in out
    code, out, err = await cli("update", "s", "--corpus", "nowhere", "--output", "json")
    assert json.loads(out)["config"]["corpus"] == "nowhere"
    assert "Warning: there is no corpus nowhere." in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to change"),
        (("--clear", "title", "--title", "x"), "--title sets what --clear title would clear"),
        (("--clear", "status"), "status"),
        (("--config", '{"retrieval": {"max_span": 3}}'), "config.retrieval.max_span: unknown; did you mean max_spans?"),
        (("--config", "3"), "not a JSON object"),
    ],
)
async def test_an_update_that_cannot_be_is_exit_code_2_with_what_to_do(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    await cli.data("start", "s")
    code, out, err = await cli("update", "s", *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


async def test_an_unknown_session_is_exit_code_3_with_what_to_do(cli: Cli) -> None:
    code, out, err = await cli("send", "nobody", "Hello")
    assert (code, out) == (3, "")
    assert "Session not found: nobody" in err
    assert "perdure session list" in err


async def test_a_wrong_option_is_exit_code_2(cli: Cli) -> None:
    assert (await cli("start", "s", "--metadata", "[1]"))[0] == 2
    assert (await cli("send", "s", "Hello", "--role", "clown"))[0] == 2
    assert (await cli("send", "s"))[0] == 2


async def test_a_refusal_is_exit_code_1_with_its_reason(cli: Cli) -> None:
    await cli.data("start", "s")
    await cli.data("send", "s", "Hello", "--key", "k")
    code, out, err = await cli("send", "s", "Goodbye", "--key", "k")
    assert (code, out) == (1, "")
    assert "used" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send", "s", "  "), "Message content is empty"),
        (("send", "s", "Hello", "--metadata", '{"a": NaN}'), "JSON has not"),
        (("send", "s", "Hello", "--key", "a b"), "Use 1 to 128 characters"),
        (("show", "a b"), "Use 1 to 128 characters"),
        (("list", "--user", "a\0b"), "Use 1 to 128 characters"),
        (("list", "--user", "\udcff"), "Use 1 to 128 characters"),
        (("list", "--metadata", '{"a": "\\u0000"}'), "NUL character"),
        (("list", "--cursor", "a\0b"), "Start from the first page"),
        (("list", "--cursor", "x"), "Start from the first page"),
        (("list", "--updated-after", "yesterday"), "updated_after"),
        (
            ("send", "s", "Hello", "--role", "clown"),
            "Invalid role: clown. Must be one of: user, assistant, system, tool",
        ),
    ],
)
async def test_what_no_session_could_take_is_exit_code_2_with_what_to_do(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = await cli(*arguments)
    assert (code, out) == (2, ""), err
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert "SELECT" not in err


async def test_a_corpus_that_is_not_there_is_a_warning(cli: Cli) -> None:
    code, out, err = await cli("start", "s", "--corpus", "nowhere", "--output", "json")
    assert (code, json.loads(out)["config"]["corpus"]) == (0, "nowhere")
    assert "Warning: there is no corpus nowhere." in err
    assert "perdure corpus ingest" in err
    assert (await cli("start", "t"))[2] == ""


async def test_what_a_session_that_was_there_keeps_is_a_warning(cli: Cli) -> None:
    first = ("--user", "ada", "--title", "Hi", "--metadata", '{"a": 1}', "--config", '{"retrieval": {"max_spans": 3}}')
    assert (await cli("start", "s", *first))[::2] == (0, "")
    assert (await cli("start", "s", *first))[::2] == (0, "")
    assert (await cli("start", "s"))[::2] == (0, "")
    code, out, err = await cli("start", "s", "--title", "Ho", "--config", '{"retrieval": {"max_spans": 4}}')
    assert (code, "Hi" in out) == (0, True)
    assert "without --title, --config. `perdure session update s` changes it." in err
    other = ("--user", "eve", "--metadata", '{"a": 2}', "--config", '{"idle_timeout": 1800}')
    assert "without --user, --metadata. " in (await cli("start", "s", *other))[2]


async def test_a_server_that_is_away_is_exit_code_4(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    code, _, err = await cli("show", "s")
    assert code == 4
    assert "perdure dev" in err
