"""Temporal's configuration: the profile and the `TEMPORAL_*` variables that the `temporal` CLI reads too."""

from __future__ import annotations

from temporalio.envconfig import ClientConfigProfile

from perdure.errors import InvalidRequest


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


def unusable(error: Exception) -> InvalidRequest:
    """What the SDK found wrong, in one line."""
    first, *others = str(error).strip().splitlines() or [type(error).__name__]
    cause = ": ".join([first, *others[-1:]])  # between them is the line of the file, which may hold a secret
    return InvalidRequest(
        f"Temporal's configuration cannot be used: {cause}. Check TEMPORAL_ADDRESS, TEMPORAL_PROFILE, the other "
        "TEMPORAL_* variables, and the file that TEMPORAL_CONFIG_FILE names."
    )
