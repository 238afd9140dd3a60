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


class UnreachableError(SessionError):
    """Temporal, or a worker, does not answer."""


class NotReadyError(SessionError):
    """The installation cannot run sessions: no credential, no isolation, another credential than the caller's."""
