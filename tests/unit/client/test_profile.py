"""What is said of a configuration of Temporal that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perdure import Client
from perdure.cli import run
from perdure.errors import InvalidRequest
from perdure.profile import load_profile

WRONG = [
    ({"TEMPORAL_PROFILE": "nope"}, "", "nope"),
    ({}, '[profile.default]\napi_key = "hush', "line 2, column [0-9]+: invalid basic string"),
    ({"TEMPORAL_ADDRESS": "a b"}, "", "invalid target URL"),
    ({"TEMPORAL_TLS_CLIENT_CERT_DATA": "x"}, "", "Must have both client cert and private key"),
    ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/no/ca.pem"}, "", "/no/ca.pem"),
    ({}, '[profile.default.tls]\nclient_cert_path = "/no/client.pem"', "/no/client.pem"),
]
wrong = pytest.mark.parametrize(("variables", "file", "cause"), WRONG)


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], file: str) -> None:
    path = tmp_path / "temporal.toml"
    path.write_text(file)
    monkeypatch.setenv("PERDURE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@wrong
def test_a_command_ends_with_a_usage_error_that_names_the_cause(capsys: pytest.CaptureFixture[str], cause: str) -> None:
    assert run(["reindex", "docs"]) == 2
    told = capsys.readouterr().err
    assert re.search(cause, told)
    assert "TEMPORAL_CONFIG_FILE" in told
    assert "--debug" not in told
    assert "hush" not in told


@wrong
async def test_a_client_that_connects_is_refused(cause: str) -> None:
    with pytest.raises(InvalidRequest, match=cause):
        await Client.connect()


@pytest.mark.parametrize(("variables", "file"), [({}, '[profile.default]\naddress = "temporal.example:7233"')])
def test_what_can_be_read_is_the_profile() -> None:
    assert load_profile().address == "temporal.example:7233"
