"""``doctor``: what this installation has, what it lacks, and how to mend it."""

from __future__ import annotations

import asyncio
import json as jsons
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from overnight.base.examination import Examination, Finding
from overnight.base.patience import WORDLESS_SECONDS
from overnight.base.settings import Settings, app_dir
from overnight.cli import inspection, output
from overnight.cli.codes import Code
from overnight.cli.in_use import as_it_runs, settings_finding
from overnight.cli.session import run
from overnight.cli.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHECK_SECONDS = 90
_MARKS = {"green": "✔", "yellow": "!", "red": "✘"}


def doctor(*, offline: bool, json: bool) -> int:
    """``overnight doctor``: exit code 6 when something keeps sessions from running."""
    settings = load()
    findings = run_checks(settings, offline=offline, on_wait=None if json else output.note)
    examination = Examination(findings=findings)
    if json:
        output.as_json({"ok": examination.ok, **examination.model_dump(mode="json")})
    else:
        _show(findings)
    return Code.OK if examination.ok else Code.NOT_READY


def run_checks(settings: Settings, *, offline: bool, on_wait: Callable[[str], None] | None) -> list[Finding]:
    """All findings; the worker's program examines what only it may touch, meanwhile this side looks at the rest.

    ``on_wait`` is told when that takes more than a moment.
    """
    found: list[Finding] = []

    async def all_of_it() -> int:
        if on_wait is not None:
            asyncio.get_running_loop().call_later(WORDLESS_SECONDS, on_wait, "looking at all that sessions need ...")
        host = asyncio.create_task(asyncio.to_thread(examine_host, offline=offline))
        found.extend([inspection.python(), inspection.git(), inspection.home(settings)])
        engine = await inspection.engine(settings)
        found.extend(engine.findings)
        found.extend(as_it_runs(await host, engine))
        found.append(settings_finding(settings, os.environ, engine))
        return Code.OK

    run(all_of_it())
    return found


def examine_host(*, offline: bool) -> list[Finding]:
    """What the worker's program says of this host."""
    command = [sys.executable, str(app_dir() / "worker.py"), "--check", "--json"]
    fix = f"run it by hand: {' '.join(command)}"
    try:
        done = subprocess.run(
            [*command, *([] if offline else ["--reach-model"])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
        return Examination.model_validate(jsons.loads(done.stdout)).findings
    except subprocess.TimeoutExpired:
        detail = f"it did not answer within {_CHECK_SECONDS} s"
    except (OSError, ValueError, ValidationError) as error:
        detail = f"it could not be asked: {type(error).__name__}"
        if not isinstance(error, OSError) and (said := done.stderr.strip().splitlines()):
            detail = f"it could not be asked: {said[-1][:300]}"
    return [Finding(name="worker program", state="red", detail=detail, fix=fix)]


def _show(findings: Sequence[Finding]) -> None:
    from rich.text import Text

    console = output.console()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        line = Text.assemble(
            (f"{_MARKS[finding.state]} {finding.state:<6}  ", finding.state),
            (f"{finding.name:<{width}}  ", "bold"),
            finding.detail,
        )
        console.print(line, soft_wrap=True)
        for more in finding.lines:
            console.print(Text(f"{'':<{12 + width}}{more}"), soft_wrap=True)
        if finding.fix and finding.state != "green":
            console.print(Text(f"{'':<{12 + width}}fix: {finding.fix}"), soft_wrap=True)
    red = sum(finding.state == "red" for finding in findings)
    console.print("\nready to run sessions" if not red else f"\n{red} to mend before sessions can run")
