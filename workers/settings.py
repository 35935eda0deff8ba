"""The settings of every process, read once from the environment, and the Temporal client they describe."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from temporalio.client import Client
from temporalio.envconfig import ClientConfigProfile
from temporalio.service import GrpcCompression, RetryConfig

from perdure.contract import TASK_QUEUE
from perdure.errors import InvalidRequest, Unavailable
from perdure.ids import DEFAULT_TENANT, is_tenant
from perdure.problems import problem_of
from perdure.profile import DEFAULT_ADDRESS, DEFAULT_NAMESPACE, connect, load_profile
from workers import telemetry
from workers.stack.addresses import Addresses
from workers.stack.folder import used
from workers.stack.lock import FileLock

_PREFIX = "PERDURE_"
_MAX_PORT = 65535
_DATABASE_URL = "postgresql+psycopg://user:password@host:port/database"
_DRIVERS = ("postgresql", "postgresql+psycopg")
_COMPRESSION = {"none": GrpcCompression.NONE, "gzip": GrpcCompression.GZIP}


def _number(value: object) -> object:
    """A number, where the environment has one."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_number)]
"""Seconds, or ISO 8601."""


class Settings(BaseSettings):
    """Everything a process may be told. A field `name` is read from `PERDURE_NAME`.

    Temporal's address, namespace, TLS and API key come from the profile and the `TEMPORAL_*` variables that the
    `temporal` CLI reads too; telemetry comes from `OTEL_*`.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    tenant: str = Field(DEFAULT_TENANT, description="The tenant that commands act for.")
    task_queue: str = Field(TASK_QUEUE, description="Where workers poll and sessions run.")

    database_url: str | None = Field(None, description=f"`{_DATABASE_URL}`. None: the local stack's.")
    weaviate_url: str | None = Field(
        None,
        description="`http://host:port`. None: the local stack's, or none, and working sets are degraded.",
    )
    weaviate_grpc_port: int = Field(50051, ge=1, le=_MAX_PORT, description="gRPC port on the host of `weaviate_url`.")
    weaviate_api_key: SecretStr | None = Field(None, description="None: anonymous access.")
    temporal: Annotated[ClientConfigProfile, NoDecode] = Field(
        default_factory=load_profile, description="Of `temporalio.envconfig`; its address is none if unset."
    )
    temporal_grpc_compression: Literal["none", "gzip"] = Field(
        "none",
        description="Between this process and Temporal. `gzip` costs milliseconds a turn, and pays from afar only.",
    )

    embedder_url: str | None = Field(
        None,
        description="Speaks OpenAI's protocol, as `https://host/v1/embeddings` does. None: the local model.",
    )
    embedder_model: str | None = Field(None, description="The model's name there, stored with its vectors.")
    embedder_dimension: int | None = Field(None, ge=1, description="Of its vectors; others are refused.")
    embedder_api_key: SecretStr | None = Field(None, description="None: no `Authorization`.")
    embedder_version: str = Field(
        "1", min_length=1, description="Another one when the model behind its name changes: vectors of two never meet."
    )
    embedder_input_tokens: int = Field(
        256,
        ge=16,
        description="Tokens (cl100k_base) of the largest span, which the model must read. Another: new corpora.",
    )
    embedder_batch: int = Field(64, ge=1, description="Texts of one request.")
    embedder_timeout: Duration = Field(
        timedelta(seconds=20),
        gt=timedelta(0),
        le=timedelta(seconds=25),
        description="For one request, its repetitions included. A turn waits for `retrieval_timeout` only.",
    )

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("perdure", appauthor=False),
        description="All data and logs of a local stack. One stack runs in it at a time.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("perdure", appauthor=False),
        description="What is fetched or built once, such as the Weaviate server.",
    )
    temporal_port: int | None = Field(
        None,
        ge=0,
        le=_MAX_PORT,
        description="Of the local stack. None: as before, else 7233, if free, else any. 0: as before, else any.",
    )
    temporal_ui_port: int | None = Field(
        None,
        ge=0,
        le=_MAX_PORT,
        description="Of the local stack. None: as before, else 8233, if free, else any. 0: as before, else any.",
    )
    postgres_port: int | None = Field(
        None,
        ge=0,
        le=_MAX_PORT,
        description="Of the local stack. None: as before, else 5432, if free, else any. 0: as before, else any.",
    )
    weaviate_port: int | None = Field(
        None,
        ge=0,
        le=_MAX_PORT,
        description="Of the local stack. None: as before, else 8080, if free, else any. 0: as before, else any.",
    )
    start_timeout: Duration = Field(
        timedelta(seconds=90), gt=timedelta(0), description="For each part of the local stack to be usable."
    )

    max_cached_workflows: int = Field(
        1000,
        ge=1,
        description="Sessions a worker keeps in memory. With none, each step would cancel the commits under way.",
    )
    max_concurrent_local_activities: int = Field(
        100, ge=1, description="Commits and compilations a worker runs at once."
    )
    sticky_timeout: Duration = Field(
        timedelta(seconds=1),
        gt=timedelta(0),
        description="How long a session waits for its old worker before any worker may take it.",
    )
    graceful_shutdown_timeout: Duration = Field(
        timedelta(seconds=10), ge=timedelta(0), description="What a worker's running activities get on SIGTERM."
    )

    corpus_retention: Duration = Field(
        timedelta(days=7),
        ge=timedelta(0),
        description="How long a version of a corpus can be read (`as_of`) after the next one is published. The one "
        "before the newest is always kept; ingests clear away the rest.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="On stderr: one JSON object a line, or plain text.")

    @field_validator("tenant")
    @classmethod
    def _tenant_is_an_id(cls, tenant: str) -> str:
        if not is_tenant(tenant):
            raise ValueError(f"takes 1 to 128 characters of A-Z a-z 0-9 . _ -, not {tenant!r}")
        return tenant

    @field_validator("temporal", mode="before")
    @classmethod
    def _temporal_has_variables_of_its_own(cls, profile: object) -> object:
        if isinstance(profile, str):  # of the environment, since no caller has it as text
            raise ValueError("is no setting. Set TEMPORAL_ADDRESS and the other TEMPORAL_* variables")
        return profile

    @field_validator("database_url")
    @classmethod
    def _database_url_is_postgres(cls, url: str | None) -> str | None:
        if url is not None and _driver(url) not in _DRIVERS:
            raise ValueError(f"takes {_DATABASE_URL}")  # without what it got, which may hold a password
        return url

    @field_validator("weaviate_url", "embedder_url")
    @classmethod
    def _url_is_of_the_web(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("takes what begins with http:// or https://")  # without what it got, as above
        return url

    @model_validator(mode="after")
    def _embedder_is_whole(self) -> Self:
        if self.embedder_url and not (self.embedder_model and self.embedder_dimension):
            raise ValueError("PERDURE_EMBEDDER_URL needs PERDURE_EMBEDDER_MODEL and PERDURE_EMBEDDER_DIMENSION")
        return self

    @property
    def temporal_address(self) -> str:
        """`host:port` of the Temporal frontend."""
        return self.temporal.address or DEFAULT_ADDRESS

    @property
    def namespace(self) -> str:
        """The Temporal namespace."""
        return self.temporal.namespace or DEFAULT_NAMESPACE

    @classmethod
    def read(cls) -> Self:
        """The environment's.

        Raises:
            InvalidRequest: a variable holds what its setting does not take, and the message names each such variable;
                or Temporal's configuration cannot be read, and the message says why.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                {"field": _variable(details), "problem": problem_of(cls, details, null=False)}
                for details in error.errors(include_url=False)
            ]
        raise InvalidRequest(" ".join("{field}: {problem}.".format(**each) for each in problems), errors=problems)

    @classmethod
    def load(cls) -> Self:
        """The environment's; what it leaves out is taken from the local stack, if one runs in `data_dir`.

        Raises:
            InvalidRequest: as `read`.
            Unavailable: `data_dir` cannot be read.
        """
        settings = cls.read()
        with used(settings.data_dir, "PERDURE_DATA_DIR"):
            running = Addresses.read(settings.data_dir)
            if running is None or not stack_lock(settings.data_dir).is_held():
                return settings
        return settings.at(running)

    def at(self, addresses: Addresses) -> Self:
        """These settings, with each address that they leave out taken from `addresses`."""
        filled: dict[str, object] = {}
        if not self.temporal.address:
            filled["temporal"] = replace(
                self.temporal, address=addresses.temporal, namespace=self.temporal.namespace or addresses.namespace
            )
        if self.database_url is None:
            filled["database_url"] = addresses.postgres
        if self.weaviate_url is None:
            filled |= {"weaviate_url": addresses.weaviate, "weaviate_grpc_port": addresses.weaviate_grpc_port}
        return self.model_copy(update=filled)

    def require_database_url(self) -> str:
        """The database to use.

        Raises:
            Unavailable: none is set and no local stack runs.
        """
        if self.database_url is None:
            raise Unavailable(
                "No database is set. Set PERDURE_DATABASE_URL, or start a local stack with `perdure dev`."
            )
        return self.database_url


def _variable(details: ErrorDetails) -> str:
    """Of the environment, that of the setting; all of ours when it is about several together."""
    return _PREFIX + (str(details["loc"][0]).upper() if details["loc"] else "*")


def _driver(url: str) -> str | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).drivername
    except (ArgumentError, ValueError):  # the latter of a port that is no number
        return None


def stack_lock(data_dir: Path) -> FileLock:
    """Held by the stack that runs in `data_dir`."""
    return FileLock(data_dir / "lock")


async def connect_temporal(settings: Settings, *, retry_config: RetryConfig | None = None) -> Client:
    """A client with Perdure's data converter, and with tracing if telemetry is on.

    Raises:
        InvalidRequest: the address is none, or the certificates are not whole.
        Unavailable: nobody answers at the address.
    """
    return await connect(
        settings.temporal.to_client_connect_config(),
        retry_config=retry_config,
        grpc_compression=_COMPRESSION[settings.temporal_grpc_compression],
        plugins=telemetry.client_plugins(),
    )
