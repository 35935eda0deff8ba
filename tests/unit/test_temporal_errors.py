"""What a command tells of an error of Temporal."""

from __future__ import annotations

import pytest
from temporalio.envconfig import ClientConfigProfile
from temporalio.service import RPCError, RPCStatusCode

from perdure.errors import Unavailable
from workers.settings import Settings
from workers.temporal_errors import explained

SETTINGS = Settings(temporal=ClientConfigProfile(address="temporal.example:7233", namespace="talks"))


@pytest.mark.parametrize(
    ("message", "status", "advice"),
    [
        ("Namespace talks is not found.", RPCStatusCode.NOT_FOUND, "Create the namespace talks"),
        ("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, "TEMPORAL_API_KEY"),
        ("", RPCStatusCode.UNAUTHENTICATED, "TEMPORAL_API_KEY"),
        ("tcp connect error:\nrefused", RPCStatusCode.UNAVAILABLE, "Check TEMPORAL_ADDRESS"),
        ("Timeout expired", RPCStatusCode.CANCELLED, "Check TEMPORAL_ADDRESS"),
    ],
)
def test_an_error_is_one_line_that_names_the_server_and_says_what_to_do(
    message: str, status: RPCStatusCode, advice: str
) -> None:
    told = explained(RPCError(message, status, b""), SETTINGS)
    assert type(told) is Unavailable
    assert told.message.startswith("Temporal at temporal.example:7233, namespace talks: ")
    assert advice in told.message
    assert "\n" not in told.message
    assert ".." not in told.message
