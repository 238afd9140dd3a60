"""``doctor`` on settings: those of this shell beside those of the worker that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from overnight.base import sanity
from overnight.base.chosen import RENEW, differences, unknown, variable
from overnight.base.examination import Finding
from overnight.base.settings import Settings, permits

if TYPE_CHECKING:
    from overnight.cli.inspection import Engine
    from workflows.contracts.reads import InForce


def as_it_runs(examined: Sequence[Finding], engine: Engine) -> list[Finding]:
    """The findings on this host, with the isolation that the running worker gives instead of what a new one would."""
    given = _given(engine)
    if given is None:
        return list(examined)
    running = Finding(name="isolation", **given.model_dump())
    running.detail = f"{running.detail} (of the running worker)"
    return [running if finding.name == "isolation" else finding for finding in examined]


def settings_finding(settings: Settings, environ: Mapping[str, str], engine: Engine) -> Finding:
    """What this shell sets, and what of it the running worker does not have."""
    # Where the isolation shown is that of this shell's settings, it has told of these.
    wrong = [*sanity.exposing(settings), *sanity.missing(settings)] if _given(engine) is not None else []
    odd = unknown(environ)
    other = _otherwise(settings, engine)
    refused = _refused(settings, engine)
    fixes = [
        *([f"correct {sanity.READABLE}, or unset it"] if wrong else []),
        *(["correct or unset the names that nobody knows"] if odd else []),
        *([_how_to_apply(engine)] if other else []),
        *([f"set OVERNIGHT_EGRESS={engine.host.egress_at_most}, too"] if refused and engine.host else []),
    ]
    return Finding(
        name="settings",
        state="red" if wrong else "yellow" if fixes else "green",
        detail=_headline(settings, engine, differs=bool(other)),
        lines=[*wrong, *odd, *other, *refused],
        fix="; ".join(fixes),
    )


def _given(engine: Engine) -> InForce | None:
    return engine.host.in_force if engine.host is not None and engine.embedded else None


def _headline(settings: Settings, engine: Engine, *, differs: bool) -> str:
    names = sorted(variable(name) for name in settings.model_fields_set)
    here = f"this shell sets {', '.join(names)}" if names else "this shell sets none"
    if differs:
        return f"the running worker has others than this shell, and goes by its own; {here}"
    if engine.host is None or not engine.host.settings:
        return here
    if engine.embedded:
        return f"{here}; the running worker has the same"
    # One elsewhere has its own reasons for what is not set here, and a home of its own.
    compared = [variable(name) for name in sorted(settings.model_fields_set) if name in engine.host.settings]
    if compared:
        return f"{here}; the running worker has the same {', '.join(compared)} (nothing else was compared)"
    return f"{here}; none of it is the running worker's to have, so nothing was compared"


def _otherwise(settings: Settings, engine: Engine) -> list[str]:
    """An embedded worker takes all from the shell that starts it; one elsewhere has its own reasons for most."""
    if engine.host is None:
        return []
    return [str(one) for one in differences(settings, engine.host.settings) if engine.embedded or one.chosen]


def _how_to_apply(engine: Engine) -> str:
    if engine.embedded:
        return f"to have those of this shell, start it again from here: {RENEW}"
    return "to have those of this shell, set them where the worker is started, and start it again"


def _refused(settings: Settings, engine: Engine) -> list[str]:
    if engine.host is None or permits(engine.host.egress_at_most, settings.egress):
        return []
    usual, most = settings.egress, engine.host.egress_at_most
    said = f"sessions that name no network are refused: they would get OVERNIGHT_EGRESS={usual}"
    return [f"{said}, and the running worker allows {most} at most"]
