"""How long a workflow may think at once before its worker takes it for hung."""

from __future__ import annotations

from temporalio.worker import Worker

THINKING_SECONDS = 60
"""The server gives a workflow task to somebody else after 10 s; a workflow that is truly stuck holds a thread."""


def patient(worker: Worker) -> Worker:
    """``worker``, whose workflows may think for ``THINKING_SECONDS`` at once instead of the SDK's 2 s.

    What people send while nobody listens comes all at once, at most 10,000 messages: a second's work, but several on a
    busy machine. Taken for hung in the midst of it, a session would begin at the same place again, for ever. The SDK
    has no setting for it but its debug mode, which runs workflows where everything else waits for them.
    """
    deciding = worker._workflow_worker
    if deciding is not None:
        deciding._deadlock_timeout_seconds = THINKING_SECONDS
    return worker
