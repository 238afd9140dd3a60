"""Calls of the kernel that no build and no test needs: each one that is answered at all is a way to try on."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import struct
from collections.abc import Callable

from tests.escape.attacker.kit import RefusedError, attempt

_LIBC = ctypes.CDLL(None, use_errno=True)
_X86 = os.uname().machine == "x86_64"
_BAD = 1
"""An address where nothing is: a call that gets as far as looking at it was let through."""
_SHUT = {errno.EPERM, errno.ENOSYS, errno.EACCES}

NEW_USER, NEW_MOUNTS, NEW_PIDS, NEW_NETWORK = 0x10000000, 0x00020000, 0x20000000, 0x40000000
NEW_NAMES, NEW_IPC, NEW_CGROUP, NEW_TIME = 0x04000000, 0x08000000, 0x02000000, 0x00000080
SPACES = {
    "user": NEW_USER, "mounts": NEW_MOUNTS, "pids": NEW_PIDS, "network": NEW_NETWORK, "names": NEW_NAMES,
    "ipc": NEW_IPC, "cgroup": NEW_CGROUP, "user and mounts": NEW_USER | NEW_MOUNTS,
    "user and network": NEW_USER | NEW_NETWORK,
}  # fmt: skip
_CLONE3 = 435

# Name: number on x86-64, on arm64, arguments. On a host without a sandbox all of them are harmless, even for root.
CALLS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "add_key": (248, 217, (_BAD, _BAD, 0, 0, -3)),
    "request_key": (249, 218, (_BAD, _BAD, 0, 0)),
    "keyctl": (250, 219, (0, -3, 0)),
    "bpf": (321, 280, (0, _BAD, 72)),
    "perf_event_open": (298, 241, (_BAD, 0, -1, -1, 0)),
    "userfaultfd": (323, 282, (-1,)),
    "io_uring_setup": (425, 425, (1, _BAD)),
    "io_uring_enter": (426, 426, (-1, 0, 0, 0, 0)),
    "io_uring_register": (427, 427, (-1, 0, 0, 0)),
    "open_by_handle_at": (304, 265, (-1, _BAD, 0)),
    "kexec_load": (246, 104, (0, 17, _BAD, 0xFFFF)),
    "init_module": (175, 105, (_BAD, 0, _BAD)),
    "finit_module": (313, 273, (-1, _BAD, 0)),
    "delete_module": (176, 106, (_BAD, 0)),
    "swapon": (167, 224, (_BAD, 0)),
    "swapoff": (168, 225, (_BAD,)),
    "reboot": (169, 142, (0, 0, 0, 0)),
    "acct": (163, 89, (_BAD,)),
    "quotactl": (179, 60, (-1, _BAD, 0, 0)),
    "syslog": (103, 116, (10, 0, 0)),
    "settimeofday": (164, 170, (_BAD, 0)),
    "clock_settime": (227, 112, (0, _BAD)),
    "adjtimex": (159, 171, (_BAD,)),
    "mount": (165, 40, (_BAD, _BAD, _BAD, 0, 0)),
    "umount": (166, 39, (_BAD, 0)),
    "pivot_root": (155, 41, (_BAD, _BAD)),
    "move_mount": (429, 429, (-1, _BAD, -1, _BAD, 0)),
    "open_tree": (428, 428, (-1, _BAD, 1)),
    "fsopen": (430, 430, (_BAD, 0)),
    "fsmount": (432, 432, (-1, 0, 0)),
    "mount_setattr": (442, 442, (-1, _BAD, 0, _BAD, 32)),
    "setns": (308, 268, (-1, 0)),
    "fanotify_init": (300, 262, (-1, 0)),
    "sethostname": (170, 161, (_BAD, 5)),
}
_ONLY_X86 = {"iopl": (172, (4,)), "ioperm": (173, (0, 0, 1)), "lookup_dcookie": (212, (0, 0, 0))}


def answered(number: int, *arguments: int) -> str:
    """A call that the kernel looked at, whatever it thought of it."""
    result = _LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    found = ctypes.get_errno()
    if result < 0 and found in _SHUT:
        raise OSError(found, "shut")
    return errno.errorcode.get(found, str(found)) if result < 0 else f"result {result}"


def unshare(flags: int) -> str:
    """New namespaces for a child, by ``unshare``."""
    return _in_a_child(lambda: _done(_LIBC.syscall(ctypes.c_long(272 if _X86 else 97), ctypes.c_long(flags))))


def clone(flags: int) -> str:
    """New namespaces by ``clone``, which no filter can forbid."""
    child = _LIBC.syscall(ctypes.c_long(56 if _X86 else 220), ctypes.c_long(flags | signal.SIGCHLD), 0, 0, 0, 0)
    return _waited(child)


def clone3(flags: int) -> str:
    """New namespaces by ``clone3``, whose flags no filter can see."""
    given = struct.pack("8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = _LIBC.syscall(ctypes.c_long(_CLONE3), ctypes.c_char_p(given), ctypes.c_long(len(given)))
    return _waited(child)


def other_numbers() -> str:
    """``keyctl`` by the numbers of the x32 interface."""
    return answered(250 | 0x40000000, 0, -3, 0)


def other_gate() -> str:
    """``keyctl`` by the gate for 32-bit programs, which counts otherwise; None where there is none."""
    code = bytes.fromhex("53b820010000bb00000000b9fdffffffba00000000cd805bc3")

    def through() -> None:
        room = mmap.mmap(-1, 4_096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        room.write(code)
        run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(room)))
        result = run()
        if result < 0:
            raise OSError(-result, "shut")

    return _in_a_child(through)


def main() -> None:
    for name, (x86, arm, arguments) in CALLS.items():
        attempt(f"call:{name}", _calling(x86 if _X86 else arm, arguments))
    for name, flags in SPACES.items():
        for way in (unshare, clone, clone3):
            attempt(f"space:{name}:{way.__name__}", _spacing(way, flags))
    attempt("space:time:unshare", lambda: unshare(NEW_TIME))
    if _X86:
        for name, (number, arguments) in _ONLY_X86.items():
            attempt(f"call:{name}", _calling(number, arguments))
        attempt("call:by x32 numbers", other_numbers)
        attempt("call:by the 32-bit gate", other_gate)


def _calling(number: int, arguments: tuple[int, ...]) -> Callable[[], str]:
    return lambda: answered(number, *arguments)


def _spacing(way: Callable[[int], str], flags: int) -> Callable[[], str]:
    return lambda: way(flags)


def _done(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "shut")


def _in_a_child(act: Callable[[], object]) -> str:
    """Run in a process of its own, since it changes or ends the process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(min(code, 255))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        raise RefusedError(f"signal {-code}")
    if code:
        raise OSError(code, "shut")
    return "done"


def _waited(child: int) -> str:
    if child < 0:
        raise OSError(ctypes.get_errno(), "shut")
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "done"


if __name__ == "__main__":
    main()
