"""A session's trace in a worker: spans of its workflows and activities, for whatever began with a trace.

Only headers of commands are touched, which replay does not compare: workers with and without it serve one session.
"""

from __future__ import annotations

from typing import Any

from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from overnight.base.traced_client import traced


class TracedWorker(Interceptor):
    """The SDK's own interceptor, but for activities that belong to no trace: each would begin one."""

    def __init__(self) -> None:
        self._traced = traced()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Comes before ``next``."""
        return _Activity(self._traced.intercept_activity(next), next, self._traced.header_key)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor] | None:
        """The SDK's, which knows when it replays."""
        return self._traced.workflow_interceptor_class(input)


class _Activity(ActivityInboundInterceptor):
    def __init__(self, traced: ActivityInboundInterceptor, plain: ActivityInboundInterceptor, key: str) -> None:
        super().__init__(traced)
        self._plain = plain
        self._key = key

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        return await (self.next if self._key in input.headers else self._plain).execute_activity(input)
