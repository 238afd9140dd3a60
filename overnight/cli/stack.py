"""``up`` and ``down``: the embedded stack, by hand."""

from __future__ import annotations

from overnight.base.chosen import RENEW, without_effect
from overnight.base.credentials import find_credential
from overnight.base.settings import Settings
from overnight.base.version import VERSION
from overnight.cli import output
from overnight.cli.codes import Code
from overnight.cli.session import START_SECONDS, connect, run
from overnight.cli.settings import load_for_work, load_to_stop
from overnight.errors import SessionError
from overnight.stack import Stack, ensure_up, find
from overnight.stack import down as stop


def up(*, json: bool) -> int:
    """``overnight up``; with a Temporal of the person's own it only looks whether that answers."""
    settings, notes = load_for_work()
    from overnight.base.temporal import is_external

    if not json:
        _note(notes)
    if is_external():
        return _external(settings, json=json)

    def progress(stage: str) -> None:
        if not json:
            output.note(f"{stage} ...")

    ran = (found := find(settings)) is not None and found.worker is not None
    stack = ensure_up(settings, wait_seconds=START_SECONDS, on_progress=progress)
    late = run(_without_effect(settings)) if ran else []
    if json:
        output.as_json({**_as_object(stack), "notes": [*notes, *late]})
    else:
        output.say(f"Overnight is up in {stack.home}")
        output.say(f"  Temporal    {stack.address}")
        output.say(f"  Web UI      {stack.ui_url}")
        output.say(f"  worker      {credential_words(stack)}")
        if stack.version != VERSION:
            output.say(f"  version     {stack.version}, this is {VERSION}; to renew: overnight down && overnight up")
        _note(late)
    return Code.OK


async def _without_effect(settings: Settings) -> list[str]:
    """Settings of this shell that a worker which ran already does not have."""
    from overnight.connection import open_connection

    try:
        connection = await open_connection(settings, need_worker=False)
        return without_effect(settings, (await connection.sessions.host()).settings)
    except SessionError:
        return []  # the stack is up; what its worker was started with is a question for doctor


def _note(notes: list[str]) -> None:
    for note in notes:
        output.note(f"note: {note}")


def down(*, json: bool) -> int:
    """``overnight down``."""
    settings = load_to_stop()
    if find(settings) is not None and not json:
        output.note(f"stopping; running calls get {settings.grace_seconds:g} s to come to rest ...")
    stopped = stop(settings)
    if json:
        output.as_json({"stopped": stopped, "home": str(settings.home)})
    elif stopped:
        output.say("Overnight is down; sessions go on at the next start (overnight up)")
    else:
        output.say(f"nothing was running in {settings.home}")
    return Code.OK


def credential_words(stack: Stack) -> str:
    """What the worker holds, without telling it."""
    own = find_credential()
    if stack.credential is None and own is not None:
        here = f"this shell has one ({own.kind} from {own.source})"
        return f"running, without a credential: sessions cannot run; {here}, so start it again from here: {RENEW}"
    if stack.credential is None:
        return "running, without a credential: sessions cannot run (overnight doctor)"
    return f"running, with a credential ({stack.credential.partition(':')[0]})"


def _external(settings: Settings, *, json: bool) -> int:
    async def look() -> int:
        await connect(settings, json=json, need_worker=False)
        text = "Temporal is your own and answers; there is nothing to start here but workers (overnight-worker)"
        if json:
            output.as_json({"external": True, "text": text})
        else:
            output.say(text)
        return Code.OK

    return run(look())


def _as_object(stack: Stack) -> dict[str, object]:
    return {
        "home": str(stack.home),
        "address": stack.address,
        "ui_url": stack.ui_url,
        "namespace": stack.namespace,
        "version": stack.version,
        "credential": stack.credential,
        "pids": {
            name: process.pid if process is not None else None
            for name, process in (("supervisor", stack.supervisor), ("server", stack.server), ("worker", stack.worker))
        },
    }
