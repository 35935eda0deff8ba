"""What a client makes of its arguments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client as TemporalClient

from perdure import Client, SessionConfig
from perdure.calls import Calls
from tests.unit.client.transport import Script

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "config",
    [{"corpus": "other", "idle_timeout": 60}, SessionConfig(corpus="other", idle_timeout=timedelta(minutes=1))],
)
async def test_a_corpus_takes_the_place_of_that_of_the_config(config: Any) -> None:
    script = Script({})
    client = Client(await TemporalClient.connect("127.0.0.1:1", lazy=True))
    client._calls = Calls(script, rpc_timeout=SECOND, timeout=SECOND)
    await client.start_session("s", corpus="named", config=config)
    (update,) = script.updates
    assert update.start is not None
    assert update.start["config"] == {"corpus": "named", "idle_timeout": "PT1M"}


async def test_a_client_that_connects_repeats_by_itself_and_not_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    async def connect(**config: Any) -> None:
        told.update(config)

    monkeypatch.setattr(TemporalClient, "connect", connect)
    await Client.connect("127.0.0.1:1")
    assert told["retry_config"].max_retries == 1
