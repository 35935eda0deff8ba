"""What a handler was sent: one object, whatever the caller sent."""

from __future__ import annotations

from collections.abc import MutableSequence

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from perdure.errors import InvalidRequest

_INPUTS = "perdure-inputs"
"""Key in a payload's metadata: how many inputs there were. Codecs and converters pass over it."""


def raw_of(json: bytes) -> RawValue:
    """What is JSON already, to be sent as it is."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=json))


NOTHING = raw_of(b"{}")
"""What a caller sends who sends nothing: an empty object."""


def keep_one(inputs: MutableSequence[Payload]) -> None:
    """Leave the first of several inputs, marked, so that its reader can refuse it.

    The SDK gives a handler all of them: too many fail the workflow task, again at each retry.
    """
    if len(inputs) > 1:
        inputs[0].metadata[_INPUTS] = str(len(inputs)).encode()
        del inputs[1:]


def json_of(raw: RawValue) -> bytes:
    """The input's JSON.

    Raises:
        InvalidRequest: there were several inputs.
    """
    if count := raw.payload.metadata.get(_INPUTS):
        raise InvalidRequest(f"There were {count.decode()} inputs. Send one: an object with all fields.")
    return raw.payload.data or b"{}"
