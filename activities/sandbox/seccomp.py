"""A filter on system calls for every box: what neither a build nor a test needs, and what namespaces do not fence off.

bubblewrap takes it as a classic BPF program. Namespaces hide files, processes and networks; not the kernel's key rings
(which the worker's login may have filled), not sockets to a hypervisor (``AF_VSOCK`` knows no namespace), and not
rarely used corners of the kernel, where most escapes were found. A refused call fails with EPERM, as on a host that
forbids it.
"""

from __future__ import annotations

import errno
import platform
import struct

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN = 0x00050000 | errno.ENOSYS
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000

_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED: dict[str, dict[str, int]] = {
    "x86_64": {
        "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_by_handle_at": 304,
        "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "iopl": 172, "ioperm": 173, "swapon": 167, "swapoff": 168,
        "reboot": 169, "acct": 163, "quotactl": 179, "syslog": 103, "settimeofday": 164, "clock_settime": 227,
        "adjtimex": 159, "clock_adjtime": 305, "mount": 165, "umount2": 166, "pivot_root": 155, "move_mount": 429,
        "open_tree": 428, "fsopen": 430, "fsmount": 432, "mount_setattr": 442, "unshare": 272, "setns": 308,
        "vhangup": 153, "lookup_dcookie": 212, "fanotify_init": 300,
    },
    "aarch64": {
        "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_by_handle_at": 265,
        "kexec_load": 104, "kexec_file_load": 294, "init_module": 105,
        "finit_module": 273, "delete_module": 106, "swapon": 224, "swapoff": 225, "reboot": 142, "acct": 89,
        "quotactl": 60, "syslog": 116, "settimeofday": 170, "clock_settime": 112, "adjtimex": 171,
        "clock_adjtime": 266, "mount": 40, "umount2": 39, "pivot_root": 41, "move_mount": 429, "open_tree": 428,
        "fsopen": 430, "fsmount": 432, "mount_setattr": 442, "unshare": 97, "setns": 268, "vhangup": 58,
        "lookup_dcookie": 18, "fanotify_init": 262,
    },
}  # fmt: skip
_SOCKET = {"x86_64": 41, "aarch64": 198}
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK."""


def program(machine: str | None = None) -> bytes | None:
    """The filter for this machine's processor; None for one that we have no numbers of."""
    machine = machine or platform.machine()
    if machine not in _ARCHES:
        return None
    refused = sorted(set(_REFUSED[machine].values()))
    code = [
        _step(_LOAD, 0, 0, _ARCH),
        _step(_JUMP_EQUAL, 1, 0, _ARCHES[machine]),
        # Another architecture's numbers mean other calls: none of them is let through.
        _step(_RETURN, 0, 0, _UNKNOWN),
        _step(_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_step(_JUMP_GREATER, 0, 1, _X32), _step(_RETURN, 0, 0, _UNKNOWN)]
    for number in refused:
        code += [_step(_JUMP_EQUAL, 0, 1, number), _step(_RETURN, 0, 0, _REFUSE)]
    code += [_step(_JUMP_EQUAL, 1, 0, _SOCKET[machine]), _step(_RETURN, 0, 0, _ALLOW)]
    code += [_step(_LOAD, 0, 0, _FIRST_ARGUMENT)]
    for family in _FAMILIES:
        code += [_step(_JUMP_EQUAL, 0, 1, family), _step(_RETURN, 0, 0, _ALLOW)]
    code += [_step(_RETURN, 0, 0, _REFUSE)]
    return b"".join(code)


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
