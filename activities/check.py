"""Examine this host: can it run what sessions need? For ``overnight doctor``, through ``worker.py --check``."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from activities.artifacts import ArtifactError, Artifacts
from activities.claude import claude_binary
from activities.claude.upstream import NoWayError, open_client
from activities.in_force import in_force
from activities.knowledge import Knowledge
from activities.sandbox import find_isolation
from activities.starting import end_group, started
from overnight.base.credentials import HOW_TO_GET_ONE, Credential, find_credential, why_none
from overnight.base.examination import Examination, Finding
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings

_VERSION_SECONDS = 30.0
_REACH_SECONDS = 10.0
_DISK_RED_BYTES = 1_000_000_000
_DISK_YELLOW_BYTES = 5_000_000_000


async def examine(settings: Settings, *, reach_model: bool) -> Examination:
    """Claude Code, credential, model, isolation, stores, disk. ``reach_model`` asks the service, at no cost."""
    credential = find_credential()
    findings = [
        await _claude_code(settings),
        _credential(credential),
        in_force(await asyncio.to_thread(find_isolation), settings, usual=settings.egress),
        await asyncio.to_thread(_artifacts, settings),
        await asyncio.to_thread(_knowledge, settings),
        _disk(settings.home),
    ]
    if reach_model and credential is not None:
        findings.insert(2, await _model(credential))
    return Examination(findings=findings)


async def _claude_code(settings: Settings) -> Finding:
    binary = claude_binary(settings)
    fix = "unset OVERNIGHT_CLAUDE_PATH, or reinstall with `pip install --force-reinstall claude-agent-sdk`"
    try:
        process = await started(binary, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        try:
            out, _ = await asyncio.wait_for(process.communicate(), _VERSION_SECONDS)
        except BaseException:
            end_group(process)
            raise
    except TimeoutError:
        silent = f"{binary} does not tell its version within {_VERSION_SECONDS:g} s"
        return Finding(name="Claude Code", state="red", detail=silent, fix=fix)
    except OSError as error:
        return Finding(name="Claude Code", state="red", detail=f"{binary} does not run: {error}", fix=fix)
    said = out.decode("utf-8", "replace").strip()[:100]
    if process.returncode != 0 or "Claude Code" not in said:
        detail = f"{binary} is not Claude Code: exit code {process.returncode}, it said {said!r}"
        return Finding(name="Claude Code", state="red", detail=detail, fix=fix)
    return Finding(name="Claude Code", state="green", detail=f"{said} at {binary}")


def _credential(credential: Credential | None) -> Finding:
    if credential is None:
        why = why_none()
        detail = f"none that can be used: {why}" if why else "none found"
        return Finding(name="credential", state="red", detail=detail, fix=HOW_TO_GET_ONE)
    detail = f"{credential.kind} from {credential.source}"
    if credential.headers:
        detail += f", with the headers {', '.join(credential.headers)}"
    if credential.direct:
        fix = "nothing, if that is accepted; else use an API key, a login, or a gateway with ANTHROPIC_BASE_URL"
        return Finding(name="credential", state="yellow", detail=f"{detail}; {credential.exposes}", fix=fix)
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
    place = credential.place
    if credential.direct:
        detail = f"{place} is not tried: only Claude Code itself can speak to it"
        return Finding(name="model", state="yellow", detail=detail, fix="the first session tells")
    headers = {"anthropic-version": "2023-06-01", **credential.presented()}
    try:
        async with open_client(connect=_REACH_SECONDS, read=_REACH_SECONDS) as client:
            answer = await client.get(f"{credential.upstream}/v1/models", headers=headers)
    except NoWayError as error:
        return Finding(name="model", state="red", detail=str(error), fix="mend or unset what it names")
    except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL, ValueError):
        # Not quoted: what it says may hold the credential.
        fix = "correct ANTHROPIC_BASE_URL, such as https://gateway.example.com"
        return Finding(name="model", state="red", detail=f"{place!r} is no address of a service", fix=fix)
    except httpx2.HTTPError as error:
        fix = "check the network, HTTPS_PROXY, the certificates (SSL_CERT_FILE), or ANTHROPIC_BASE_URL"
        said = str(error) or type(error).__name__
        return Finding(name="model", state="red", detail=f"{place} does not answer: {said}", fix=fix)
    return _verdict(credential, answer)


def _verdict(credential: Credential, answer: httpx2.Response) -> Finding:
    place, status = credential.place, answer.status_code
    if status in {401, 403}:
        detail = f"{place} refuses the credential (HTTP {status})"
        return Finding(name="model", state="red", detail=detail, fix=f"renew what {credential.source} holds")
    if 300 <= status < 400:
        detail = f"{place} redirects to {answer.headers.get('location', 'nowhere')[:200]}"
        fix = "set ANTHROPIC_BASE_URL to the service itself: the credential is not sent after a redirect"
        return Finding(name="model", state="red", detail=detail, fix=fix)
    if status >= 500:
        fix = "sessions wait and go on by themselves when it is back"
        return Finding(name="model", state="yellow", detail=f"{place} answers HTTP {status}", fix=fix)
    return Finding(name="model", state="green", detail=f"{place} answers")


def _artifacts(settings: Settings) -> Finding:
    """Whether big evidence can be stored."""
    fix = "correct OVERNIGHT_ARTIFACTS_URL, or unset it to use a folder of the home"
    try:
        store = Artifacts.of(settings)
        if settings.artifacts_url:
            store.check()
    except (ArtifactError, ValueError, OSError) as error:
        return Finding(name="artifacts", state="red", detail=str(error), fix=fix)
    return Finding(name="artifacts", state="green", detail=store.where)


def _knowledge(settings: Settings) -> Finding:
    """Where what sessions learn is kept, and how it is found; without it they go on as if nothing were known."""
    try:
        knowledge = Knowledge.of(settings, Redactor())
    except ValueError as error:
        fix = "correct OVERNIGHT_KNOWLEDGE_URL, or unset it to use a file in the home; no worker starts so"
        return Finding(name="knowledge", state="red", detail=str(error), fix=fix)
    try:
        if problem := knowledge.problem():
            fix = "what it says; until then sessions go on without it"
            return Finding(name="knowledge", state="yellow", detail=problem, fix=fix)
        return Finding(name="knowledge", state="green", detail=f"{knowledge.where}; {knowledge.how}")
    finally:
        knowledge.close()


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
