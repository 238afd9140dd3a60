"""The ``OVERNIGHT_*`` variables of a process: what is wrong with them, and which do nothing."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from overnight.base.settings import Settings
from overnight.base.wording import reworded

PREFIX = "OVERNIGHT_"
RENEW = "overnight down && overnight up"
_OF_TESTS = f"{PREFIX}TEST_"
"""Variables of our own tests begin so."""
_DEFAULT = "its default"
_LONGEST = 180
"""Bytes of a value that are told; of a longer one, its beginning and a hash of the whole."""

OF_THE_WORKER = (
    "claude_path",
    "allow_unsandboxed",
    "sandbox_readable",
    "egress_at_most",
    "egress_exceptions",
    "egress_trust_proxy",
    "secrets_allowed",
    "box_memory_gb",
    "box_processes",
    "box_cpu_minutes",
    "box_open_files",
    "box_file_gb",
    "box_output_mb",
    "box_disk_gb",
    "vault_url",
    "artifacts_url",
    "knowledge_url",
    "knowledge_max_entries",
    "knowledge_max_days",
    "knowledge_model_path",
    "knowledge_allow_download",
    "turn_slots",
    "snapshot_seconds",
    "grace_seconds",
    "build_id",
    "deployment",
)
"""Settings that a worker reads when it starts, and that do nothing to one that runs."""


def variable(name: str) -> str:
    """The environment's name of a setting."""
    return f"{PREFIX}{name.upper()}"


def unknown(environ: Iterable[str]) -> list[str]:
    """For each variable that looks like a setting and is none, a sentence that says so; values are not told."""
    known = [name.upper() for name in Settings.model_fields]
    said = []
    for name in sorted(environ):
        spelled = name.upper()
        own = spelled.removeprefix(PREFIX)
        if own == spelled or own in known or spelled.startswith(_OF_TESTS):
            continue
        near = difflib.get_close_matches(own, known, 1)
        meant = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        said.append(f"{name[:80]} is no setting of Overnight and does nothing{meant}")
    return said


def problems(error: ValidationError) -> list[str]:
    """What is wrong with settings, one sentence for each: the variable, why, what was given, and an example."""
    return [_problem(one) for one in error.errors(include_url=False)]


def _problem(found: ErrorDetails) -> str:
    where = found["loc"]
    if not where:
        return reworded(found["msg"])
    name = str(where[0])
    shown = variable(name)
    words = reworded(f"{found['msg'][0].lower()}{found['msg'][1:]}")
    example = _example(name)
    such = f"; write for example {shown}={example}" if example else ""
    return f"{shown}: {words} (given: {_bare(str(found.get('input')))[:80]!r}){such}"


def _bare(text: str) -> str:
    """Without the password that a URL may hold."""
    return re.sub(r"(?<=://)[^/@]*@", "", text)


def _example(name: str) -> str:
    field = Settings.model_fields.get(name)
    if field is None:
        return ""
    if field.examples:
        text = str(field.examples[0])
        return f"'{text}'" if text.startswith("{") else text
    plain = isinstance(field.default, int | float) and not isinstance(field.default, bool)
    return f"{field.default:g}" if plain else ""


def told(settings: Settings) -> dict[str, str]:
    """What a worker with these settings says of them: name to value, each at most 200 bytes; empty for none."""
    return {name: _text(getattr(settings, name)) for name in OF_THE_WORKER}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:g}"
    text = _bare(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    if len(raw := text.encode()) <= _LONGEST:
        return text
    return f"{raw[: _LONGEST - 12].decode(errors='ignore')}… #{hashlib.sha256(raw).hexdigest()[:8]}"


@dataclass(frozen=True)
class Difference:
    """A setting that a running worker has otherwise than this process."""

    name: str
    here: str
    there: str
    chosen: bool
    """Whether somebody set it here, and not only the worker's starter there."""

    def __str__(self) -> str:
        return f"{self.name}: the running worker has {self.there or _DEFAULT}, this shell {self.here or _DEFAULT}"


def differences(here: Settings, running: Mapping[str, str]) -> list[Difference]:
    """What a running worker has otherwise; nothing for an older one, which tells nothing."""
    return [
        Difference(variable(name), mine, running[name], name in here.model_fields_set)
        for name, mine in told(here).items()
        if name in running and running[name] != mine
    ]


def without_effect(here: Settings, running: Mapping[str, str]) -> list[str]:
    """Sentences for what was chosen here and does nothing, since the worker was started with something else."""
    return [
        f"{one.name}={one.here} does nothing here: the running worker was started with"
        f" {one.there or _DEFAULT}; to apply yours: {RENEW}"
        for one in differences(here, running)
        if one.chosen
    ]
