"""What one box may use. Each limit that is hit is told by its name, its figure, and the setting that changes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psutil

from overnight.base.settings import Settings

Kind = Literal["memory", "processes", "cpu", "open_files", "file_size", "output", "disk"]

GB = 1_000_000_000
MB = 1_000_000
SIGXCPU_EXIT = 128 + 24
SIGXFSZ_EXIT = 128 + 25
_SETTINGS: dict[Kind, str] = {
    "memory": "OVERNIGHT_BOX_MEMORY_GB",
    "processes": "OVERNIGHT_BOX_PROCESSES",
    "cpu": "OVERNIGHT_BOX_CPU_MINUTES",
    "open_files": "OVERNIGHT_BOX_OPEN_FILES",
    "file_size": "OVERNIGHT_BOX_FILE_GB",
    "output": "OVERNIGHT_BOX_OUTPUT_MB",
    "disk": "OVERNIGHT_BOX_DISK_GB",
}
_SAID_BY_PROGRAMS: dict[Kind, tuple[bytes, ...]] = {
    "open_files": (b"Too many open files", b"EMFILE"),
    "file_size": (b"File too large", b"EFBIG", b"File size limit exceeded"),
    "cpu": (b"CPU time limit exceeded",),
}


@dataclass(frozen=True)
class Limits:
    """Of one box: all its processes together, unless it says otherwise."""

    memory_bytes: int
    processes: int
    """Processes and threads."""
    cpu_seconds: int
    """CPU time of one process."""
    open_files: int
    """Of one process."""
    file_bytes: int
    """Size of one file."""
    output_bytes: int
    """What a command may print."""
    disk_bytes: int
    """What workspace and temporary files may grow by."""
    reserve_bytes: int = GB
    """A disk with less left stops every box that still runs."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The installation's limits; memory is half of the machine's unless a person says."""
        memory = settings.box_memory_gb * GB if settings.box_memory_gb else psutil.virtual_memory().total / 2
        return cls(
            memory_bytes=int(memory),
            processes=settings.box_processes,
            cpu_seconds=int(settings.box_cpu_minutes * 60),
            open_files=settings.box_open_files,
            file_bytes=int(settings.box_file_gb * GB),
            output_bytes=int(settings.box_output_mb * MB),
            disk_bytes=int(settings.box_disk_gb * GB),
        )

    def told(self, kind: Kind) -> str:
        """A hit in words, for the person and the agent."""
        amount = {
            "memory": f"{self.memory_bytes / GB:.3g} GB of memory",
            "processes": f"{self.processes} processes and threads",
            "cpu": f"{self.cpu_seconds / 60:.3g} minutes of CPU time in one process",
            "open_files": f"{self.open_files} open files in one process",
            "file_size": f"a file of {self.file_bytes / GB:.3g} GB",
            "output": f"{self.output_bytes / MB:.3g} MB of output",
            "disk": f"{self.disk_bytes / GB:.3g} GB of new files, or a full disk",
        }[kind]
        return f"sandbox limit hit: {amount} ({_SETTINGS[kind]})"


def hits_of_exit(exit_code: int | None, last_output: bytes) -> set[Kind]:
    """Limits of a single process that a command's end shows: a signal of the kernel, or the error that it printed."""
    hits: set[Kind] = set()
    if exit_code == 0:
        return hits
    if exit_code == SIGXCPU_EXIT:
        hits.add("cpu")
    if exit_code == SIGXFSZ_EXIT:
        hits.add("file_size")
    return hits | {kind for kind, words in _SAID_BY_PROGRAMS.items() if any(word in last_output for word in words)}
