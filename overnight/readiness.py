"""Whether a worker can run a session for whoever asks, by its own word."""

from __future__ import annotations

from overnight.base.credentials import HOW_TO_GET_ONE, Credential
from overnight.base.settings import EgressMode, permits
from overnight.errors import InvalidRequestError, NotReadyError
from workflows.contracts.reads import HostAnswer


def check(host: HostAnswer, credential: Credential | None, egress: EgressMode) -> None:
    """Return when it can, with the caller's own ``credential`` and that network.

    Raises ``NotReadyError`` with what to do; ``InvalidRequestError`` when only the network is too open for it.
    """
    if host.credential is None and credential is not None:
        raise NotReadyError(
            f"the running worker was started without a credential; you have one ({credential.kind} from"
            f" {credential.source}), so let it start again with it: overnight down && overnight up"
        )
    if host.credential is None:
        raise NotReadyError(f"the worker holds no credential. {HOW_TO_GET_ONE} Then: overnight down && overnight up")
    if credential is not None and credential.fingerprint != host.credential:
        raise NotReadyError(
            "the running worker holds another credential, or one for another address"
            f" ({host.credential.split(':')[0]} from {host.credential_source}) than yours"
            f" ({credential.kind} from {credential.source}); to use yours: overnight down && overnight up"
        )
    if not host.isolation_full and not host.unsandboxed_allowed:
        raise NotReadyError(
            f"the worker's host cannot isolate what the agent runs ({host.isolation_problem or host.isolation});"
            " `overnight doctor` says how to mend it. To accept the risk for that machine, start its worker with"
            " OVERNIGHT_ALLOW_UNSANDBOXED=1 (overnight down && OVERNIGHT_ALLOW_UNSANDBOXED=1 overnight up)"
        )
    if not permits(host.egress_at_most, egress):
        raise InvalidRequestError(_too_open(egress, host.egress_at_most))


def _too_open(egress: EgressMode, at_most: EgressMode) -> str:
    said = (
        f"egress: the worker allows no more network than '{at_most}', and the session wants '{egress}'; choose"
        f" '{at_most}', or start the worker with OVERNIGHT_EGRESS_AT_MOST={egress}"
        f" (overnight down && OVERNIGHT_EGRESS_AT_MOST={egress} overnight up)"
    )
    if egress != "host":
        return said
    return f"{said}: what its sessions run then reaches that machine's own ports, and through Temporal every session"
