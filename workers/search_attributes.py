"""The search attributes of sessions, and how a Temporal server that lacks them gets them."""

from __future__ import annotations

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client

from perdure import contract

SEARCH_ATTRIBUTES = {
    contract.ATTRIBUTE_TENANT: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    contract.ATTRIBUTE_USER: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    contract.ATTRIBUTE_STATUS: ("Keyword", IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    contract.ATTRIBUTE_MESSAGE_COUNT: ("Int", IndexedValueType.INDEXED_VALUE_TYPE_INT),
    contract.ATTRIBUTE_LAST_ACTIVITY: ("Datetime", IndexedValueType.INDEXED_VALUE_TYPE_DATETIME),
}
"""Name to type, as the `temporal` program writes it and as the API does."""


async def missing(client: Client) -> list[str]:
    """Names that the client's namespace does not know with their right type."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return [name for name, (_, kind) in SEARCH_ATTRIBUTES.items() if known.custom_attributes.get(name) != kind]


async def register(client: Client) -> list[str]:
    """Add those that are missing; answers their names. Safe to repeat."""
    names = await missing(client)
    if names:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={name: SEARCH_ATTRIBUTES[name][1] for name in names},
            )
        )
    return names
