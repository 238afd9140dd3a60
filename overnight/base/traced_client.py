"""A client's trace, on its way to Temporal: in front of what begins or moves a session, where there is a trace."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from temporalio.client import (
    ActivityHandle,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartActivityInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)

from overnight.base.tracing import JustTraceparent, is_on, traceparent, tracer

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import TracingInterceptor


def traced() -> TracingInterceptor:
    """The SDK's own interceptor, which carries two ids and nothing else. Imported late: most commands need none."""
    from temporalio.contrib.opentelemetry import TracingInterceptor

    made = TracingInterceptor(tracer())
    made.text_map_propagator = JustTraceparent()
    return made


class TracedClient(Interceptor):
    """Starts, signals and updates carry the caller's trace; so do reads, where there is one. Queries are too many."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
        """Comes before ``next``."""
        return _Outbound(next)


class _Outbound(OutboundInterceptor):
    @cached_property
    def _traced(self) -> OutboundInterceptor:
        return traced().intercept_client(self.next)

    @property
    def _way(self) -> OutboundInterceptor:
        return self._traced if is_on() or traceparent() else self.next

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        return await self._way.start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        await self._way.signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002
        return await self._way.start_workflow_update(input)

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:  # noqa: A002
        return await (self._traced if traceparent() else self.next).start_activity(input)
