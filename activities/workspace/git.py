"""The one way Overnight starts git: a scrubbed environment, a time limit, bounded output and no orphans.

No configuration but a repository's own file is read, nothing from the caller's environment steers git, and hooks,
monitors, pagers, prompts, signing, background maintenance and credential helpers are off. What a repository's own
configuration could still start is the business of the callers, who never open one that an agent can write.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

from activities.starting import started
from overnight.base.parts import marked

NAME = "Overnight"
EMAIL = "overnight@localhost"
QUICK_S = 120.0
"""Time limit in seconds of a command that works on local files."""
LONG_S = 1800.0
"""Time limit in seconds of a command that moves a project's objects."""
MAX_OUTPUT = 64 * 2**20
"""Output in bytes above which a command fails, unless its caller takes a part."""

LOCAL_ONLY = "file"
"""Transports of a command that reads repositories on this host."""
NO_TRANSPORT = "none"
"""Transports of a command that must not fetch anything, not even lazily."""
NETWORK = "file:git:http:https:ssh"
"""Transports of a command that may reach a URL of the user."""

_MAX_STDERR = 16 * 2**10
_GRACE_S = 2.0
_CHUNK = 2**16

_CONFIG: dict[str, str] = {
    "commit.gpgSign": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.safecrlf": "false",
    "core.splitIndex": "false",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "diff.ignoreSubmodules": "all",
    "fetch.recurseSubmodules": "false",
    # A pack appears whole or not at all, so a fetch that was killed leaves no commit without its files.
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "120",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "protocol.version": "2",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
    "submodule.recurse": "false",
    "tag.gpgSign": "false",
}

_held_lock: ContextVar[int | None] = ContextVar("overnight_session_lock", default=None)
"""Descriptor of the session lock, inherited by git: a git that outlives a killed worker keeps the session locked."""
_vault_lock: ContextVar[int | None] = ContextVar("overnight_vault_lock", default=None)
"""Descriptor of a vault's lock, inherited in the same way."""

_SECRET_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_DAMAGE = re.compile(
    r"corrupt|object file .* is empty|unable to (?:read|unpack|parse|find|get|load|mmap|resolve reference)|"
    r"(?:could not|cannot|failed to) (?:parse|unpack|load|read (?:object|[0-9a-f]{40}))|"
    r"(?:bad|missing|invalid|broken|unknown) (?:object|tree|blob|commit|sha1)|not a (?:valid|tree) (?:object|sha1|ref)|"
    r"not a tree object|garbage at end|inflate|index file (?:smaller|open)|is not a git packfile|"
    r"packfile .* cannot be accessed|hash mismatch|bad (?:signature|index|pack)|reference broken|"
    r"did not send all necessary objects|not our ref|: bad file",
    re.IGNORECASE,
)
"""How git speaks of a repository in which something is broken or missing."""
_TROUBLE = re.compile(
    r"permission denied|no space left|quota exceeded|too many open files|cannot allocate|out of memory|read-only file",
    re.IGNORECASE,
)
"""How it speaks of a host on which nothing works now, whatever is in the repository."""


class GitError(Exception):
    """A git command failed. The message is for a person and holds no credentials.

    `command` is the subcommand with its arguments, `exit_code` is None when git was stopped or did not start. `said`
    is the end of everything that git wrote to its error output.
    """

    def __init__(self, command: str, exit_code: int | None, message: str, said: str = "") -> None:
        """Keep the facts; `str()` shows the subcommand and the message."""
        self.command = command
        self.exit_code = exit_code
        self.message = message
        self.said = said
        super().__init__(f"git {command.split(' ', 1)[0]}: {message}")

    @property
    def shows_damage(self) -> bool:
        """Whether git spoke of an object, a pack or an index that is broken or missing."""
        return _DAMAGE.search(self.said) is not None and _TROUBLE.search(self.said) is None


@dataclass(frozen=True, slots=True)
class Output:
    """What a git command printed; `truncated` when it was stopped at the size that its caller asked for."""

    stdout: bytes
    stderr: str
    exit_code: int
    truncated: bool = False

    @property
    def text(self) -> str:
        """Standard output as text without surrounding white space."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def fields(self) -> list[bytes]:
        """Standard output of a command with `-z`; an incomplete last field of a truncated output is left out."""
        parts = self.stdout.split(b"\0")
        return parts[:-1]


def redact(text: str) -> str:
    """Return the text with user names and passwords inside URLs replaced."""
    return _SECRET_IN_URL.sub("***@", text)


def environment(
    transports: str = LOCAL_ONLY, config: Mapping[str, str] | None = None, *, user_config: bool = False
) -> dict[str, str]:
    """Return the whole environment of a git command.

    `transports` is a colon-separated list of what git may speak, `config` adds settings to the fixed ones.
    With `user_config` the user's own global and system files count instead: only for looking one value up.
    """
    dropped = {"SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "LANGUAGE", "LANG", "EMAIL"}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LC_")) and k not in dropped}
    env |= {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": transports,
        "GIT_ASKPASS": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_AUTHOR_EMAIL": EMAIL,
        "GIT_AUTHOR_NAME": NAME,
        "GIT_COMMITTER_EMAIL": EMAIL,
        "GIT_COMMITTER_NAME": NAME,
        "GIT_EDITOR": "false",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        # A connection that is shared would be left behind for the user's own ssh, and end with what we leave behind.
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ControlMaster=no",
        "GIT_TERMINAL_PROMPT": "0",
    }
    if not user_config:
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    settings = ({} if user_config else _CONFIG) | dict(config or {})
    env["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env


async def git(
    *args: str | bytes | Path,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    index: Path | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    source: BinaryIO | None = None,
    transports: str = LOCAL_ONLY,
    config: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    user_config: bool = False,
    ok: Sequence[int] = (0,),
    limit_s: float = QUICK_S,
    max_output: int = MAX_OUTPUT,
    truncate: bool = False,
) -> Output:
    """Run one git command and return what it printed.

    `source` is a file to read instead of `stdin`. `ok` lists the exit codes that are answers. After `limit_s` seconds,
    and when the caller is cancelled, the whole
    process group is ended before this returns. Output above `max_output` bytes is an error, or is cut there with
    `truncate`. Raises GitError.
    """
    command: list[str | bytes | Path] = ["git"]
    if git_dir is not None:
        command.append(f"--git-dir={git_dir}")
    if work_tree is not None:
        command.append(f"--work-tree={work_tree}")
    command += args
    environ = environment(transports, config, user_config=user_config) | dict(env or {}) | marked(gettempdir())
    if index is not None:
        environ["GIT_INDEX_FILE"] = str(index)
    shown = redact(" ".join(os.fsdecode(a) for a in args))
    where = cwd or work_tree or git_dir or "/"
    locks = tuple(lock for lock in (_held_lock.get(), _vault_lock.get()) if lock is not None)
    try:
        process = await started(
            *command,
            stdin=source or (asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=where,
            env=environ,
            pass_fds=locks,
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and error.filename == "git"
        what = "git is not installed" if missing else f"git could not be started in {where}: {error.strerror}"
        raise GitError(shown, None, what) from error
    given_up = True
    try:
        async with asyncio.timeout(limit_s):
            stdout, stderr, cut = await _talk(process, stdin, max_output, truncate=truncate)
            if not cut:
                await process.wait()
        given_up = False
    except TimeoutError as error:
        raise GitError(shown, None, f"stopped after {limit_s:g} seconds without an end") from error
    except _TooMuchOutputError as error:
        raise GitError(shown, None, f"printed more than {max_output} bytes") from error
    finally:
        await _end(process, given_up=given_up)
    code = process.returncode if process.returncode is not None else -1
    if cut:
        return Output(stdout, stderr, 0, truncated=True)
    if code not in ok:
        raise GitError(shown, code, _last_words(stderr) or f"ended with exit code {code}", stderr)
    return Output(stdout, stderr, code)


class _TooMuchOutputError(Exception):
    pass


async def _talk(
    process: asyncio.subprocess.Process, stdin: bytes | None, max_output: int, *, truncate: bool
) -> tuple[bytes, str, bool]:
    async def write() -> None:
        if process.stdin is None or stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(stdin)
            await process.stdin.drain()
        process.stdin.close()

    async def read() -> tuple[bytes, bool]:
        kept = bytearray()
        if process.stdout is not None:
            while chunk := await process.stdout.read(_CHUNK):
                kept += chunk
                if len(kept) > max_output:
                    if not truncate:
                        raise _TooMuchOutputError
                    return bytes(kept[:max_output]), True
        return bytes(kept), False

    async def listen() -> bytes:
        tail = b""
        if process.stderr is not None:
            while chunk := await process.stderr.read(_CHUNK):
                tail = (tail + chunk)[-_MAX_STDERR:]
        return tail

    writing, listening = asyncio.create_task(write()), asyncio.create_task(listen())
    try:
        stdout, cut = await read()
        if cut:
            return stdout, "", True
        await writing
        return stdout, redact((await listening).decode(errors="replace")), False
    finally:
        writing.cancel()
        listening.cancel()
        await asyncio.gather(writing, listening, return_exceptions=True)


async def _end(process: asyncio.subprocess.Process, *, given_up: bool) -> None:
    """End what is left of the process group: gently first, so that git removes its own lock files."""
    if process.returncode is not None:
        if given_up:
            # It died, and what it had started holds its pipes, and our locks.
            _signal(process, signal.SIGKILL)
        return
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _last_words(stderr: str) -> str:
    """Return what git said went wrong: its fatal and error lines, else its last lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:", "!"))]
    return "; ".join((telling or lines)[-4:])[:1000]
