"""Logs: structlog through the standard library, so that replay's filter and every library's logs apply."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from temporalio import activity, workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from overnight.base.redaction import Redactor, known_secrets
from overnight.base.settings import Settings
from overnight.base.tracing import describe, trace_id

_NOISY = ("httpx2", "httpcore2", "uvicorn", "asyncio", "claude_agent_sdk", "mcp")


def configure_logging(settings: Settings, stream: TextIO | None = None, redactor: Redactor | None = None) -> None:
    """Log to ``stream`` (stderr when absent), as JSON lines unless a terminal reads along.

    No line shows a secret, whoever logs it; without a ``redactor`` those of the environment are known.
    """
    out = stream or sys.stderr
    safe = redactor or Redactor.of(known_secrets(os.environ))
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(out, safe)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
                # Last, on the whole line: fields, exceptions and the messages of libraries alike.
                _Redact(safe),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Context belongs into fields, not into the message.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False


def _with_trace(_logger: Any, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A line that belongs to a trace names it."""
    if (found := trace_id()) and "trace_id" not in line:
        line["trace_id"] = found
    return line


class _Redact:
    """A processor after the renderer: takes secrets out of the line."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: Any, _name: str, line: Any) -> Any:
        return self._redactor.text(line) if isinstance(line, str) else line


class _Handler(logging.StreamHandler[TextIO]):
    """Tells in a redacted line of a wrong log call, where the standard library prints its arguments as they are."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        super().__init__(stream)
        self._redactor = redactor

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        problem = f"a log call failed in {record.name}, line {record.lineno}: {sys.exception()!r}\n"
        with suppress(OSError, ValueError):
            self.stream.write(self._redactor.text(problem))
            self.stream.flush()


class BindContext(Interceptor):
    """Every log line of an activity names its session, activity and attempt."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _BindActivity(next)


class _BindActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        site = getattr(input.args[0], "site", None) if input.args else None
        bound = {
            "session": info.workflow_id,
            "activity": info.activity_type,
            "attempt": info.attempt,
            "iteration": getattr(site, "iteration", None),
        }
        told = {"overnight.attempt": info.attempt, "overnight.iteration": bound["iteration"]}
        describe(trace.get_current_span(), told)
        with structlog.contextvars.bound_contextvars(**{k: v for k, v in bound.items() if v is not None}):
            return await self.next.execute_activity(input)
