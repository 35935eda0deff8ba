"""What callers may rely on by name."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import perdure
from perdure.errors import BY_CODE, Busy, InvalidRequest, PerdureError, Refused, from_wire

PUBLIC = """
Busy CapacityExceeded Citation Client Comparison CompilerConfig CorpusNotFound CorpusVersionNotFound Event EventPage
FilePart HeadMoved History IdempotencyConflict InvalidMessage InvalidRequest InvalidRole InvalidSessionId Message
MessageAnswer MessageNotFound MessagePage NewMessage OutcomeUnknown PayloadTooLarge PerdureError ReadMessages Reader
Refused Replay RunBudget Session SessionConfig SessionDeleted SessionFilter SessionHandle SessionList SessionNotActive
SessionNotFound SessionPage SessionRolling SessionSummary TextPart ThoughtPart TooMuchInFlight ToolCallPart
ToolResultPart Turn TurnComparison Unavailable UploadExpired WorkingSet WorkingSetCorrupted WorkingSetDiff
WorkingSetSpan
"""
REFUSED = """
CorpusNotFound CorpusVersionNotFound HeadMoved IdempotencyConflict InvalidMessage InvalidRequest InvalidRole
InvalidSessionId MessageNotFound PayloadTooLarge SessionDeleted SessionNotActive SessionNotFound UploadExpired
"""


def test_the_public_names_are_these() -> None:
    assert perdure.__all__ == PUBLIC.split()


@pytest.mark.parametrize("name", PUBLIC.split())
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(perdure, name).__name__ == name


def test_every_public_name_is_listed_even_before_it_is_asked_for() -> None:
    check = "import perdure, sys; sys.exit(bool(set(perdure.__all__) - set(dir(perdure))))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clown"):
        _ = perdure.Clown


def test_the_error_names_are_these() -> None:
    assert {e.__name__ for e in Refused.__subclasses__()} == set(REFUSED.split())
    assert {e.__name__ for e in Busy.__subclasses__()} == {"CapacityExceeded"}
    assert {e.__name__ for e in PerdureError.__subclasses__()} == {
        *("Refused", "Busy", "OutcomeUnknown", "Unavailable", "WorkingSetCorrupted")
    }


def test_every_error_is_public_and_drawn_in_the_tree() -> None:
    drawn = importlib.import_module("perdure.errors").__doc__ or ""
    for name in BY_CODE:
        assert name in perdure.__all__
        assert name in drawn


def test_an_invalid_request_always_lists_its_errors_and_keeps_them_on_the_wire() -> None:
    assert InvalidRequest("x", message_id="m").details == {"errors": [], "message_id": "m"}
    errors = [{"field": "title", "problem": "unknown"}]
    assert from_wire("InvalidRequest", "x", {"errors": errors}).details == {"errors": errors}


def test_importing_the_package_leaves_the_sdk_alone() -> None:
    check = "import perdure, sys; sys.exit('temporalio.client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
