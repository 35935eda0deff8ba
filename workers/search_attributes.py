"""How a Temporal server that lacks the search attributes of sessions gets them."""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from perdure import attributes


async def missing(client: Client) -> list[str]:
    """Names that the client's namespace does not know with their right type."""
    return [key.name for key in await _missing(client)]


async def register(client: Client) -> list[str]:
    """Add those that are missing; answers their names. Safe to repeat."""
    keys = await _missing(client)
    if keys:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace, search_attributes={key.name: _type(key) for key in keys}
            )
        )
    return [key.name for key in keys]


async def _missing(client: Client) -> list[SearchAttributeKey[Any]]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return [key for key in attributes.ALL if known.custom_attributes.get(key.name) != _type(key)]


def _type(key: SearchAttributeKey[Any]) -> IndexedValueType.ValueType:
    return IndexedValueType.ValueType(key.indexed_value_type)
