"""What a box shows of the host: an allow-list, read-only, and what it may write."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from overnight.base.settings import Settings

WORKSPACE = Path("/workspace")
OBJECTS = Path("/overnight/objects")
CONFIG = Path("/overnight/config")
REPORTS = Path("/overnight/reports")
TOOLS = Path("/overnight/bin")
DOOR = Path("/overnight/door")
HOME = Path("/home/agent")

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store")
_ETC = (
    "alternatives", "bash.bashrc", "bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies",
    "debian_version", "default/locale", "dpkg", "fonts", "gai.conf", "gradle", "host.conf", "inputrc", "issue",
    "java", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-x86_64.path", "ld-musl-aarch64.path", "locale.alias",
    "locale.conf", "localtime", "lsb-release", "magic", "magic.mime", "mailcap", "maven", "mime.types", "nanorc",
    "nsswitch.conf", "os-release", "perl", "php", "pki/tls/cert.pem", "profile",
    "profile.d", "protocols", "python", "python3", "redhat-release", "R", "rpc", "services", "shells", "ssl/cert.pem",
    "ssl/openssl.cnf", "terminfo", "texmf", "timezone", "vim", "xdg", "xml",
)  # fmt: skip
"""Under ``/etc``: what programs need to run. Other files may hold credentials, which root may read."""
_ETC_BOUND = ("ssl/certs", "pki/ca-trust", "pki/tls/certs")
"""As they are on the host at this moment: certificates are withdrawn now and then."""
_ETC_PATTERNS = ("java-*", "python3.*", "alpine-release", "openjdk*")
_ETC_UNLESS_SECRET = ("pip.conf", "npmrc", "gitconfig")
"""Where packages come from; shown when there is no name or password in it."""
_SECRET_SIGNS = (b"@", b"_auth", b"password", b"token", b"extraheader")
_TOOL_CHAINS = (
    ".pyenv", ".rustup", ".cargo/bin", ".nvm/versions", ".local/bin", ".local/lib", ".local/share/uv/python",
    ".local/share/uv/tools", ".local/share/mise", ".local/share/pipx", ".local/share/fnm", ".asdf/installs",
    ".asdf/shims", ".sdkman/candidates", ".volta", ".bun/bin", ".deno/bin", "go/bin", "miniconda3", "anaconda3",
    "miniforge3",
)  # fmt: skip
"""Under the home; programs, never credentials. Others by ``OVERNIGHT_SANDBOX_READABLE``."""
_HIDDEN_IN_PROC = ("acpi", "scsi", "fs", "driver", "kcore", "keys", "key-users", "latency_stats", "timer_list",
                   "sched_debug", "mtrr", "kmsg", "kallsyms", "modules", "kpagecount", "kpageflags", "kpagecgroup",
                   "vmallocinfo", "slabinfo", "pagetypeinfo")  # fmt: skip
_READ_ONLY_IN_PROC = ("sys", "irq", "bus", "sysrq-trigger")
"""Settings of the kernel: to it, a worker that is root owns them inside, too, and they know no capability."""
_DEVICE_BYTES = 256_000_000
"""Shared memory of a box; it counts as memory."""

_FILES = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n",
    "group": "root:x:0:\nagent:x:1000:\n",
    "hosts": "127.0.0.1 localhost overnight\n::1 localhost\n",
}


@dataclass(frozen=True)
class Writable:
    """Folders of the host that a box has for itself while it runs."""

    tmp: Path
    home: Path
    devices: tuple[Path, ...] = ()
    """Devices made for it alone, instead of the host's of the same names."""


@dataclass(frozen=True)
class Shown:
    """What a box shows beside the system."""

    workspace: Path
    writable: bool
    private: Writable
    objects: Path | None = None
    config: Path | None = None
    reports: Path | None = None
    tools: dict[str, Path] = field(default_factory=dict)
    readable: dict[Path, Path] = field(default_factory=dict)
    """More files of the host, by where they are inside, read-only."""
    hidden: tuple[Path, ...] = ()
    """Folders of the host that must not be seen, wherever they lie."""
    door: Path | None = None
    host_network: bool = False


def mounts(shown: Shown, settings: Settings, etc: Path) -> list[str]:
    """bubblewrap's arguments for ``shown``; ``etc`` is a folder that ``prepare_etc`` has filled."""
    args = ["--hostname", "overnight", *_proc_and_dev(shown.private.devices)]
    for folder in map(Path, SYSTEM):
        if folder.is_symlink():
            args += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            args += ["--ro-bind", str(folder), str(folder)]
    args += _etc(etc, host_network=shown.host_network)
    args += _masks([*shown.hidden, settings.home, Path.home()], [Path(p) for p in SYSTEM])
    args += ["--dir", "/run", "--bind", str(shown.private.tmp), "/tmp", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    args += ["--bind", str(shown.private.home), str(HOME)]
    hidden = [*shown.hidden, settings.home]
    chains = [folder for folder in tool_chains(settings) if not _lies_in(folder, hidden)]
    for folder in chains:
        args += ["--ro-bind", str(folder), str(folder)]
    args += _masks(hidden, chains)
    for inside, outside in shown.readable.items():
        args += ["--ro-bind", str(outside), str(inside)]
    for name, program in shown.tools.items():
        args += ["--ro-bind", str(program.resolve()), str(TOOLS / name)]
    if shown.objects:
        args += ["--ro-bind", str(shown.objects), str(OBJECTS)]
    if shown.config:
        args += ["--bind", str(shown.config), str(CONFIG)]
    if shown.reports:
        args += ["--bind", str(shown.reports), str(REPORTS)]
    if shown.door:
        args += ["--ro-bind", str(shown.door), str(DOOR)]
    args += ["--bind" if shown.writable else "--ro-bind", str(shown.workspace), str(WORKSPACE)]
    # What is left is memory that no limit on files would count.
    return [*args, "--remount-ro", "/", "--chdir", str(WORKSPACE)]


def tool_chains(settings: Settings) -> list[Path]:
    """Folders outside the system's that hold programs."""
    home = Path.home()
    chains = [home / name for name in _TOOL_CHAINS] + [Path(sys.base_prefix), *settings.sandbox_readable]
    return [p for p in dict.fromkeys(chains) if p.is_dir() and not any(p.is_relative_to(s) for s in SYSTEM)]


def _proc_and_dev(devices: Iterable[Path]) -> list[str]:
    args = ["--proc", "/proc", "--dev", "/dev"]
    for device in devices:
        args += ["--dev-bind", str(device), f"/dev/{device.name}"]
    for name in _HIDDEN_IN_PROC:
        path = Path("/proc", name)
        if path.is_dir():
            args += ["--tmpfs", str(path), "--remount-ro", str(path)]
        elif path.exists():
            args += ["--ro-bind", "/dev/null", str(path)]
    for path in (Path("/proc", name) for name in _READ_ONLY_IN_PROC):
        args += ["--ro-bind", str(path), str(path)] if path.exists() else []
    args += ["--size", str(_DEVICE_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108
    return [*args, "--remount-ro", "/dev"]


def prepare_etc(folder: Path) -> None:
    """Fill ``folder`` with what a box sees as ``/etc``: one mount instead of dozens. Blocks, some milliseconds."""
    etc = Path("/etc")
    chosen = [etc / name for name in _ETC] + [p for pattern in _ETC_PATTERNS for p in sorted(etc.glob(pattern))]
    chosen += [path for name in _ETC_UNLESS_SECRET if _holds_no_secret(path := etc / name)]
    for path in chosen:
        target = folder / path.relative_to(etc)
        target.parent.mkdir(parents=True, exist_ok=True)
        # What this user may not read is not for a box either.
        with suppress(OSError, shutil.Error):
            if path.is_dir():
                shutil.copytree(path, target, symlinks=True, ignore_dangling_symlinks=True)
            elif path.is_file():
                shutil.copyfile(path, target)
    for name in _ETC_BOUND:
        if (etc / name).is_dir():
            (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    (folder / "resolv.conf").touch()


def _etc(prepared: Path, *, host_network: bool) -> list[str]:
    args = ["--ro-bind", str(prepared), "/etc"]
    for name in _ETC_BOUND:
        if (prepared / name).is_dir():
            args += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    if host_network and Path("/etc/resolv.conf").exists():
        args += ["--ro-bind", str(Path("/etc/resolv.conf").resolve()), "/etc/resolv.conf"]
    return args


def _holds_no_secret(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return not any(sign in text.lower() for sign in _SECRET_SIGNS)


def _masks(hidden: Iterable[Path], within: list[Path]) -> list[str]:
    """Empty, read-only folders over what must not be seen, wherever it comes to lie in what is shown."""
    places: dict[Path, None] = {}
    for path in (p.resolve() for p in hidden):
        for shown in within:
            if path.is_dir() and path.is_relative_to(real := shown.resolve()) and path != real:
                # Shown under the name that it was given, which may be a link's.
                places[shown / path.relative_to(real)] = None
    return [arg for place in places for arg in ("--tmpfs", str(place), "--remount-ro", str(place))]


def _lies_in(folder: Path, hidden: Iterable[Path]) -> bool:
    """Whether showing ``folder`` would show something that is hidden, whole or in part of it."""
    return any(folder.resolve().is_relative_to(path.resolve()) for path in hidden)
