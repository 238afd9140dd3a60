"""The filter on system calls, asked of the kernel itself: call by call, from inside a box."""

from __future__ import annotations

import errno
import json
import platform
import struct

import pytest

from activities.sandbox import seccomp
from tests.activities.sandbox.conftest import Bench

ASK = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
said = {}
for name, number in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    said[name] = ctypes.get_errno()
print(json.dumps(said))
"""


async def test_every_refused_call_is_refused(bench: Bench) -> None:
    machine = platform.machine()
    if seccomp.program() is None:
        pytest.skip(f"no numbers of system calls for {machine}")
    (bench.work / "ask.py").write_text(ASK)
    numbers = seccomp._REFUSED[machine]
    ended, said = await bench.run(f"python3 ask.py '{json.dumps(numbers)}'")
    assert ended.exit_code == 0, said
    assert json.loads(said) == dict.fromkeys(numbers, errno.EPERM)


async def test_what_programs_need_is_not_refused(bench: Bench) -> None:
    """epoll, inotify, pipes, threads, sockets of all ordinary families, memory files."""
    program = (
        "import asyncio, os, select, socket, threading, multiprocessing\n"
        "select.epoll(); os.memfd_create('x'); os.eventfd(0); os.pipe2(0)\n"
        "[socket.socket(f) for f in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)]\n"
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(multiprocessing.Pool(2).map(abs, [-1, -2]))\n"
    )
    (bench.work / "use.py").write_text(program)
    ended, said = await bench.run("python3 use.py")
    assert (ended.exit_code, said) == (0, "thread\n[1, 2]\n")


async def test_calls_of_the_x32_kind_are_unknown(bench: Bench) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("x32 is a matter of x86_64")
    (bench.work / "ask.py").write_text(ASK)
    _, said = await bench.run(f"python3 ask.py '{json.dumps({'x32 write': 0x40000000 + 1})}'")
    assert json.loads(said) == {"x32 write": errno.ENOSYS}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_jump_of_the_program_leads_out_of_it(machine: str) -> None:
    program = seccomp.program(machine)
    assert program is not None
    steps = list(struct.iter_unpack("HBBI", program))
    for index, (code, if_true, if_false, _) in enumerate(steps):
        if code in {0x15, 0x35}:
            assert index + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06


def test_an_unknown_processor_has_no_filter() -> None:
    assert seccomp.program("riscv64") is None
