"""``doctor`` on settings: this shell's, beside those that the running worker was started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overnight.base import chosen
from overnight.base.examination import Finding
from overnight.base.settings import Settings
from overnight.cli.in_use import as_it_runs, settings_finding
from overnight.cli.inspection import Engine
from tests.cli.test_readiness import worker

EXAMINED = [
    Finding(name="isolation", state="green", detail="of this shell"),
    Finding(name="disk", state="green", detail=""),
]
RUNNING = {"state": "yellow", "detail": "bubblewrap", "lines": ["network: none at most"], "fix": "mend it"}


def settings(**given: Any) -> Settings:
    return Settings(**{"home": Path("/srv/overnight"), **given})


def engine(known: Settings | None = None, *, embedded: bool = True, **host: Any) -> Engine:
    """An engine with a worker that was started with ``known``; without, nothing runs."""
    if known is None:
        return Engine([])
    told = worker(settings=chosen.told(known), in_force=RUNNING, egress_at_most=known.egress_at_most, **host)
    return Engine([], told, embedded=embedded)


def test_the_isolation_shown_is_that_of_the_running_worker() -> None:
    isolation, disk = as_it_runs(EXAMINED, engine(settings()))
    assert (isolation.state, isolation.detail, isolation.fix) == (
        "yellow",
        "bubblewrap (of the running worker)",
        "mend it",
    )
    assert isolation.lines == ["network: none at most"]
    assert disk == EXAMINED[1]
    assert as_it_runs(EXAMINED, engine()) == EXAMINED
    assert as_it_runs(EXAMINED, engine(settings(), embedded=False)) == EXAMINED, "that one is about this host"
    assert as_it_runs(EXAMINED, Engine([], worker(), embedded=True)) == EXAMINED, "an older worker tells nothing"


def test_what_differs_is_named_with_how_to_apply_it() -> None:
    found = settings_finding(settings(egress_at_most="host"), {}, engine(settings(box_memory_gb=3)))
    assert found.state == "yellow"
    assert found.detail.startswith(
        "the running worker has others than this shell, and goes by its own; this shell sets"
    )
    assert found.lines == [
        "OVERNIGHT_EGRESS_AT_MOST: the running worker has public, this shell host",
        "OVERNIGHT_BOX_MEMORY_GB: the running worker has 3, this shell its default",
    ]
    assert found.fix.endswith("overnight down && overnight up")


def test_a_worker_elsewhere_differs_only_in_what_was_chosen_here() -> None:
    found = settings_finding(settings(egress_at_most="host"), {}, engine(settings(box_memory_gb=3), embedded=False))
    assert found.lines == ["OVERNIGHT_EGRESS_AT_MOST: the running worker has public, this shell host"]
    assert "where the worker is started" in found.fix


def test_what_was_compared_with_a_worker_elsewhere_is_named() -> None:
    same = settings(box_memory_gb=3)
    told = settings_finding(same, {}, engine(same, embedded=False)).detail
    assert told.endswith("the running worker has the same OVERNIGHT_BOX_MEMORY_GB (nothing else was compared)")
    told = settings_finding(settings(), {}, engine(settings(), embedded=False)).detail
    assert told.startswith("this shell sets OVERNIGHT_HOME")
    assert told.endswith("nothing was compared")


def test_the_same_settings_are_green() -> None:
    same = settings(box_memory_gb=3)
    found = settings_finding(same, {"OVERNIGHT_HOME": "/srv/overnight"}, engine(same))
    assert (found.state, found.lines, found.fix) == ("green", [], "")
    assert found.detail.endswith("OVERNIGHT_BOX_MEMORY_GB, OVERNIGHT_HOME; the running worker has the same")
    assert settings_finding(settings(), {}, engine()).state == "green"


def test_a_variable_that_is_no_setting_is_yellow() -> None:
    found = settings_finding(settings(), {"OVERNIGHT_EGRES": "x"}, engine())
    assert found.state == "yellow"
    assert found.lines[0].endswith("did you mean OVERNIGHT_EGRESS?")


def test_a_usual_network_that_the_running_worker_refuses_is_yellow() -> None:
    found = settings_finding(settings(egress="public"), {}, engine(settings(egress_at_most="none")))
    assert "sessions that name no network are refused" in found.lines[-1]
    assert found.fix.endswith("set OVERNIGHT_EGRESS=none, too")


def test_a_folder_that_the_next_worker_would_refuse_is_red(tmp_path: Path) -> None:
    """Told here where the isolation shown is the running worker's, which has it not; else once, with the isolation."""
    known = settings(sandbox_readable=[tmp_path / "gone"])
    found = settings_finding(known, {}, engine(settings()))
    assert found.state == "red"
    assert "is no folder" in found.lines[0]
    assert settings_finding(known, {}, engine()).state == "green"
