"""What a command tells of an error of Temporal: its words, where it was asked, and what to do."""

from __future__ import annotations

from temporalio.service import RPCError, RPCStatusCode

from perdure.errors import Unavailable
from workers.settings import Settings


def explained(error: RPCError, settings: Settings) -> Unavailable:
    """The error by our name, in one line."""
    address, namespace = settings.temporal_address, settings.namespace
    cause = " ".join(error.message.split()).removesuffix(".") or error.status.name
    return Unavailable(
        f"Temporal at {address}, namespace {namespace}: {cause}. {next_step(error, settings)}",
        address=address,
        namespace=namespace,
    )


def next_step(error: RPCError, settings: Settings) -> str:
    """What to do about it."""
    match error.status:
        case RPCStatusCode.NOT_FOUND if "namespace" in error.message.lower():
            return f"Create the namespace {settings.namespace}, or set TEMPORAL_NAMESPACE."
        case RPCStatusCode.UNAVAILABLE | RPCStatusCode.DEADLINE_EXCEEDED | RPCStatusCode.CANCELLED:
            return "Check TEMPORAL_ADDRESS and that the server runs, and try again."
        case _:
            return "Check TEMPORAL_NAMESPACE and TEMPORAL_API_KEY, and the server's log."
