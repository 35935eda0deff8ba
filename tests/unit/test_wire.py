"""How much of an error crosses the wire."""

from __future__ import annotations

from perdure.errors import InvalidRequest
from perdure.wire import MAX_DETAILS_BYTES, MAX_MESSAGE, named, refusal


def test_an_error_crosses_as_it_is() -> None:
    sent = refusal(InvalidRequest("m" * MAX_MESSAGE, value="v"))
    assert sent.non_retryable
    told = named(sent)
    assert isinstance(told, InvalidRequest)
    assert (told.message, told.details) == ("m" * MAX_MESSAGE, {"errors": [], "value": "v"})


def test_of_a_long_error_the_beginning_crosses() -> None:
    told = named(refusal(InvalidRequest("m" * (MAX_MESSAGE + 1), value="v" * MAX_DETAILS_BYTES)))
    assert told.message == "m" * MAX_MESSAGE + "…"
    assert "vvv" not in str(told.details)
    assert "too large" in told.details["omitted"]
