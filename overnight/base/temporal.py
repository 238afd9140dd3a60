"""Connecting to Temporal: one converter, one set of search attributes, for worker and clients alike."""

from __future__ import annotations

import logging
import os
import re
from functools import cache

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from overnight.base.traced_client import TracedClient
from workflows.gated import SEARCH_ATTRIBUTES

TASK_QUEUE = "overnight"


def is_external() -> bool:
    """Whether a Temporal of the person's own is configured: an address, or a profile of the Temporal CLI."""
    if os.environ.get("TEMPORAL_ADDRESS"):
        return True
    return bool(os.environ.get("TEMPORAL_PROFILE") or os.environ.get("TEMPORAL_CONFIG_FILE"))


async def connect(address: str | None = None, namespace: str | None = None) -> Client:
    """A client for ``address``, or for what the environment configures.

    Raises ``RuntimeError`` in words when it is out of reach, or when what is configured leads nowhere.
    """
    if address is not None:
        chosen = ClientConnectConfig(target_host=address, namespace=namespace or "default")
    else:
        try:
            chosen = ClientConfig.load_client_connect_config()
        except OSError as error:  # a file of TLS that is not there
            raise RuntimeError(f"{error.filename} cannot be read: {error.strerror}") from None
    if not (target := chosen.get("target_host") or ""):
        raise RuntimeError("no address is named there; set TEMPORAL_ADDRESS, such as 127.0.0.1:7233")
    if "://" in target:
        raise RuntimeError(f"{target}: an address is host:port, such as 127.0.0.1:7233, with nothing before it")
    try:
        return await Client.connect(
            **chosen, data_converter=pydantic_data_converter, runtime=_runtime(), interceptors=[TracedClient()]
        )
    except RuntimeError as error:
        raise RuntimeError(f"{target}: {_in_words(str(error))}") from None


@cache
def _runtime() -> Runtime:
    """The SDK's own runtime, once a process: what it logs goes where this process logs, and nowhere by itself.

    Left alone, it prints on standard output, between the lines that a program reads there.
    """
    logger = logging.getLogger("temporalio.core")
    logger.addHandler(logging.NullHandler())  # a process that sets up no logging says nothing of it
    forwarded = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=LogForwardingConfig(logger=logger)
    )
    return Runtime(telemetry=TelemetryConfig(logging=forwarded))


_REFUSALS = (
    (re.compile("dns error", re.IGNORECASE), "its name cannot be resolved"),
    (re.compile("refused", re.IGNORECASE), "nothing listens there"),
    (re.compile("timed out|timeout|deadline", re.IGNORECASE), "it does not answer"),
    (re.compile("certificate|tls|handshake", re.IGNORECASE), "no TLS connection comes about"),
    (re.compile("unreachable", re.IGNORECASE), "no network leads there"),
    (re.compile(r"tonic::|\w+\("), "no connection comes about"),
)


def _in_words(said: str) -> str:
    """What the SDK says of a connection that failed, without the terms of its libraries."""
    return next((words for pattern, words in _REFUSALS if pattern.search(said)), said)


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
