"""What a box shows: an allow-list of the host, read-only, one workspace, and an environment of our own making."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from activities.sandbox.isolation import NAMESPACES, Isolation
from overnight.base.settings import Settings

WORKSPACE = Path("/workspace")
OBJECTS = Path("/overnight/objects")
CONFIG = Path("/overnight/config")
TOOLS = Path("/overnight/bin")
HOME = Path("/home/agent")

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store")
_MASKED = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh",
    "/etc/ssl/private", "/etc/krb5.keytab", "/etc/NetworkManager", "/etc/wireguard", "/etc/docker", "/etc/kubernetes",
    "/etc/rancher", "/etc/netplan", "/etc/environment",
)  # fmt: skip
_TOOL_CHAINS = (
    ".pyenv", ".rustup", ".cargo/bin", ".nvm/versions", ".local/bin", ".local/lib", ".local/share/uv",
    ".local/share/mise", ".local/share/pipx", ".local/share/fnm", ".asdf/installs", ".asdf/shims",
    ".sdkman/candidates", ".volta", ".bun/bin", ".deno/bin", "go/bin", "miniconda3", "anaconda3", "miniforge3",
)  # fmt: skip
"""Under the home; programs, never credentials. Others by ``OVERNIGHT_SANDBOX_READABLE``."""

_PASSED = (
    "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS", "PIP_CERT", "GIT_SSL_CAINFO", "PYENV_ROOT", "PYENV_VERSION", "RUSTUP_HOME", "NVM_DIR",
    "JAVA_HOME", "GOROOT", "VOLTA_HOME", "SDKMAN_DIR", "ASDF_DIR", "PIP_FIND_LINKS",
)  # fmt: skip
"""Environment of the host that a box gets: where tools and certificates are. Nothing that may hold a secret."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

_USERS = "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n"
_GROUPS = "root:x:0:\nagent:x:1000:\n"


class NotIsolatedError(Exception):
    """This host cannot isolate untrusted code, and nobody allowed to run it all the same."""


@dataclass(frozen=True)
class Box:
    """One run of untrusted code: what it may write, what else it sees, and its environment."""

    workspace: Path
    """Folder of the host that is the working directory inside."""
    writable: bool = True
    objects: Path | None = None
    """Git objects that the agent's own ``.git`` borrows, read-only."""
    config: Path | None = None
    """Claude Code's folder of this run, writable."""
    tools: dict[str, Path] = field(default_factory=dict)
    """Programs of ours, by their name inside, read-only."""
    env: dict[str, str] = field(default_factory=dict)


class Launcher:
    """Turns a command into one that runs in a box."""

    def __init__(self, settings: Settings, isolation: Isolation) -> None:
        self.isolation = isolation
        self._settings = settings
        self._files = settings.home / "sandbox"

    def check(self) -> None:
        """Raises ``NotIsolatedError`` where untrusted code must not run."""
        if self.isolation.bwrap is None and not self._settings.allow_unsandboxed:
            raise NotIsolatedError(
                f"this host cannot isolate what the agent runs ({self.isolation.problem}); `overnight doctor` says how "
                "to mend it, OVERNIGHT_ALLOW_UNSANDBOXED=1 accepts the risk for this machine"
            )

    def workspace(self, box: Box) -> Path:
        """The working directory as seen from inside."""
        return WORKSPACE if self.isolation.bwrap else box.workspace

    def objects(self, folder: Path) -> Path:
        """Where git objects of the host are seen from inside."""
        return OBJECTS if self.isolation.bwrap else folder

    def config(self, folder: Path) -> Path:
        """Where Claude Code's folder is seen from inside."""
        return CONFIG if self.isolation.bwrap else folder

    def tool(self, box: Box, name: str) -> str:
        """Path of a program of ours as seen from inside."""
        return str(TOOLS / name) if self.isolation.bwrap else str(box.tools[name])

    def wrap(self, box: Box, command: list[str]) -> list[str]:
        """``command`` as an argument list that runs it in ``box``. Raises ``NotIsolatedError``."""
        self.check()
        env = {**self.environment(), **box.env}
        if self.isolation.bwrap is None:
            env["HOME"] = env["TMPDIR"] = str(_scratch(box))
            pairs = [f"{k}={v}" for k, v in env.items()]
            return ["setpriv", "--pdeathsig", "KILL", "--", "env", "-i", *pairs, *command]
        # bubblewrap is the box's first process, and whoever is inside can read that one's environment.
        boxed = [str(self.isolation.bwrap), *NAMESPACES, *self._mounts(box), *_env_args(env), "--", *command]
        return ["env", "-i", *boxed]

    def script(self, box: Box, command: list[str], path: Path) -> Path:
        """An executable file that runs ``command``, with whatever arguments it gets, in ``box``."""
        line = self.wrap(box, command)
        end = line.index("--")
        start = line.index(str(self.isolation.bwrap)) + 1 if self.isolation.bwrap else end
        # What is on a command line is there for every user of the host to read: bubblewrap takes its part from a file.
        hidden = path.with_suffix(".args")
        hidden.touch(0o600)
        hidden.write_text("".join(f"{arg}\0" for arg in line[start:end]))
        shown = [*line[:start], *(["--args", "9"] if start < end else []), *line[end:]]
        path.write_text(f'#!/bin/sh\nexec {shlex.join(shown)} "$@" 9<{shlex.quote(str(hidden))}\n')
        path.chmod(0o700)
        return path

    def environment(self) -> dict[str, str]:
        """The environment of every box: an allow-list of the host's, and what we set."""
        passed = {k: os.environ[k] for k in _PASSED if k in os.environ}
        passed |= {k: v for k, v in os.environ.items() if k.startswith("LC_")}
        passed |= {k: v for k in _PROXIES if "@" not in (v := os.environ.get(k, "@"))}
        return {
            **passed,
            "PATH": os.pathsep.join(self._path()),
            "HOME": str(HOME),
            "USER": "agent",
            "LOGNAME": "agent",
            "SHELL": "/bin/bash",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "CI": "1",
            "TMPDIR": "/tmp",  # noqa: S108 (the box's own)
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def _path(self) -> list[str]:
        visible = [Path(p) for p in _SYSTEM] + self._extra_folders()
        entries = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p.startswith("/")]
        entries += [Path(p) for p in ("/usr/local/bin", "/usr/bin", "/bin")] + [Path(sys.base_prefix) / "bin"]
        if self.isolation.bwrap is None:
            return list(dict.fromkeys(str(e) for e in entries))
        return list(dict.fromkeys(str(e) for e in entries if any(e.is_relative_to(v) for v in visible)))

    def _extra_folders(self) -> list[Path]:
        """Folders outside the system's that hold tool chains."""
        home = Path.home()
        chains = [home / name for name in _TOOL_CHAINS] + [Path(sys.base_prefix), *self._settings.sandbox_readable]
        return [p for p in dict.fromkeys(chains) if p.is_dir() and not any(p.is_relative_to(s) for s in _SYSTEM)]

    def _mounts(self, box: Box) -> list[str]:
        args = ["--hostname", "overnight", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
        args += ["--dir", "/run", "--dir", "/var/tmp", "--dir", str(HOME)]  # noqa: S108
        for folder in map(Path, _SYSTEM):
            if folder.is_symlink():
                args += ["--symlink", str(folder.readlink()), str(folder)]
            elif folder.is_dir():
                args += ["--ro-bind", str(folder), str(folder)]
        for masked in map(Path, _MASKED):
            if masked.is_dir():
                args += ["--tmpfs", str(masked)]
            elif masked.exists():
                args += ["--ro-bind", "/dev/null", str(masked)]
        passwd, group = self._identity_files()
        args += ["--ro-bind", str(passwd), "/etc/passwd", "--ro-bind", str(group), "/etc/group"]
        resolver = Path("/etc/resolv.conf").resolve()
        if resolver.exists() and not resolver.is_relative_to("/etc"):
            args += ["--ro-bind", str(resolver), str(resolver)]
        for folder in self._extra_folders():
            args += ["--ro-bind", str(folder), str(folder)]
        for name, program in box.tools.items():
            args += ["--ro-bind", str(program.resolve()), str(TOOLS / name)]
        if box.objects:
            args += ["--ro-bind", str(box.objects), str(OBJECTS)]
        if box.config:
            args += ["--bind", str(box.config), str(CONFIG)]
        args += ["--bind" if box.writable else "--ro-bind", str(box.workspace), str(WORKSPACE)]
        return [*args, "--chdir", str(WORKSPACE)]

    def _identity_files(self) -> tuple[Path, Path]:
        """Files that name the box's user, made once."""
        passwd, group = self._files / "passwd", self._files / "group"
        if not group.exists():
            self._files.mkdir(parents=True, exist_ok=True)
            for path, text in ((passwd, _USERS), (group, _GROUPS)):
                fresh = path.with_suffix(f".{os.getpid()}")
                fresh.write_text(text)
                fresh.replace(path)
        return passwd, group


def _env_args(env: dict[str, str]) -> list[str]:
    args = ["--clearenv"]
    for key, value in env.items():
        args += ["--setenv", key, value]
    return args


def _scratch(box: Box) -> Path:
    scratch = (box.config or box.workspace).parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return scratch
