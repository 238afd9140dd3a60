"""What can go wrong for a client, in words for the person or the model that must act."""

from __future__ import annotations


class SessionError(Exception):
    """Base: the message says what is wrong, where, and what to do next."""


class InvalidRequestError(SessionError):
    """The request cannot be carried out as it is. Nothing was changed."""


class UnknownSessionError(SessionError):
    """No session has this id."""


class SessionClosedError(SessionError):
    """The session is over and takes no more messages."""


class SignalsExhaustedError(SessionError):
    """Temporal lets one run of a workflow take only so many signals, and this one has had them."""


class UnreachableError(SessionError):
    """Temporal, or a worker, does not answer."""


class WorkerAwayError(UnreachableError):
    """Temporal answers, but no worker does."""


class NotReadyError(SessionError):
    """The installation cannot do that now: no credential, no isolation, another credential than the caller's; the store
    of what sessions learned is away."""


class LoadingError(NotReadyError):
    """What is asked for is being loaded: the same call is answered in a few seconds."""
