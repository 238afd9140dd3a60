"""More power than a build needs: by programs and by tricks, one after the other."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.escape.attacker.kit import RefusedError, attempt, first, told

_LIBC = ctypes.CDLL(None, use_errno=True)
_ATTACH, _DETACH = 16, 17

PROGRAMS: dict[str, str] = {
    "remount /": "mount -o remount,rw /",
    "remount /usr": "mount -o remount,rw,bind /usr",
    "remount /etc": "mount -o remount,rw,bind /etc",
    "bind": "mkdir -p m && mount --bind . m",
    "tmpfs": "mkdir -p m && mount -t tmpfs none m",
    "proc": "mkdir -p m && mount -t proc proc m",
    "cgroup": "mkdir -p m && mount -t cgroup -o memory none m",
    "cgroup 2": "mkdir -p m && mount -t cgroup2 none m",
    "overlay": "mkdir -p m u w && mount -t overlay -o lowerdir=/etc,upperdir=u,workdir=w none m",
    "unmount": "umount -l /dev/shm",
    "loop": "losetup -f",
    "unshare user": "unshare --user --map-root-user true",
    "unshare mounts": "unshare --mount true",
    "unshare pids": "unshare --pid --fork true",
    "unshare network": "unshare --net true",
    "unshare all as root": "unshare --user --map-root-user --mount --pid --net --ipc --uts --cgroup --fork true",
    "nsenter mounts": "nsenter -t FIRST -m true",
    "nsenter network": "nsenter -t FIRST -n true",
    "chroot": "chroot / true",
    "chroot to pid 1": "chroot /proc/FIRST/root true",
    "block device": "mknod disk b 8 0",
    "character device": "mknod memory c 1 1",
    "su": "su root -c true </dev/null",
    "sudo": "sudo -n true",
    "shadow": "head -c1 /etc/shadow",
    "own hostname": "hostname attacker",
    "clock": "date -s @$(date +%s.%N)",
    "priority": "nice -n -5 true 2>&1 | grep -q . && exit 1; exit 0",
    "owner": "touch f && chown 0:0 f",
    "limits": "prlimit --pid $$ --nofile=1048576:1048576",
    "capabilities": "setcap cap_sys_admin+ep f 2>&1",
    "kernel's log": "dmesg | grep -q .",
    "modules": "modprobe dummy",
    "firewall": "iptables -L",
}
"""A command that ends well has got what it wanted."""


def program(command: str) -> str:
    """A shell command, in a folder of its own."""
    Path("powers").mkdir(exist_ok=True)
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd="powers", capture_output=True, check=False, timeout=10, stdin=subprocess.DEVNULL
    )
    if ended.returncode != 0:
        raise RefusedError(ended.stderr.decode(errors="replace").strip()[-100:] or f"exit {ended.returncode}")
    return "done"


def nested(bwrap: str) -> str:
    """The sandbox's own program, brought along, to make namespaces in which the attacker is root."""
    if not os.access(bwrap, os.X_OK):
        raise FileNotFoundError(bwrap)
    args = [bwrap, "--unshare-all", "--uid", "0", "--bind", "/", "/", "--proc", "/proc", "--", "/bin/true"]
    env = {**os.environ, "LD_LIBRARY_PATH": os.path.dirname(bwrap)}
    ended = subprocess.run(args, capture_output=True, check=False, timeout=10, env=env)
    if ended.returncode != 0:
        raise RefusedError(ended.stderr.decode(errors="replace")[-100:])
    return "done"


def keeper_of_rights() -> str:
    """A shell with the owner's rights, made by copying one: root's, if the owner is root to the kernel."""
    shutil.copy("/bin/sh", "shell")
    Path("shell").chmod(0o6755)
    ended = subprocess.run(["./shell", "-p", "-c", "id -u; id -g"], capture_output=True, text=True, check=False)
    Path("shell").unlink()
    if "0" in ended.stdout.split():
        return ended.stdout
    raise RefusedError(" ".join(ended.stdout.split()) or ended.stderr[-80:])


def rights() -> str:
    """Capabilities, or the chance to get some by executing something."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    kept = {name: fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    if any(int(value, 16) for value in kept.values()) or fields["NoNewPrivs"].strip() != "1":
        return f"{kept['CapEff']} {fields['NoNewPrivs']}"
    raise RefusedError("none")


def trace(pid: int) -> str:
    """Become the tracer of a process, and read a word of it."""
    _LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    _LIBC.ptrace.restype = ctypes.c_long
    if _LIBC.ptrace(_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)
    _LIBC.ptrace(_DETACH, pid, None, None)
    return f"process {pid}"


def overwrite(pid: int) -> str:
    """Write a word of a process's memory, the same as is there."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", 0) as mem:
        start = next(int(line.split("-")[0], 16) for line in maps if " rw-p " in line)
        mem.seek(start)
        word = mem.read(8)
        mem.seek(start)
        mem.write(word)
    return f"process {pid}"


def stop(pid: int) -> str:
    """A signal to a process of the host: 0 sends none, and tells whether one could be sent."""
    os.kill(pid, 0)
    if b"outpost" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        raise RefusedError("another process")
    return f"process {pid}"


def push(path: str) -> str:
    """Characters typed into the terminal from which the worker was started."""
    handle = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(handle, 0x5412, b"\n")  # TIOCSTI
    finally:
        os.close(handle)
    return "typed"


def join(kind: str) -> str:
    """Enter another process's namespace, if there is one that is not this one's."""
    here = os.readlink(f"/proc/self/ns/{kind}")
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            there = os.readlink(f"/proc/{pid}/ns/{kind}")
        except OSError:
            continue
        if there != here:
            handle = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
            _joined(handle)
            return f"that of process {pid}"
    raise RefusedError("all are in the same one")


def _joined(handle: int) -> None:
    """In a child: this process has more to do where it is."""
    child = os.fork()
    if child == 0:
        os._exit(min(255, ctypes.get_errno()) if _LIBC.setns(handle, 0) < 0 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(handle)
    if code:
        raise OSError(code, "setns")


def released() -> str:
    """A program that the kernel starts outside when a control group is empty."""
    for root, _, names in os.walk("/sys/fs/cgroup"):
        if "release_agent" in names:
            handle = os.open(f"{root}/release_agent", os.O_RDWR)
            os.close(handle)
            return root
    raise RefusedError("no control group to be seen")


def out_of_the_group() -> str:
    """Leave the control group that counts, for its parent."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            Path(where, "cgroup.procs").write_text(str(os.getpid()))
            return where
    raise RefusedError("no control group is mounted")


def spared() -> str:
    """When memory runs out, the kernel is to end the worker before this process."""
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text()
    score.write_text("0")
    score.write_text(before)
    return "as likely as the worker"


def given_rights() -> str:
    """A program of the system that runs with its owner's rights, where that is not switched off."""
    for folder in ("/usr/bin", "/usr/sbin", "/usr/lib", "/opt"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else []:
            given = entry.is_file(follow_symlinks=False) and entry.stat().st_mode & stat.S_ISUID
            if given and not os.statvfs(entry.path).f_flag & os.ST_NOSUID:
                return entry.path
    raise RefusedError("none")


def main() -> None:
    known = told()
    for label, command in PROGRAMS.items():
        if label not in known.get("not_here", []):
            attempt(f"power:{label}", _running(command.replace("FIRST", str(first(known)))))
    shutil.rmtree("powers", ignore_errors=True)
    attempt("power:nested sandbox", lambda: nested(known["bwrap"]))
    attempt("power:shell that keeps rights", keeper_of_rights)
    attempt("power:rights", rights)
    attempt("power:programs with rights", given_rights)
    attempt("power:trace of the host's worker", lambda: trace(int(known["pid"])))
    attempt("power:signal to the host's worker", lambda: stop(int(known["pid"])))
    for terminal in (known["terminal"], "/dev/tty", "/dev/console"):
        attempt(f"power:typing into {terminal}", _pushing(terminal))
    for kind in ("mnt", "net", "pid", "user", "ipc", "uts", "cgroup"):
        attempt(f"power:join {kind}", _joining(kind))
    attempt("power:last to be killed", spared)
    attempt("power:release agent", released)
    attempt("power:out of the control group", out_of_the_group)
    _inside(known)


def _inside(known: dict[str, Any]) -> None:
    """What is allowed, since it reaches nothing but the attacker's own box: it must stay so."""
    child = subprocess.Popen(["sleep", "30"])
    try:
        attempt("own:trace of a child", lambda: trace(child.pid))
        attempt("own:signal to a child", lambda: os.kill(child.pid, signal.SIGTERM))
        attempt("may:trace of an ancestor", lambda: trace(_ancestor(known)))
        attempt("may:trace of the first process", lambda: trace(first(known)))
        attempt("may:memory of the first process", lambda: overwrite(first(known)))
    finally:
        child.kill()
        child.wait()
    attempt("own:files", lambda: Path("own").write_text(str(known["victim"])))


def _ancestor(known: dict[str, Any]) -> int:
    """The process that the sandbox was made for: Claude Code, or the shell of a check."""
    pid = os.getpid()
    while (parent := int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])) > 1:
        pid = parent
    return pid if first(known) == 1 else first(known)


def _running(command: str) -> Callable[[], str]:
    return lambda: program(command)


def _pushing(path: str) -> Callable[[], str]:
    return lambda: push(path)


def _joining(kind: str) -> Callable[[], str]:
    return lambda: join(kind)


if __name__ == "__main__":
    main()
