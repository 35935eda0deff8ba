"""How Temporal is reached: by the profile and the `TEMPORAL_*` variables that the `temporal` CLI reads too."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig

from perdure.errors import InvalidRequest, Unavailable

DEFAULT_ADDRESS = "localhost:7233"
DEFAULT_NAMESPACE = "default"


def load_profile() -> ClientConfigProfile:
    """The environment's profile. The files it names, such as certificates, can be read.

    Raises:
        InvalidRequest: there is no such profile, its file is no TOML, a variable or a file cannot be read.
    """
    try:
        profile = ClientConfigProfile.load()
        profile.to_client_connect_config()  # reads its files
    except (RuntimeError, OSError) as error:
        raise unusable(error) from error
    return profile


async def connect(config: ClientConnectConfig, **options: Any) -> Client:
    """A client with Perdure's data converter, and with `options`; the address and namespace default to Temporal's own.

    Raises:
        InvalidRequest: the address is none, or the certificates are not whole.
        Unavailable: nobody answers at the address.
    """
    address = config.get("target_host") or DEFAULT_ADDRESS
    to: dict[str, Any] = {**config, "target_host": address, "namespace": config.get("namespace") or DEFAULT_NAMESPACE}
    try:
        return await Client.connect(**to, data_converter=pydantic_data_converter, **options)
    except ValueError as error:
        raise unusable(error) from error
    except RuntimeError as error:
        raise Unavailable(
            f"Temporal does not answer at {address}. Start a local stack with `perdure dev`, or set TEMPORAL_ADDRESS.",
            address=address,
        ) from error


def unusable(error: Exception) -> InvalidRequest:
    """What the SDK found wrong, in one line."""
    first, *others = str(error).strip().splitlines() or [type(error).__name__]
    cause = ": ".join([first, *others[-1:]])  # between them is the line of the file, which may hold a secret
    return InvalidRequest(
        f"Temporal's configuration cannot be used: {cause}. Check TEMPORAL_ADDRESS, TEMPORAL_PROFILE, the other "
        "TEMPORAL_* variables, and the file that TEMPORAL_CONFIG_FILE names."
    )
