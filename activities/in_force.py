"""What stands between untrusted code and this host, in words: what is in force, what it lacks, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field

from activities.sandbox import EgressRules, Isolation, Launcher
from overnight.base import sanity
from overnight.base.examination import Finding
from overnight.base.settings import EgressMode, Settings

_BUBBLEWRAP = (
    "install bubblewrap (`apt install bubblewrap`, or `pip install 'overnight[embedded]'`) and allow user and network"
    " namespaces (on Ubuntu: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)"
)
_OPT_IN = "or accept the risk on this machine with OVERNIGHT_ALLOW_UNSANDBOXED=1"
_KERNEL_LIMITS = (
    "for limits by the kernel, start Overnight in a systemd user session (`systemd-run --user --scope overnight up`)"
    " or as a service with Delegate=yes; without them everything works, and limits act half a second later"
)


@dataclass
class _Verdict:
    """The worst that was found, and what to do about all of it."""

    red: bool = False
    yellow: bool = False
    lines: list[str] = field(default_factory=list)
    fix: list[str] = field(default_factory=list)

    def add(self, line: str, fix: str, *, red: bool = False) -> None:
        self.red |= red
        self.yellow |= not red
        self.lines.append(line)
        self.fix.append(fix)


def in_force(isolation: Isolation, settings: Settings, *, usual: EgressMode | None) -> Finding:
    """What sessions of a worker with this isolation and these settings get.

    ``usual`` is the network of a session that names none; None where only the caller who starts it knows.
    """
    found = _Verdict()
    _isolated(found, isolation, settings)
    _allowed(found, settings, usual)
    _shown(found, settings)
    for line in sanity.tight(settings):
        found.add(line, "raise the limits that are named")
    if isolation.full:
        found.lines.append(_network(settings, usual))
    if settings.sandbox_readable:
        found.lines.append(f"readable besides the system's: {', '.join(map(str, settings.sandbox_readable))}")
    found.lines.append(_limits(isolation, settings))
    return Finding(
        name="isolation",
        state="red" if found.red else "yellow" if found.yellow else "green",
        detail=_headline(isolation, settings),
        lines=found.lines,
        fix="; ".join(dict.fromkeys(found.fix)),
    )


def _headline(isolation: Isolation, settings: Settings) -> str:
    if isolation.full:
        return isolation.name
    accepted = "accepted by OVERNIGHT_ALLOW_UNSANDBOXED" if settings.allow_unsandboxed else "sessions refuse to run"
    return f"{isolation.name}, NOT FULL ({accepted}): {isolation.problem}"


def _isolated(found: _Verdict, isolation: Isolation, settings: Settings) -> None:
    found.lines += [f"lacks: {what}" for what in isolation.lacks]
    if not isolation.full:
        found.red, found.yellow = not settings.allow_unsandboxed, True
        found.fix.append(_BUBBLEWRAP if settings.allow_unsandboxed else f"{_BUBBLEWRAP}; {_OPT_IN}")
    elif isolation.cgroups is None:
        found.yellow = True
        found.fix.append(_KERNEL_LIMITS)


def _allowed(found: _Verdict, settings: Settings, usual: EgressMode | None) -> None:
    if settings.egress_at_most == "host":
        found.add(
            "sessions may ask for this machine's own network: what they run then reaches its ports, Temporal's among"
            " them, and with it every session",
            "unset OVERNIGHT_EGRESS_AT_MOST unless you need that",
        )
    if usual is not None and not settings.allows_egress(usual):
        found.add(
            "sessions that name no network are refused: the usual one is more open than what is allowed",
            f"set OVERNIGHT_EGRESS={settings.egress_at_most}, too",
        )
    try:
        EgressRules("public", exceptions=tuple(settings.egress_exceptions))
    except ValueError as error:
        fix = "correct OVERNIGHT_EGRESS_EXCEPTIONS, or unset it"
        found.add(f"OVERNIGHT_EGRESS_EXCEPTIONS cannot be read: {error}", fix, red=True)


def _shown(found: _Verdict, settings: Settings) -> None:
    for line in [*sanity.exposing(settings), *sanity.missing(settings)]:
        found.add(line, f"correct {sanity.READABLE}, or unset it", red=True)


def _network(settings: Settings, usual: EgressMode | None) -> str:
    said = f"network: {settings.egress_at_most} at most"
    if usual is not None:
        said = f"network: {usual} unless a session names another, {settings.egress_at_most} at most"
    exceptions = settings.egress_exceptions
    return f"{said}; exceptions: {', '.join(exceptions)}" if exceptions else f"{said}; no exceptions"


def _limits(isolation: Isolation, settings: Settings) -> str:
    of = Launcher(settings, isolation).limits
    return (
        f"limits: {of.memory_bytes / 1e9:.3g} GB of memory, {of.processes} processes,"
        f" {of.output_bytes / 1e6:.4g} MB of output and {of.disk_bytes / 1e9:.3g} GB of new files; of one process:"
        f" {of.cpu_seconds / 60:.4g} minutes of CPU time, {of.open_files} open files, files of"
        f" {of.file_bytes / 1e9:.3g} GB"
    )
