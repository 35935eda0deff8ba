"""Identifiers: what they may hold, and how a session's id becomes a workflow's."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Strict

from perdure.errors import InvalidSessionId, PerdureError

DEFAULT_TENANT = "default"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_id(value: object) -> bool:
    """Whether `value` may serve as an id: 1-128 characters of `[A-Za-z0-9._:-]`."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def not_an_id(value: object) -> str:
    """What is said of such a value."""
    return f"Not an id: {value!r}. Use 1 to 128 characters of A-Z a-z 0-9 . _ : -"


def _id(value: str) -> str:
    if not is_id(value):
        raise ValueError(not_an_id(value))  # and not `InvalidRequest`, which would not say in which field
    return value


Id = Annotated[str, Strict(), AfterValidator(_id)]


def is_tenant(value: object) -> bool:
    """Whether `value` may name a tenant: an id without a colon."""
    return is_id(value) and ":" not in str(value)


def workflow_id(tenant: str, session_id: str) -> str:
    """The workflow id of a session, `session:{tenant}:{session_id}`.

    Raises:
        InvalidSessionId: either part is not an id, or the tenant holds a colon.
    """
    check_names(InvalidSessionId, tenant, session_id=session_id)
    return f"session:{tenant}:{session_id}"


def check_names(refused: type[PerdureError], tenant: str, **others: str) -> None:
    """Refuse a tenant or other names of which no workflow id can be made.

    Raises:
        PerdureError: by the name of `refused`.
    """
    for name, value in {"tenant": tenant, **others}.items():
        if not (is_tenant if name == "tenant" else is_id)(value):
            raise refused(
                f"Invalid {name}: {value!r}. Use 1 to 128 characters of A-Z a-z 0-9 . _ : - (no colon in a tenant).",
                field=name,
                value=value,
            )
