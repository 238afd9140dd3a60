"""What clients do with the stack: bring it up, find it, take it down."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGTERM
from typing import get_args

import overnight
from overnight.base import disk
from overnight.base.parts import end_left_behind
from overnight.base.settings import Settings
from overnight.stack.child import SERVER_STOP_SECONDS, TRIES, WORKER_STOP_MARGIN_SECONDS, mark, rotate
from overnight.stack.errors import StackError
from overnight.stack.health import serves
from overnight.stack.holders import holders
from overnight.stack.home import Home, Part, prepare, try_lock
from overnight.stack.model import Stack, read_stack
from overnight.stack.processes import POLL_SECONDS, Process, end, is_alive, send, wait_gone

WAITING = "waiting for the Temporal server to answer"
"""The stage of a stack whose processes all run."""
SUPERVISOR = ("-P", "-m", "overnight.stack.supervisor")
"""How Python runs the supervisor. ``-P``: its folder is the home, from which nothing is to be imported."""

FREE_SECONDS = 3.0

_started: list[subprocess.Popen[bytes]] = []


def find(settings: Settings) -> Stack | None:
    """The stack of ``settings.home`` as it is now, nothing being started; None when it is down.

    A process of it that does not live at this moment is None in the answer, as in the moment of a restart, or after
    its supervisor was killed while server and worker live on. Takes a few milliseconds and never raises.
    """
    _started[:] = [popen for popen in _started if popen.poll() is None]  # ended ones would stay zombies of ours
    with contextlib.suppress(OSError, RuntimeError):
        stack = _living(read_stack(Home(settings.home.resolve())))
        if stack is not None and (stack.supervisor is not None or stack.server is not None):
            return stack
    return None


def ensure_up(
    settings: Settings, *, wait_seconds: float = 30, on_progress: Callable[[str], None] | None = None
) -> Stack:
    """Return the running stack of ``settings.home``, after starting what is missing of it.

    At once (milliseconds) when it is up and healthy. Otherwise a detached supervisor is started, which outlives this
    process and its terminal, and this waits up to ``wait_seconds`` for server and worker; ``on_progress`` is told each
    new stage in a few words. However many processes ask at once, there is one stack. A stack that an older Overnight
    started is used as it is: compare ``Stack.version`` with ``VERSION``.

    Raises ``StackError``, whose text tells a person what is wrong, where, and what to do next.
    """
    return bring_up(settings, SUPERVISOR, wait_seconds=wait_seconds, on_progress=on_progress)


def bring_up(
    settings: Settings,
    supervisor: Sequence[str],
    *,
    wait_seconds: float = 30,
    on_progress: Callable[[str], None] | None = None,
) -> Stack:
    """``ensure_up`` with a choice of supervisor: the arguments that make Python run it, to which the home is added."""
    found = find(settings)
    if found is not None and _healthy(found):
        return found
    home = prepare(settings.home)
    if (said := disk.full(home.path)) is not None:
        raise StackError(f"Overnight's stack in {home.path} does not work. {said}")
    before = read_stack(home)
    deadline = time.monotonic() + wait_seconds
    own: subprocess.Popen[bytes] | None = None
    told = ""
    while True:
        found = find(settings)
        if found is not None and _healthy(found):
            return found
        _raise_if_failed(home, before, own)
        lock = try_lock(home.lock)
        if lock is not None:
            try:
                # The one that held the lock until now may have given up since the record was read.
                _raise_if_failed(home, before, own)
                own = _spawn(settings, home, supervisor, lock)
                _started.append(own)
            finally:
                os.close(lock)
        stage = _stage(found)
        if on_progress is not None and stage != told:
            told = stage
            on_progress(stage)
        if time.monotonic() >= deadline:
            raise _late(home, found, wait_seconds)
        time.sleep(POLL_SECONDS)


def down(settings: Settings, *, wait_seconds: float = 40) -> bool:
    """Stop the stack of ``settings.home``, the worker first; True when there was something to stop.

    Running calls get ``settings.grace_seconds`` to come to rest. What is still there after ``wait_seconds`` (or after
    the grace and 20 s, whichever is longer) is killed. Works as well after the supervisor itself was killed, and after
    its record was lost: server and worker are known by the locks that they hold. Other state is not touched.

    Raises ``StackError`` when something of it cannot be stopped.
    """
    patience = max(wait_seconds, settings.grace_seconds + WORKER_STOP_MARGIN_SECONDS + SERVER_STOP_SECONDS)
    deadline = time.monotonic() + patience
    stopped = False
    last: Process | None = None
    try:
        home = Home(settings.home.resolve())
        if not any(file.exists() for file in (home.stack_json, home.lock, *map(home.lock_of, get_args(Part)))):
            return False
        while True:
            record = read_stack(home)
            supervisor = record.supervisor if record is not None else None
            if supervisor is not None and supervisor != last and is_alive(supervisor):
                stopped, last = True, supervisor
                send(supervisor, SIGTERM)
                if not wait_gone(supervisor, deadline - time.monotonic(), _reap):
                    end(supervisor, 0.0, _reap)
            lock = try_lock(home.lock)
            if lock is not None:
                break
            # A supervisor that is on no record yet, or whose record was damaged, writes one within a second.
            if time.monotonic() >= deadline:
                raise StackError(
                    f"{home.lock} is held, but {home.stack_json} names no process of this machine that holds it. "
                    "Does a container or another machine use this home? Stop Overnight there."
                )
            time.sleep(POLL_SECONDS)
        try:
            return _end_leftovers(settings, home, deadline) or stopped
        finally:
            os.close(lock)
    except (OSError, RuntimeError) as error:  # the latter for a home whose links lead in a circle
        raise StackError(f"Overnight's stack in {settings.home} cannot be stopped: {error}.") from error


def _end_leftovers(settings: Settings, home: Home, deadline: float) -> bool:
    """End what an earlier supervisor left behind, on record or not, under the lock; True when there was something."""
    record = read_stack(home)
    grace = settings.grace_seconds + WORKER_STOP_MARGIN_SECONDS
    worker, server = (record.worker, record.server) if record is not None else (None, None)
    found = _end_part(home, "worker", worker, grace, deadline)
    end_left_behind(home.path)
    found = _end_part(home, "server", server, SERVER_STOP_SECONDS, deadline) or found
    for file in (home.stack_json, home.worker_json):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StackError(f"{file} cannot be removed: {error.strerror}.") from error
    return found


def _end_part(home: Home, part: Part, known: Process | None, most: float, deadline: float) -> bool:
    """End all that run as the home's ``part``; True when there was one. Raises ``StackError`` when one goes on."""
    running = [process for process in (known, *holders(home, part)) if process is not None and is_alive(process)]
    for process in running:
        if not end(process, min(most, max(0.0, deadline - time.monotonic()))):
            raise StackError(f"The {part} (pid {process.pid}) cannot be ended. Is its disk hanging?")
    if home.lock_of(part).exists():
        _wait_free(home.lock_of(part), part)
    return bool(running)


def _wait_free(path: Path, part: Part) -> None:
    """Return once nobody holds the lock any more. Raises ``StackError`` when somebody unseen does."""
    deadline = time.monotonic() + FREE_SECONDS
    while (lock := try_lock(path)) is None:  # the last threads of one that was killed
        if time.monotonic() >= deadline:
            raise StackError(
                f"{path} is held: a {part} of this home still runs where it cannot be seen from here. "
                "Does a container or another machine use this home? Stop Overnight there."
            )
        time.sleep(POLL_SECONDS)
    os.close(lock)


def _reap() -> None:
    for popen in _started:
        popen.poll()


def _living(stack: Stack | None) -> Stack | None:
    if stack is None:
        return None
    gone: dict[str, object] = {
        name: None
        for name, process in (("supervisor", stack.supervisor), ("server", stack.server), ("worker", stack.worker))
        if not is_alive(process)
    }
    if "worker" in gone or "server" in gone:
        gone["ready"] = False
    return stack.model_copy(update=gone)


def _healthy(stack: Stack) -> bool:
    return stack.up and serves(stack)


def _stage(stack: Stack | None) -> str:
    if stack is not None and stack.stopping:
        return "waiting for the stack to stop"
    if stack is None or stack.server is None:
        return "starting the Temporal server"
    if stack.up:
        return WAITING
    return "starting the worker"


def _spawn(settings: Settings, home: Home, supervisor: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
    log = home.log("supervisor")
    try:
        rotate(log)
        with log.open("ab") as output:
            mark(output.fileno(), "supervisor")
            return subprocess.Popen(
                [sys.executable, *supervisor, "--home", str(home.path), "--lock-fd", str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home.path,
                env=_environment(settings),
                pass_fds=(lock,),  # handed over while held: there is no moment in which two could start
                start_new_session=True,
                umask=0o077,
            )
    except OSError as error:
        raise StackError(f"Overnight's supervisor cannot be started: {error}.") from error


def _environment(settings: Settings) -> dict[str, str]:
    """This process's environment, in which the settings that somebody chose are spelled out."""
    environment = dict(os.environ)
    for name in settings.model_fields_set:
        value = settings.model_dump(mode="json", include={name})[name]
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        environment[f"OVERNIGHT_{name.upper()}"] = text
    root = str(Path(overnight.__file__).resolve().parent.parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    return environment


def _raise_if_failed(home: Home, before: Stack | None, own: subprocess.Popen[bytes] | None) -> None:
    """Raise for a failure that came after ``before``, the record from the time when the waiting began."""
    code = own.poll() if own is not None else None  # first: what it wrote at its end is then there to be read
    record = read_stack(home)
    if record is not None and record.problem is not None:
        log = home.log(record.problem_log) if record.problem_log else None
        same = before is not None and before.supervisor == record.supervisor
        if record.gave_up and not same:
            if record.supervisor is not None:
                wait_gone(record.supervisor, 5.0, _reap)  # it holds the lock until then
            raise StackError(f"Overnight's stack did not come up. {record.problem}", log=log)
        seen = before.failures if before is not None and same else 0
        hopeless = record.failures >= TRIES and record.failures > seen
        if hopeless and not record.stopping and is_alive(record.supervisor):
            advice = "It is tried again at least every half minute; `overnight down` ends that."
            raise StackError(f"Overnight's stack is not well. {record.problem} {advice}", log=log)
    if code:
        raise StackError(f"Overnight's supervisor ended with exit code {code}.", log=home.log("supervisor"))


def _late(home: Home, found: Stack | None, seconds: float) -> StackError:
    """What to say when time is up."""
    start = f"Overnight's stack in {home.path} is not up after {seconds:g} s."
    if (said := disk.full(home.path)) is not None:
        return StackError(f"{start} {said}", log=home.log("server"))
    if found is None:
        advice = "If a container or another machine uses this home, stop Overnight there, or set OVERNIGHT_HOME."
        return StackError(f"{start} {advice}", log=home.log("supervisor"))
    if found.stopping:
        return StackError(f"{start} It is being stopped at this moment: try again when that is done.")
    advice = "If the machine is busy, try again: it goes on starting. `overnight down` ends that."
    if found.server is None:
        problem, log = found.problem or "The Temporal server is not there yet.", home.log("server")
    elif found.up:
        problem, log = "The Temporal server runs but does not answer.", home.log("server")
        advice = (
            "One that hangs is started anew by itself within a minute, or now by `overnight down && overnight up`;"
            " sessions go on from where they are."
        )
    else:
        problem, log = found.problem or "The worker has not said that it is ready.", home.log("worker")
    return StackError(f"{start} {problem} {advice}", log=log)
