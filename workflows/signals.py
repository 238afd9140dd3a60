"""Signals as they arrive: whatever was sent reaches the handler, as plain data or as what could not be read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from workflows.policy.inbox import Unreadable, shown

from workflows.gated import Gated

W = TypeVar("W", bound=Gated)


def any_payload(handler: Callable[[W, RawValue], None]) -> Callable[[W, Any], None]:
    """A signal handler that takes no argument, one, or several too many, readable or not.

    Temporal's SDK drops a signal whose payload does not fit the handler's type, and a surplus argument would fail the
    workflow task again and again. It hands over a lone payload as it came, because the signature, which ``wraps``
    shows it, says ``RawValue``.
    """

    @functools.wraps(handler)
    def taking_all(self: W, *payloads: Any) -> None:
        handler(self, payloads[0] if len(payloads) == 1 else several(payloads))
        self.show_details()

    return taking_all


def several(payloads: Sequence[Any]) -> Any:
    """No argument stands for one that says nothing; more than one is not guessed about."""
    if not payloads:
        return None
    sent = "; ".join(shown(plain(p)) for p in payloads)
    return Unreadable(f"{len(payloads)} arguments instead of one", sent)


def plain(payload: Any) -> Any:
    """A payload as plain data; as what it shows when it is none."""
    if not isinstance(payload, RawValue):
        return payload
    try:
        value = workflow.payload_converter().from_payload(payload.payload)
    except Exception:
        return Unreadable("not JSON", payload.payload.data.decode("utf-8", "replace"))
    return Unreadable("bytes", value.decode("utf-8", "replace")) if isinstance(value, bytes) else value
