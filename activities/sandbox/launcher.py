"""The one launcher for untrusted code: it opens a box, and a program that runs whatever it is given inside."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from activities.sandbox import inside, seccomp
from activities.sandbox.cgroup import Group
from activities.sandbox.devices import make_devices, makes_devices
from activities.sandbox.door import Door, Service
from activities.sandbox.egress import Blocked, Egress, EgressRules, Mode
from activities.sandbox.environment import PROXY_PORT, environment
from activities.sandbox.isolation import NAMESPACES, PRIVATE_NETWORK, Isolation
from activities.sandbox.limits import Kind, Limits
from activities.sandbox.mounts import CONFIG, OBJECTS, REPORTS, TOOLS, WORKSPACE, Shown, Writable, mounts, prepare_etc
from activities.sandbox.warden import Warden, Watched
from activities.workspace import remove
from overnight.base.parts import end_parts, marked
from overnight.base.settings import Settings

log = structlog.get_logger(__name__)

PUBLIC = EgressRules("public")
GONE_SECONDS = 10.0
COMING_SECONDS = 60.0


class NotIsolatedError(Exception):
    """Untrusted code must not run so on this host, and nobody allowed it all the same."""


@dataclass(frozen=True)
class Box:
    """One run of untrusted code: what it may write, what else it sees, where it may go, and its environment."""

    workspace: Path
    """Folder of the host that is the working directory inside."""
    writable: bool = True
    objects: Path | None = None
    """Git objects that the agent's own ``.git`` borrows, read-only."""
    config: Path | None = None
    """Claude Code's folder of this run, writable."""
    reports: Path | None = None
    """Where test runners are to write their reports of this run."""
    private: Path | None = None
    """Folder in which ``tmp`` and ``home`` of several boxes in a row are; without one, both end with the box."""
    tools: dict[str, Path] = field(default_factory=dict)
    """Programs of ours, by their name inside, read-only."""
    readable: dict[Path, Path] = field(default_factory=dict)
    """More files of the host, by where they are inside, read-only."""
    env: dict[str, str] = field(default_factory=dict)
    egress: EgressRules = PUBLIC
    hidden: tuple[Path, ...] = ()
    """Folders of the host that must not be seen though they lie in what is shown: the person's checkout."""
    services: Mapping[int, Service] = field(default_factory=dict)
    """What the worker serves on the box's own loopback, by port; only where the box has a network of its own."""


class Opened:
    """A box that is open: start ``program`` with a command, once."""

    def __init__(self, program: Path, limits: Limits, egress: Egress | None, door: Door) -> None:
        self.program = program
        """Executable of the host: ``program command args...`` runs the command inside."""
        self.limits = limits
        self.hits: set[Kind] = set()
        """Limits that were hit; complete when the box is closed."""
        self._egress = egress
        self._door = door

    @property
    def blocked(self) -> list[Blocked]:
        """Where the box was not let go."""
        return self._egress.blocked if self._egress else []

    @property
    def limits_hit(self) -> list[str]:
        """Limits that were hit, in words."""
        return [self.limits.told(kind) for kind in sorted(self.hits)]

    @property
    def notes(self) -> list[str]:
        """What happened in the box that a person should know: limits hit, connections blocked."""
        said = self.limits_hit
        for blocked in self.blocked:
            times = f" ({blocked.count} times)" if blocked.count > 1 else ""
            said.append(f"network: blocked {blocked.target}{times}: {blocked.reason}")
        return said

    def program_of(self, command: list[str]) -> Path:
        """An executable that runs ``command`` inside with whatever arguments it is given."""
        path = self.program.with_name("run-command")
        _write(path, f'#!/bin/sh\nexec {shlex.join([str(self.program), *command])} "$@"\n'.encode(), mode=0o700)
        return path

    def kill(self) -> None:
        """End everything that runs in the box, or is about to."""
        self._door.kill()
        if self._door.box is None:
            end_parts(self.program.parent)


class Launcher:
    """Opens boxes on this host."""

    def __init__(self, settings: Settings, isolation: Isolation) -> None:
        self.isolation = isolation
        self.limits = Limits.of(settings)
        self._settings = settings
        self._etc: Path | None = None
        self._warden = Warden()
        self.python = _interpreter()
        """A Python that boxes see, too."""

    def check(self, egress: EgressRules = PUBLIC) -> None:
        """Raises ``NotIsolatedError`` where untrusted code must not run, or not with this network."""
        if not self.isolation.full and not self._settings.allow_unsandboxed:
            raise NotIsolatedError(
                f"this host cannot isolate what the agent runs ({self.isolation.problem}); `overnight doctor` says how "
                "to mend it, OVERNIGHT_ALLOW_UNSANDBOXED=1 accepts the risk for this machine"
            )
        if not self._settings.allows_egress(egress.mode):
            raise NotIsolatedError(
                f"this installation allows no more network than '{self._settings.egress_at_most}', and the session "
                f"wants '{egress.mode}'; start it with another egress, or change OVERNIGHT_EGRESS_AT_MOST"
            )

    def has_own_network(self, mode: Mode) -> bool:
        """Whether a box in this mode has a loopback of its own, on which the worker can serve."""
        return self.isolation.full and mode != "host"

    def workspace(self, box: Box) -> Path:
        """The working directory as seen from inside."""
        return WORKSPACE if self.isolation.bwrap else box.workspace

    def objects(self, folder: Path) -> Path:
        """Where git objects of the host are seen from inside."""
        return OBJECTS if self.isolation.bwrap else folder

    def config(self, folder: Path) -> Path:
        """Where Claude Code's folder is seen from inside."""
        return CONFIG if self.isolation.bwrap else folder

    def reports(self, folder: Path) -> Path:
        """Where the folder for test reports is seen from inside."""
        return REPORTS if self.isolation.bwrap else folder

    def seen(self, inside: Path, outside: Path) -> Path:
        """Where a readable file of the host is seen from inside."""
        return inside if self.isolation.bwrap else outside

    def tool(self, name: str, program: Path) -> str:
        """Path of a program of ours as seen from inside."""
        return str(TOOLS / name) if self.isolation.bwrap else str(program)

    @asynccontextmanager
    async def open(self, box: Box) -> AsyncIterator[Opened]:
        """A box for one command. Whatever ran in it is gone when the context ends.

        Raises ``NotIsolatedError`` and ``OSError``.
        """
        self.check(box.egress)
        own_network = self.has_own_network(box.egress.mode)
        egress = _way_out(box.egress, self._settings) if own_network else None
        services = {**({PROXY_PORT: egress.serving} if egress else {}), **(box.services if own_network else {})}
        async with AsyncExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="box-"))
            stack.push_async_callback(asyncio.to_thread, remove, folder)
            group = self._group(stack)
            door = await stack.enter_async_context(Door(folder / "door", list(services.values())))
            own_devices = self.isolation.bwrap is not None and self.isolation.devices and makes_devices()
            devices = make_devices(folder / "dev") if own_devices else []
            kept = box.private or folder
            private = Writable(tmp=kept / "tmp", home=kept / "home", devices=tuple(devices))
            for place in (private.tmp, private.home):
                place.mkdir(mode=0o700, exist_ok=box.private is not None)
            program = self._program(box, folder, private, list(services), group, own_network)
            opened = Opened(program, self.limits, egress, door)
            watched = Watched(
                self.limits,
                lambda: door.pid,
                door.kill,
                (box.workspace, private.tmp, private.home, *(p for p in (box.config, box.reports) if p)),
                by_kernel=group is not None,
            )
            self._warden.watch(watched)
            coming = asyncio.create_task(_see_it_come(door, folder))
            try:
                yield opened
            finally:
                self._warden.forget(watched)
                coming.cancel()
                if door.box is None:
                    await _nothing_left(folder)
                door.kill()
                await door.gone(GONE_SECONDS)
                opened.hits |= watched.hits | (group.hits() if group else set())

    def _etc_folder(self) -> Path:
        """What boxes of this worker see as ``/etc``, made with the first of them."""
        if self._etc is None:
            folder = Path(tempfile.mkdtemp(prefix="etc-"))
            prepare_etc(folder)
            folder.chmod(0o755)
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._etc = folder
        return self._etc

    def _group(self, stack: AsyncExitStack) -> Group | None:
        """A group in which the kernel counts; without one, the warden does."""
        if self.isolation.cgroups is None:
            return None
        try:
            group = self.isolation.cgroups.make(self.limits)
        except OSError as error:
            log.warning("no control group for this box", error=str(error))
            return None
        stack.push_async_callback(asyncio.to_thread, group.remove)
        return group

    def _program(
        self,
        box: Box,
        folder: Path,
        private: Writable,
        ports: list[int],
        group: Group | None,
        own_network: bool,
    ) -> Path:
        """Write the script that starts a command in the box."""
        boxed = self.isolation.bwrap is not None
        env = environment(self._settings, boxed=boxed, private_network=own_network) | box.env
        if not boxed:
            env |= {"HOME": str(private.home), "TMPDIR": str(private.tmp)}
        entry = Path(inside.__file__)
        start = [
            str(self.python),
            "-I",
            "-S",
            self.tool("inside.py", entry),
            "/overnight/door" if boxed else str(folder / "door"),
            ",".join(map(str, ports)),
            _rlimits(self.limits, by_kernel=group is not None),
        ]
        redirections = ""
        if self.isolation.bwrap is None:
            pairs = [f"{k}={v}" for k, v in env.items()]
            line = ["setpriv", "--pdeathsig", "KILL", "--", "env", "-i", *pairs, *start]
        else:
            shown = Shown(
                workspace=box.workspace,
                writable=box.writable,
                private=private,
                objects=box.objects,
                config=box.config,
                reports=box.reports,
                tools={**box.tools, "inside.py": entry},
                readable=box.readable,
                hidden=box.hidden,
                door=folder / "door",
                host_network=not own_network,
            )
            # What is on a command line, or in the environment of the box's first process, is there for all to read.
            args = [
                *NAMESPACES,
                *(PRIVATE_NETWORK if own_network else ()),
                *mounts(shown, self._settings, self._etc_folder()),
            ]
            args += _env_args(env)
            _write(folder / "args", "".join(f"{arg}\0" for arg in args).encode())
            redirections = f" 9<{shlex.quote(str(folder / 'args'))}"
            part = (f"{name}={value}" for name, value in marked(folder).items())
            line = ["env", "-i", *part, str(self.isolation.bwrap), "--args", "9"]
            if (filtered := seccomp.program()) is not None:
                _write(folder / "filter", filtered)
                redirections += f" 8<{shlex.quote(str(folder / 'filter'))}"
                line += ["--seccomp", "8"]
            line += ["--", *start]
        enter = "".join(f"echo $$ > {shlex.quote(str(e))} || exit 126\n" for e in (group.entries if group else []))
        program = folder / "run"
        # Whoever has the right to set it below nothing keeps it from being lowered again inside.
        enter += f"echo {inside.OOM_SCORE} 2>/dev/null >/proc/self/oom_score_adj || true\n"
        _write(program, f'#!/bin/sh\n{enter}exec {shlex.join(line)} "$@"{redirections}\n'.encode(), mode=0o700)
        return program


async def _see_it_come(door: Door, folder: Path) -> None:
    """End what does not become a box in time: whoever started it sees it end, and may try again."""
    await asyncio.sleep(COMING_SECONDS)
    if door.box is None and end_parts(folder):
        log.warning("a box did not come up", seconds=COMING_SECONDS)


async def _nothing_left(folder: Path) -> None:
    """End what is about to become a box, and wait for it, for as long as for a box."""
    for pause in (0.01, 0.09, 0.9, GONE_SECONDS - 1):
        if not end_parts(folder):
            return
        await asyncio.sleep(pause)


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _rlimits(limits: Limits, *, by_kernel: bool) -> str:
    """Limits of single processes; those of a whole box, too, where no control group counts."""
    values = {
        "CORE": 0,
        "CPU": limits.cpu_seconds,
        "NOFILE": limits.open_files,
        "FSIZE": limits.file_bytes,
    }
    if not by_kernel:
        values |= {"NPROC": limits.processes, "DATA": limits.memory_bytes}
    return ",".join(f"{name}={value}" for name, value in values.items())


def _env_args(env: dict[str, str]) -> list[str]:
    args = ["--clearenv"]
    for key, value in env.items():
        args += ["--setenv", key, value]
    return args


def _interpreter() -> Path:
    """The Python of this process, outside any virtual environment: that one is visible in a box."""
    named = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return named if named.exists() else Path(os.path.realpath(sys.executable))


def _way_out(rules: EgressRules, settings: Settings) -> Egress:
    """The way out of a box, by the proxy through which this host itself reaches the internet, if it needs one."""
    upstream = next((v for k in ("HTTPS_PROXY", "https_proxy") if (v := os.environ.get(k))), None)
    try:
        return Egress(rules, upstream_proxy=upstream, trusted_names=settings.egress_trust_proxy)
    except ValueError as error:
        raise NotIsolatedError(f"no way out of the sandbox: {error}") from error
