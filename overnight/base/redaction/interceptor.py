"""No secret enters Temporal's history, which cannot be edited: results, failures and heartbeats of activities."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.exceptions import ApplicationError, CancelledError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from .redactor import Redactor
from .walk import redacted

_MAX_CAUSES = 20


class RedactResults(Interceptor):
    """Redacts what activities of this worker return, raise and report while they run."""

    def __init__(self, redactor: Redactor) -> None:
        """Redact with this one."""
        self._redactor = redactor

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Inbound(next, self._redactor)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, redactor: Redactor) -> None:
        super().__init__(following)
        self._redactor = redactor

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self._redactor))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            result = await self.next.execute_activity(input)
        except (asyncio.CancelledError, CancelledError):
            raise
        except Exception as error:
            safe = redacted_error(error, self._redactor)
            if safe is error:
                raise
            raise safe.with_traceback(error.__traceback__) from safe.__cause__
        return redacted(result, self._redactor)


class _Outbound(ActivityOutboundInterceptor):
    def __init__(self, following: ActivityOutboundInterceptor, redactor: Redactor) -> None:
        super().__init__(following)
        self._redactor = redactor

    def heartbeat(self, *details: Any) -> None:
        self.next.heartbeat(*(redacted(detail, self._redactor) for detail in details))


def redacted_error(error: BaseException, redactor: Redactor, depth: int = 0) -> BaseException:
    """The failure that an exception becomes, without secrets in its messages, details and causes.

    The same exception when it holds none. Type, retry flags and category are kept.
    """
    # What Temporal's converter records as the cause: the context only of its own exceptions.
    cause = error.__cause__
    if cause is None and isinstance(error, FailureError) and not error.__suppress_context__:
        cause = error.__context__
    safe_cause = None
    if cause is not None and depth < _MAX_CAUSES:
        safe_cause = redacted_error(cause, redactor, depth + 1)
    message = error.message if isinstance(error, FailureError) else str(error)
    safe_message = redactor.text(message)
    details = tuple(error.details) if isinstance(error, ApplicationError) else ()
    safe_details = tuple(redacted(detail, redactor) for detail in details)
    kept = all(new is old for new, old in zip(safe_details, details, strict=True))
    if safe_message == message and kept and safe_cause is cause:
        return error
    if isinstance(error, ApplicationError):
        safe = ApplicationError(
            safe_message,
            *safe_details,
            type=error.type,
            non_retryable=error.non_retryable,
            next_retry_delay=error.next_retry_delay,
            category=error.category,
        )
    else:
        safe = ApplicationError(safe_message, *safe_details, type=type(error).__name__)
    safe.__cause__ = safe_cause
    return safe.with_traceback(error.__traceback__)
