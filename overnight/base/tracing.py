"""Traces: one for each session, from a client's call through workflow and activities to each call of Claude Code.

Off unless an exporter is set. A client's trace context is passed on even then, by processes that export nothing.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from overnight.base.settings import Settings
from overnight.base.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

TRACE = "trace_id"
"""Under which a session's memo keeps its trace."""
FLUSH_SECONDS = 2.0
"""How long a process that ends waits for its last spans to be taken."""

_TRACEPARENT = "traceparent"
_STANDARD = {"model": "gen_ai.request.model"}
_COLLECTOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class JustTraceparent(TextMapPropagator):
    """Carries a trace's and a span's id, and nothing that others may have added: it goes into every history."""

    _whole = TraceContextTextMapPropagator()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """``context`` with the span that ``carrier`` names, if it names one."""
        found = getter.get(carrier, _TRACEPARENT)
        return self._whole.extract({_TRACEPARENT: found[0]} if found else {}, context)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Name the span of ``context`` in ``carrier``."""
        if (named := traceparent(context)) is not None:
            setter.set(carrier, _TRACEPARENT, named)

    @property
    def fields(self) -> set[str]:
        return {_TRACEPARENT}


def destination(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """Where spans go: ``off``, ``otlp``, ``console``, or a file."""
    if settings.traces is not None:
        return settings.traces
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return "off"
    return "otlp" if any(environ.get(name) for name in _COLLECTOR) else "off"


class _Process:
    """What this process exports with; nothing before it is configured. The SDK is imported only where it is used."""

    provider: TracerProvider | None = None


def configure_tracing(settings: Settings, service: str) -> str:
    """Trace in this process as ``overnight-<service>``, if an exporter is set. Once a process.

    Returns what is wrong with the exporter, in words; empty when nothing is. No session waits for it to be mended.
    """
    set_global_textmap(JustTraceparent())
    where = destination(settings)
    if where == "off" or _Process.provider is not None:
        return ""
    try:
        exporter = _exporter(where)
    except (ImportError, OSError, ValueError) as error:
        return _in_words(where, error)
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"overnight-{service}"}
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    from overnight.base.spans import CleanExporter

    provider = TracerProvider(
        resource=Resource.create({**named, "service.namespace": "overnight", "service.version": VERSION}),
        shutdown_on_exit=False,
    )
    clean = CleanExporter(exporter)
    provider.add_span_processor(BatchSpanProcessor(clean) if where == "otlp" else SimpleSpanProcessor(clean))
    trace.set_tracer_provider(provider)
    _Process.provider = provider
    return ""


def is_on() -> bool:
    """Whether this process exports spans."""
    return _Process.provider is not None


def flush_traces() -> None:
    """Before the end of the process: hand over what is left, for at most 2 s, however silent a collector is."""
    if _Process.provider is None:
        return
    last = threading.Thread(target=_Process.provider.shutdown, daemon=True)
    with suppress(RuntimeError):
        last.start()
        last.join(FLUSH_SECONDS)


def _exporter(where: str) -> SpanExporter:
    if where == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        if (protocol := os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")).startswith("grpc"):
            raise ValueError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not spoken here; http/protobuf is, on port 4318"
            )
        return OTLPSpanExporter()
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    if where == "console":
        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    out = os.fdopen(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8", buffering=1)
    return ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")


def _in_words(where: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return "traces to a collector need one package more: pip install 'overnight[otlp]'"
    if isinstance(error, OSError):
        return f"OVERNIGHT_TRACES: {where} cannot be written ({error.strerror or error})"
    return str(error)


def tracer() -> trace.Tracer:
    """The tracer of this process; its spans are nothing while tracing is off."""
    return trace.get_tracer("overnight", VERSION)


def trace_id(context: Context | None = None) -> str:
    """The trace that the running code belongs to; empty for none."""
    found = trace.get_current_span(context).get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else ""


def traceparent(context: Context | None = None) -> str | None:
    """The span that the running code belongs to, as W3C writes it; None for none."""
    found = trace.get_current_span(context).get_span_context()
    if not found.is_valid:
        return None
    ids = f"{trace.format_trace_id(found.trace_id)}-{trace.format_span_id(found.span_id)}"
    return f"00-{ids}-{found.trace_flags & TraceFlags.SAMPLED:02x}"


def join(carrier: Mapping[str, Any]) -> None:
    """From now on this task belongs to the trace that ``carrier`` names, if it names one: a command is one task."""
    if (found := _named(carrier)) is not None:
        otel.attach(found)


def part() -> None:
    """From now on this task belongs to no trace."""
    otel.attach(Context())


@contextmanager
def joined(carrier: Mapping[str, Any]) -> Iterator[None]:
    """Inside, the running code belongs to the trace that ``carrier`` names as ``traceparent``, if it names one."""
    if (found := _named(carrier)) is None:
        yield
        return
    token = otel.attach(found)
    try:
        yield
    finally:
        otel.detach(token)


def _named(carrier: Mapping[str, Any]) -> Context | None:
    named = carrier.get(_TRACEPARENT)
    found = JustTraceparent().extract({_TRACEPARENT: named}) if isinstance(named, str) else None
    return found if found is not None and trace_id(found) else None


@contextmanager
def beginning(*, wanted: bool) -> Iterator[str]:
    """Around the start of a session: yields the id of its trace.

    Empty when nobody traces: neither the caller, nor this process, nor, as ``wanted`` says, the worker. For a worker
    alone the trace is made here, so that there is one of all it does.
    """
    with tracer().start_as_current_span("start session"):
        if known := trace_id():
            yield known
        elif not wanted:
            yield ""
        else:
            flags = TraceFlags(TraceFlags.SAMPLED)
            made = SpanContext(
                secrets.randbits(128) or 1, secrets.randbits(64) or 1, is_remote=False, trace_flags=flags
            )
            with trace.use_span(NonRecordingSpan(made)):
                yield trace_id()


@contextmanager
def span(name: str, **attributes: str | int | float) -> Iterator[Span]:
    """A span around a piece of work; its attributes are ``overnight.<name>``, but for those with a common name."""
    given = {_STANDARD.get(key, f"overnight.{key}"): value for key, value in attributes.items()}
    with tracer().start_as_current_span(
        name, kind=SpanKind.INTERNAL, attributes=given, record_exception=False, set_status_on_exception=False
    ) as opened:
        yield opened


def describe(target: Span, values: Mapping[str, Any]) -> None:
    """Attributes that are known only at the end; what is None is left out."""
    target.set_attributes({key: value for key, value in values.items() if value is not None})
