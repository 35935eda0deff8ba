"""Where settings come from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.service import GrpcCompression

from activities.corpora.index import RETENTION
from perdure.errors import InvalidRequest, Unavailable
from workers.session_client import open_client
from workers.settings import Settings, connect_temporal, stack_lock
from workers.stack.addresses import Addresses

ADDRESSES = Addresses(
    temporal="127.0.0.1:1",
    namespace="other",
    temporal_ui=None,
    postgres="postgresql+psycopg://p@127.0.0.1:2/perdure",
    weaviate="http://127.0.0.1:3",
    weaviate_grpc_port=4,
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PERDURE_DATABASE_URL", "PERDURE_WEAVIATE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    monkeypatch.setenv("PERDURE_DATA_DIR", str(tmp_path))


def test_temporal_is_read_from_the_variables_of_its_own_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "talks")
    settings = Settings.load()
    assert (settings.temporal_address, settings.namespace) == ("temporal.example:7233", "talks")


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", "")
    with pytest.raises(Unavailable, match="PERDURE_DATABASE_URL"):
        Settings.load().require_database_url()


@pytest.mark.parametrize(("value", "seconds"), [("2", 2), ("0.5", 0.5), ("PT3S", 3), ("00:00:04", 4)])
def test_a_duration_is_a_number_of_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, value: str, seconds: float
) -> None:
    monkeypatch.setenv("PERDURE_STICKY_TIMEOUT", value)
    assert Settings.read().sticky_timeout == timedelta(seconds=seconds)


def test_what_the_environment_leaves_out_comes_from_the_stack_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PERDURE_WEAVIATE_URL", "http://elsewhere:8080")
    ADDRESSES.write(tmp_path)
    lock = stack_lock(tmp_path)
    assert lock.acquire()
    settings = Settings.load()
    lock.release()
    assert settings.database_url == ADDRESSES.postgres
    assert (settings.temporal_address, settings.namespace) == ("127.0.0.1:1", "other")
    assert settings.weaviate_url == "http://elsewhere:8080"


def test_a_namespace_that_was_asked_for_is_looked_for_in_the_stack_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "talks")
    settings = Settings.read().at(ADDRESSES)
    assert (settings.temporal_address, settings.namespace) == ("127.0.0.1:1", "talks")


def test_a_data_folder_that_is_none_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("PERDURE_DATA_DIR", str(file))
    with pytest.raises(Unavailable, match=f"{file} cannot be used: Not a directory. Set PERDURE_DATA_DIR to"):
        Settings.load()


def test_the_addresses_that_a_killed_stack_left_are_not_used(tmp_path: Path) -> None:
    ADDRESSES.write(tmp_path)
    assert Settings.load().database_url is None


def test_an_embedder_is_named_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_EMBEDDER_URL", "https://embed.example/v1/embeddings")
    with pytest.raises(InvalidRequest, match="PERDURE_EMBEDDER_URL needs PERDURE_EMBEDDER_MODEL"):
        Settings.load()
    monkeypatch.setenv("PERDURE_EMBEDDER_MODEL", "m")
    monkeypatch.setenv("PERDURE_EMBEDDER_DIMENSION", "16")
    assert Settings.load().embedder_dimension == 16
    monkeypatch.setenv("PERDURE_EMBEDDER_URL", "embed.example")
    with pytest.raises(InvalidRequest, match="PERDURE_EMBEDDER_URL: "):
        Settings.load()


NO_DATABASE = "takes postgresql+psycopg://user:password@host:port/database"
NO_PROFILE = "is no setting. Set TEMPORAL_ADDRESS and the other TEMPORAL_* variables"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TEMPORAL_PORT", "abc", 'takes a whole number from 0 to 65535, not "abc"'),
        ("POSTGRES_PORT", "99999", 'takes a whole number from 0 to 65535, not "99999"'),
        ("POSTGRES_PORT", "-1", 'takes a whole number from 0 to 65535, not "-1"'),
        ("TEMPORAL", "localhost:7233", NO_PROFILE),
        ("TEMPORAL", '{"address": "localhost:7233"}', NO_PROFILE),
        ("START_TIMEOUT", "-1", "takes a duration in seconds or as ISO 8601, more than 0, not -1"),
        ("STICKY_TIMEOUT", "0", "takes a duration in seconds or as ISO 8601, more than 0, not 0"),
        ("GRACEFUL_SHUTDOWN_TIMEOUT", "-PT1S", "takes a duration in seconds or as ISO 8601, at least 0, not -1"),
        ("MAX_CACHED_WORKFLOWS", "0", 'takes a whole number, at least 1, not "0"'),
        ("LOG_LEVEL", "loud", 'takes one of DEBUG, INFO, WARNING, ERROR, not "loud"'),
        ("TENANT", "bad id", "takes 1 to 128 characters of A-Z a-z 0-9 . _ -, not 'bad id'"),
        ("TENANT", "a:b", "takes 1 to 128 characters of A-Z a-z 0-9 . _ -, not 'a:b'"),
        ("WEAVIATE_URL", "localhost:8080", "takes what begins with http:// or https://"),
        ("DATABASE_URL", "nonsense", NO_DATABASE),
        ("DATABASE_URL", "mysql://u:hush@host/d", NO_DATABASE),
        ("DATABASE_URL", "postgresql+psycopg://u:hush@host:port/d", NO_DATABASE),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"PERDURE_{name}", value)
    with pytest.raises(InvalidRequest) as refused:
        Settings.load()
    assert refused.value.message == f"PERDURE_{name}: {problem}."


def test_all_wrong_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_TEMPORAL_PORT", "abc")
    monkeypatch.setenv("PERDURE_DATABASE_URL", "nonsense")
    with pytest.raises(InvalidRequest) as refused:
        Settings.load()
    assert [each["field"] for each in refused.value.details["errors"]] == [
        "PERDURE_DATABASE_URL",
        "PERDURE_TEMPORAL_PORT",
    ]


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_WEAVIATE_API_KEY", "hush")
    monkeypatch.setenv("PERDURE_EMBEDDER_API_KEY", "hush")
    assert "hush" not in repr(Settings.load())


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings.load().tenant = "other"  # type: ignore[misc] # the refusal is what is tested


def test_corpora_are_kept_for_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().corpus_retention == RETENTION
    monkeypatch.setenv("PERDURE_CORPUS_RETENTION", "P30D")
    assert Settings.load().corpus_retention == timedelta(days=30)
    monkeypatch.setenv("PERDURE_CORPUS_RETENTION", "-1")
    with pytest.raises(InvalidRequest, match="PERDURE_CORPUS_RETENTION"):
        Settings.load()


@pytest.mark.parametrize(("value", "expected"), [(None, GrpcCompression.NONE), ("gzip", GrpcCompression.GZIP)])
async def test_the_way_to_temporal_is_compressed_if_it_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: GrpcCompression
) -> None:
    told = _told_to_connect(monkeypatch)
    if value:
        monkeypatch.setenv("PERDURE_TEMPORAL_GRPC_COMPRESSION", value)
    await connect_temporal(Settings.load())
    assert told["grpc_compression"] is expected


async def test_commands_repeat_by_themselves_and_not_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _told_to_connect(monkeypatch)
    async with open_client(Settings.load()):
        assert told["retry_config"].max_retries == 1


def _told_to_connect(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    told: dict[str, Any] = {}

    async def connect(**config: Any) -> None:
        told.update(config)

    monkeypatch.setattr(Client, "connect", connect)
    return told
