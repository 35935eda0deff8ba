"""What the `perdure` command answers when something is wrong."""

from __future__ import annotations

import pytest

from perdure.cli import run
from perdure.cli.output import Format, exit_code, explain, show
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
    SessionNotFound,
    SessionRolling,
    TooMuchInFlight,
    Unavailable,
)

CODES: dict[int, set[type[PerdureError]]] = {
    2: {InvalidMessage, InvalidRequest, InvalidRole, InvalidSessionId, PayloadTooLarge},
    3: {CorpusNotFound, CorpusVersionNotFound, MessageNotFound, SessionNotFound},
    4: {OutcomeUnknown, SessionRolling, TooMuchInFlight, Unavailable},
}
"""Exit codes of the errors that don't end with 1: usage, not found, unavailable."""


@pytest.mark.parametrize("error", BY_CODE.values())
def test_each_kind_of_error_has_its_exit_code_and_a_sentence(error: type[PerdureError]) -> None:
    raised = error("What happened.")
    assert exit_code(raised) == next((code for code, errors in CODES.items() if error in errors), 1)
    assert explain(raised).startswith(raised.message)


def test_an_unknown_option_is_a_usage_error_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dev", "--no-such-option"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--no-such-option" in captured.err


def test_help_is_data_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("dev", "doctor", "migrate"))


def test_a_setting_that_cannot_be_read_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERDURE_POSTGRES_PORT", "many")
    assert run(["doctor"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 'Error: PERDURE_POSTGRES_PORT: takes a whole number, not "many".\n'


def test_json_is_one_line_with_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show({"title": "line\nbreak é"}, Format.JSON, lambda: "")
    assert capsys.readouterr().out == '{"title": "line\\nbreak é"}\n'
