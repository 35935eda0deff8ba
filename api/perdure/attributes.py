"""The search attributes of a session: what Temporal shows of it and lists it by."""

from __future__ import annotations

from typing import Any

from temporalio.common import SearchAttributeKey

TENANT = SearchAttributeKey.for_keyword("PerdureTenant")
USER = SearchAttributeKey.for_keyword("PerdureUser")
STATUS = SearchAttributeKey.for_keyword("PerdureStatus")
MESSAGE_COUNT = SearchAttributeKey.for_int("PerdureMessageCount")
LAST_ACTIVITY = SearchAttributeKey.for_datetime("PerdureLastActivity")

ALL: tuple[SearchAttributeKey[Any], ...] = (TENANT, USER, STATUS, MESSAGE_COUNT, LAST_ACTIVITY)
