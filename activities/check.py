"""Examine this host: can it run what sessions need? For ``overnight doctor``, through ``worker.py --check``."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from activities.claude import claude_binary
from activities.sandbox import Isolation, find_isolation
from overnight.base.credentials import HOW_TO_GET_ONE, Credential, find_credential
from overnight.base.examination import Examination, Finding
from overnight.base.settings import Settings

_VERSION_SECONDS = 30
_REACH_SECONDS = 10.0
_DISK_RED_BYTES = 1_000_000_000
_DISK_YELLOW_BYTES = 5_000_000_000


async def examine(settings: Settings, *, reach_model: bool) -> Examination:
    """Claude Code, credential and model, isolation, disk. ``reach_model`` asks the service, which costs nothing."""
    credential = find_credential()
    findings = [
        await _claude_code(settings),
        _credential(credential),
        _isolation(await asyncio.to_thread(find_isolation), settings),
        _disk(settings.home),
    ]
    if reach_model and credential is not None:
        findings.insert(2, await _model(credential))
    return Examination(findings=findings)


async def _claude_code(settings: Settings) -> Finding:
    binary = claude_binary(settings)
    fix = "unset OVERNIGHT_CLAUDE_PATH, or reinstall with `pip install --force-reinstall claude-agent-sdk`"
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), _VERSION_SECONDS)
    except (OSError, TimeoutError) as error:
        return Finding(name="Claude Code", state="red", detail=f"{binary} does not run: {error}", fix=fix)
    said = out.decode("utf-8", "replace").strip()[:100]
    if process.returncode != 0 or "Claude Code" not in said:
        detail = f"{binary} is not Claude Code: exit code {process.returncode}, it said {said!r}"
        return Finding(name="Claude Code", state="red", detail=detail, fix=fix)
    return Finding(name="Claude Code", state="green", detail=f"{said} at {binary}")


def _credential(credential: Credential | None) -> Finding:
    if credential is None:
        return Finding(name="credential", state="red", detail="none found", fix=HOW_TO_GET_ONE)
    detail = f"{credential.kind} from {credential.source}"
    if credential.expires_at is None:
        return Finding(name="credential", state="green", detail=detail)
    over = credential.expires_at <= datetime.now(UTC)
    return Finding(
        name="credential",
        state="red" if over else "yellow",
        detail=f"{detail}, {'ended' if over else 'ends'} at {credential.expires_at:%Y-%m-%d %H:%M} UTC",
        fix=f"{'start `claude` once, which renews it; ' if over else ''}for a whole night, `claude setup-token` makes"
        " a token that lasts: set it as CLAUDE_CODE_OAUTH_TOKEN",
    )


async def _model(credential: Credential) -> Finding:
    """Whether the service answers and takes the credential; a list of models costs nothing."""
    secret = credential.secret.get_secret_value()
    headers = {"anthropic-version": "2023-06-01"}
    headers |= {"x-api-key": secret} if credential.kind == "api_key" else {"authorization": f"Bearer {secret}"}
    if credential.is_oauth:
        headers["anthropic-beta"] = "oauth-2025-04-20"
    url = f"{credential.upstream}/v1/models"
    try:
        async with httpx2.AsyncClient(timeout=_REACH_SECONDS) as client:
            answer = await client.get(url, headers=headers)
    except httpx2.HTTPError as error:
        fix = "check the network, a proxy, or ANTHROPIC_BASE_URL"
        return Finding(name="model", state="red", detail=f"{credential.upstream} does not answer: {error}", fix=fix)
    if answer.status_code in {401, 403}:
        detail = f"{credential.upstream} refuses the credential (HTTP {answer.status_code})"
        return Finding(name="model", state="red", detail=detail, fix=f"renew what {credential.source} holds")
    if answer.status_code >= 500:
        return Finding(
            name="model",
            state="yellow",
            detail=f"{credential.upstream} answers HTTP {answer.status_code}",
            fix="sessions wait and go on by themselves when it is back",
        )
    return Finding(name="model", state="green", detail=f"{credential.upstream} answers")


def _isolation(isolation: Isolation, settings: Settings) -> Finding:
    if isolation.bwrap is not None:
        return Finding(name="isolation", state="green", detail=f"bubblewrap; not given: {'; '.join(isolation.lacks)}")
    fix = (
        "install bubblewrap (`apt install bubblewrap`, or `pip install 'overnight[embedded]'`) and allow user"
        " namespaces (on Ubuntu: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`); or accept the risk on"
        " this machine with OVERNIGHT_ALLOW_UNSANDBOXED=1"
    )
    state = "yellow" if settings.allow_unsandboxed else "red"
    return Finding(name="isolation", state=state, detail=f"none: {isolation.problem}", fix=fix)


def _disk(home: Path) -> Finding:
    place = next(p for p in (home, *home.parents) if p.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free at {place}"
    fix = "make room, or move the home with OVERNIGHT_HOME"
    if free < _DISK_RED_BYTES:
        return Finding(name="disk", state="red", detail=detail, fix=fix)
    return Finding(
        name="disk",
        state="yellow" if free < _DISK_YELLOW_BYTES else "green",
        detail=detail,
        fix=fix if free < _DISK_YELLOW_BYTES else "",
    )
