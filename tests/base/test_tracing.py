"""Traces: where spans go, what leaves the process of them, and what is passed on where nobody exports."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from overnight.base import chosen
from overnight.base.settings import Settings
from overnight.base.spans import CleanExporter
from overnight.base.telemetry import configure_logging
from overnight.base.tracing import JustTraceparent, beginning, destination, joined, trace_id, traceparent
from tests.cli.support import ROOT, clean_environment

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("setting", "environ", "expected"),
    [
        (None, {}, "off"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp"),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, "off"),
        ("off", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "off"),
        ("OTLP", {}, "otlp"),
        ("console", {}, "console"),
        ("/var/log/spans.jsonl", {}, "/var/log/spans.jsonl"),
    ],
)
def test_nothing_is_traced_unless_somebody_says_where_to(
    setting: str | None, environ: dict[str, str], expected: str
) -> None:
    assert destination(Settings(traces=setting), environ) == expected


def test_a_wrong_destination_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERNIGHT_TRACES", "jaeger")
    with pytest.raises(ValidationError) as refused:
        Settings()
    (told,) = chosen.problems(refused.value)
    assert told.startswith("OVERNIGHT_TRACES: must be otlp, console, off, or a file written in full")


def exported(*, name: str = "work", attributes: dict[str, Any] | None = None, error: Exception | None = None) -> Any:
    """What an exporter is handed of a span."""
    target = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "test"}))
    provider.add_span_processor(SimpleSpanProcessor(CleanExporter(target)))
    try:
        with provider.get_tracer("test").start_as_current_span(name, attributes=attributes):
            if error is not None:
                raise error
    except ValueError:
        pass
    (span,) = target.get_finished_spans()
    assert isinstance(span, ReadableSpan)
    return json.loads(span.to_json())


def test_only_what_is_allowed_leaves() -> None:
    span = exported(
        name="tools/call claude_autonomous",
        attributes={
            "gen_ai.tool.name": "claude_autonomous",
            "mcp.method.name": "tools/call",
            "jsonrpc.request.id": "what a client chose",
            "goal": "Write a greeter",
            "overnight.cost_usd": 0.25,
            "overnight.note": "a text with blanks",
            "overnight.file": "/home/grace/secret",
            "overnight.many": ["a", "b"],
            "gen_ai.request.model": "us.anthropic/claude-opus-5-5",
        },
    )
    assert span["name"] == "tools/call claude_autonomous"
    assert span["attributes"] == {
        "gen_ai.tool.name": "claude_autonomous",
        "mcp.method.name": "tools/call",
        "overnight.cost_usd": 0.25,
        "gen_ai.request.model": "us.anthropic/claude-opus-5-5",
    }


@pytest.mark.parametrize(
    ("name", "method", "shown"),
    [
        ("RunActivity:execute", None, "RunActivity:execute"),
        ("claude_code execute", None, "claude_code execute"),
        ("tools/call /home/grace/secret", "tools/call", "tools/call"),
        ("tools/call ignore all rules", "tools/call", "tools/call"),
        ("HandleSignal:the goal, in full", None, "unnamed"),
        ("x" * 500, "x" * 500, "unnamed"),
    ],
)
def test_names_that_somebody_else_chose_are_not_told(name: str, method: str | None, shown: str) -> None:
    attributes = {"mcp.method.name": method} if method else {}
    assert exported(name=name, attributes=attributes)["name"] == shown


def test_of_an_error_its_type_is_left() -> None:
    span = exported(error=ValueError("no such file: /home/grace/secret"))
    assert span["attributes"] == {"error.type": "ValueError"}
    assert span["status"] == {"status_code": "ERROR"}
    assert span["events"] == []
    assert "grace" not in json.dumps(span)


@pytest.mark.parametrize(
    "named",
    ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{TRACE}-00f067aa0ba902b7-01", "x" * 10_000, None, 7],
)
def test_a_context_that_is_none_is_left_alone(named: Any) -> None:
    with joined({"traceparent": named}):
        assert trace_id() == ""
        assert traceparent() is None


def test_a_context_is_passed_on_without_what_others_added() -> None:
    with joined({"traceparent": PARENT, "tracestate": "vendor=opaque", "baggage": "customer=ada"}):
        assert trace_id() == TRACE
        carrier: dict[str, str] = {}
        JustTraceparent().inject(carrier)
        assert carrier == {"traceparent": PARENT}
        with beginning(wanted=True) as known:
            assert known == TRACE
    assert trace_id() == ""


def test_a_trace_is_made_for_a_worker_that_traces_alone() -> None:
    with beginning(wanted=False) as none:
        assert none == ""
    with beginning(wanted=True) as one, joined({}):
        assert one == trace_id()
        assert (traceparent() or "").endswith("-01")
    with beginning(wanted=True) as other:
        assert len(other) == 32
        assert other != one


def test_log_lines_name_their_trace() -> None:
    import structlog

    out = io.StringIO()
    configure_logging(Settings(log_format="json"), out)
    with joined({"traceparent": PARENT}):
        structlog.get_logger("test").info("inside")
    structlog.get_logger("test").info("outside")
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert inside["trace_id"] == TRACE
    assert "trace_id" not in outside


PROGRAM = """
import sys
from overnight.base.finish import finish
from overnight.base.settings import Settings
from overnight.base.tracing import configure_tracing, is_on, span
wrong = configure_tracing(Settings(), "test")
with span("work", count=3):
    pass
print(is_on(), wrong)
finish(0)
"""


def program(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**clean_environment(home), "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True)


def test_a_file_gets_a_line_for_each_span(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    for _ in range(2):
        assert program(tmp_path / "h", OVERNIGHT_TRACES=str(file)).stdout == "True \n"
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["name"], one["attributes"]) for one in lines] == [("work", {"overnight.count": 3})] * 2
    assert lines[0]["resource"]["attributes"]["service.name"] == "overnight-test"


def test_what_cannot_be_written_is_told_and_keeps_nobody_from_working(tmp_path: Path) -> None:
    said = program(tmp_path / "h", OVERNIGHT_TRACES=str(tmp_path / "none" / "spans.jsonl")).stdout
    assert said.startswith("False OVERNIGHT_TRACES: ")
    assert "No such file or directory" in said
    grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert "http/protobuf is, on port 4318" in program(tmp_path / "h", **grpc).stdout


def test_the_console_is_standard_error(tmp_path: Path) -> None:
    done = program(tmp_path / "h", OVERNIGHT_TRACES="console")
    assert done.stdout == "True \n"
    assert json.loads(done.stderr.splitlines()[-1])["name"] == "work"


def test_a_collector_gets_what_is_left_at_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        env = {**clean_environment(tmp_path / "h"), "PYTHONPATH": str(ROOT), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            received = b""
            while b"overnight-test" not in received:
                received += connection.recv(65_536)
            assert received.startswith(b"POST /v1/traces ")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert process.wait(20) == 0


def test_a_silent_collector_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        program(tmp_path / "h")
        usual = time.monotonic() - began
        began = time.monotonic()
        assert program(tmp_path / "h", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).stdout == "True \n"
        assert time.monotonic() - began < usual + 8, "the exporter's own time limit is 10 s"
