"""The first program in a box: it sets limits, hands listening sockets out of the box, and becomes the command.

Usage: ``python -I -S inside.py DOOR PORTS LIMITS command...``

``DOOR`` is a Unix socket of the worker. A socket belongs to the network namespace in which it was made, so the
listeners on 127.0.0.1 that are made here and handed over let the worker, outside, serve the box's own loopback: no
program of ours runs in the box, and nothing is copied twice. Only small built-in modules: this starts in milliseconds.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import os
import resource
import stat
import sys

NICE = 5
CPU_GRACE_SECONDS = 5
PR_SET_DUMPABLE = 4
OOM_SCORE = "900"
"""When the machine is out of memory, the kernel ends what runs in a box before it ends the worker."""


def main(door: str, ports: str, limits: str, command: list[str]) -> None:
    """Become ``command``; raises ``OSError`` when the worker is not there or the command cannot start."""
    _stand_back()
    listeners = [_listener(int(port)) for port in filter(None, ports.split(","))]
    with_door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    with_door.connect(door)
    handles = b"".join(listener.fileno().to_bytes(4, sys.byteorder) for listener in listeners)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handles)] if handles else []
    with_door.sendmsg([b"ready"], rights)
    # The worker answers when it serves, and closes: from here on nobody can come through this door.
    if with_door.recv(16) != b"go":
        raise OSError("the worker is gone")
    with_door.close()
    # Only now: handles under way are counted by user, against the limit of whoever sends one.
    _limit(limits)
    for listener in listeners:
        listener.close()
    # Python ignores these; a command expects to find them as they are for everybody.
    for name in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT, _signal.SIGQUIT):
        _signal.signal(name, _signal.SIG_DFL)
    _take_own_devices()
    if os.getpid() == 1:
        _be_first()
    os.execvp(command[0], command)  # noqa: S606 (that is what it is for)


def _limit(limits: str) -> None:
    for pair in filter(None, limits.split(",")):
        name, _, value = pair.partition("=")
        limit = getattr(resource, f"RLIMIT_{name}")
        # At the hard limit of CPU time the kernel kills without a word; at the soft one it says why.
        soft, hard = int(value), int(value) + (CPU_GRACE_SECONDS if name == "CPU" else 0)
        ceiling = resource.getrlimit(limit)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(limit, (soft, hard))


def _take_own_devices() -> None:
    """What the worker gave as input or output may be the host's ``/dev/null``: the box has its own."""
    for handle in (0, 1, 2):
        try:
            is_device = stat.S_ISCHR(os.fstat(handle).st_mode)
        except OSError:
            continue
        if is_device:
            own = os.open("/dev/null", os.O_RDWR)
            os.dup2(own, handle)
            os.close(own)


def _be_first() -> None:
    """Stay the first process of the box, which nobody in it can trace, and return in its child.

    Ends as the command ends; what is left then ends with it, in the kernel's hand.
    """
    # Only now: it takes longer to load than all the rest, and where there is no namespace nobody needs it.
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    command = os.fork()
    if command == 0:
        return
    while True:
        ended, status = os.wait()
        if ended == command:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _stand_back() -> None:
    """Let the worker and the rest of the machine go first; where the kernel knows no such thing, the limits do."""
    os.nice(NICE)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (pathlib takes longer than all the rest)
            file.write(OOM_SCORE)
    except OSError:
        return


def _listener(port: int) -> _socket.socket:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot start {sys.argv[4] if len(sys.argv) > 4 else 'a command'}: {error}\n")
        sys.exit(126)
