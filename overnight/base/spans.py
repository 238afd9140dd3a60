"""What leaves this process of a span: names, ids and figures of an allow-list; no texts, no paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AttributeValue

_KEPT = frozenset(
    {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.prompt.name",
        "gen_ai.request.model",
        "gen_ai.tool.name",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "mcp.method.name",
        "mcp.protocol.version",
        "rpc.response.status_code",
        "temporalActivityID",
        "temporalActivityType",
        "temporalRunID",
        "temporalWorkflowID",
    }
)
_OURS = "overnight."
_VALUE = re.compile(r"[\w.:@-]{1,200}")
_WITH_SLASHES = {
    "gen_ai.request.model": re.compile(r"[\w.:@/-]{1,200}"),
    "mcp.method.name": re.compile(r"[a-z]{1,40}(?:/[A-Za-z_]{1,40}){0,2}"),
}
_NAME = re.compile(r"[A-Za-z][\w.:/-]{0,79}(?: [\w.-]{1,64})?")
"""``tools/call claude_autonomous``, ``RunActivity:execute``: clients choose tools' and signals' names."""
UNNAMED = "unnamed"


class CleanExporter(SpanExporter):
    """Hands spans on without what their makers, or whoever called them, wrote into them."""

    def __init__(self, target: SpanExporter) -> None:
        self._target = target

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what is left of each."""
        return self._target.export([clean(span) for span in spans])

    def shutdown(self) -> None:
        """Export what waits, and no more."""
        self._target.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what waits."""
        return self._target.force_flush(timeout_millis)


def clean(span: ReadableSpan) -> ReadableSpan:
    """``span`` with allowed attributes only. Of an exception its type is left, of a status whether it is one."""
    attributes = {key: value for key, value in (span.attributes or {}).items() if _allowed(key, value)}
    for event in span.events:
        kind = (event.attributes or {}).get("exception.type")
        if isinstance(kind, str) and _VALUE.fullmatch(kind):
            attributes.setdefault("error.type", kind)
    return ReadableSpan(
        name=_name(span.name, attributes),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _allowed(key: str, value: object) -> bool:
    if key not in _KEPT and not key.startswith(_OURS):
        return False
    if isinstance(value, str):
        return _WITH_SLASHES.get(key, _VALUE).fullmatch(value) is not None
    return isinstance(value, bool | int | float)


def _name(name: str, attributes: Mapping[str, AttributeValue]) -> str:
    if _NAME.fullmatch(name):
        return name
    method = attributes.get("mcp.method.name")
    return method if isinstance(method, str) else UNNAMED
