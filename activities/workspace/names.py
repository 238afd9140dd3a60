"""Names in a vault: which ref belongs to which session, and what counts as a commit id, a path or a URL."""

import re

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"(?:https?|ssh|git|file)://[^\s]+", re.IGNORECASE)
_SCP = re.compile(r"(?:[A-Za-z0-9][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!:|//)[^\s]+")
_OTHER_TRANSPORT = re.compile(r"[A-Za-z0-9+.-]+:(?::|//).*", re.DOTALL)

MAX_SESSION_ID = 100
"""Longest session id in characters."""


def check_session_id(session_id: str) -> str:
    """Return the id when it can be part of a ref and of a path, else raise ValueError."""
    fits = len(session_id) <= MAX_SESSION_ID and _SESSION_ID.fullmatch(session_id)
    if not fits or session_id.endswith(".lock"):
        message = f"{session_id!r} cannot be a session id: letters, digits, '-', '_' and single dots, at most 100"
        raise ValueError(message)
    return session_id


def check_commit(commit: str) -> str:
    """Return a full commit id, else raise ValueError: abbreviations and names are resolved before they get here."""
    if not _COMMIT.fullmatch(commit):
        message = f"{commit!r} is not a full commit id"
        raise ValueError(message)
    return commit


def branch_name(session_id: str) -> str:
    """Return the short name of the session's branch."""
    return f"overnight/{check_session_id(session_id)}"


def branch_ref(session_id: str) -> str:
    """Return the full name of the session's branch."""
    return f"refs/heads/{branch_name(session_id)}"


def base_ref(session_id: str) -> str:
    """Return the hidden ref that keeps the commit from which the session started."""
    return f"refs/overnight/{check_session_id(session_id)}/base"


def snapshot_ref(session_id: str) -> str:
    """Return the hidden ref of the work in progress, whose tip says who may publish."""
    return f"refs/overnight/{check_session_id(session_id)}/work"


def is_url(place: str) -> bool:
    """Whether this names a git URL that Overnight talks to: http, https, ssh, git, file, or `host:path`."""
    if _URL.fullmatch(place):
        return True
    return "::" not in place and not place.startswith(("/", ".")) and _SCP.fullmatch(place) is not None


def is_other_transport(place: str) -> bool:
    """Whether this names a transport that Overnight refuses, such as `ext::`, which starts programs."""
    return not is_url(place) and _OTHER_TRANSPORT.fullmatch(place) is not None


def is_commit(text: str) -> bool:
    """Whether this is a full commit id."""
    return _COMMIT.fullmatch(text) is not None
