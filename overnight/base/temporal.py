"""Connecting to Temporal: one converter, one set of search attributes, for worker and clients alike."""

from __future__ import annotations

import os

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from workflows.gated import SEARCH_ATTRIBUTES

TASK_QUEUE = "overnight"


def is_external() -> bool:
    """Whether a Temporal of the person's own is configured: an address, or a profile of the Temporal CLI."""
    if os.environ.get("TEMPORAL_ADDRESS"):
        return True
    return bool(os.environ.get("TEMPORAL_PROFILE") or os.environ.get("TEMPORAL_CONFIG_FILE"))


async def connect(address: str | None = None, namespace: str | None = None) -> Client:
    """A client for ``address``, or for what the environment configures. Raises ``RuntimeError`` when out of reach."""
    if address is not None:
        return await Client.connect(address, namespace=namespace or "default", data_converter=pydantic_data_converter)
    return await Client.connect(**ClientConfig.load_client_connect_config(), data_converter=pydantic_data_converter)


async def ensure_search_attributes(client: Client) -> None:
    """Register what is missing; an unregistered search attribute would wedge every session.

    Raises ``RPCError`` where the service does not let us (Temporal Cloud: register them there by hand).
    """
    have = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {
        key.name: IndexedValueType.ValueType(key.indexed_value_type)
        for key in SEARCH_ATTRIBUTES
        if key.name not in have.custom_attributes
    }
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
    except RPCError as error:
        # Two workers that start at once.
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
