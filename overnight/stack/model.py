"""What the stack's two small files say: ``stack.json`` (the supervisor's) and ``worker.json`` (the worker's)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overnight.stack.home import Home, read_text
from overnight.stack.processes import Process

NAMESPACE = "default"


class Stack(BaseModel):
    """What runs for one ``OVERNIGHT_HOME``. A process is None while it is down."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    home: Path
    version: str
    """Version of Overnight that its supervisor was started by."""

    supervisor: Process | None
    server: Process | None = None
    worker: Process | None = None
    address: str
    """Temporal's gRPC endpoint, ``127.0.0.1:PORT``."""

    ui_url: str
    """Temporal's Web UI, ``http://127.0.0.1:PORT``."""

    namespace: str = NAMESPACE
    started_at: datetime
    credential: str | None = None
    """Which credential the worker holds, in its own opaque words; None when it holds none."""

    ready: bool = False
    """The server that runs is healthy, and the worker that runs has said that it is ready."""

    proven: bool = False
    """It has been ready once since it came up, so that sessions may be waiting in it."""

    stopping: bool = False
    problem: str | None = None
    """The last failure in words; cleared after a minute of health."""

    problem_log: Literal["server", "worker"] | None = None
    """Whose log tells more about ``problem``."""

    failures: int = Field(default=0, ge=0)
    """Starts in a row that came to nothing."""

    gave_up: bool = False
    """The supervisor ended because the stack never came up; ``problem`` says why."""

    @property
    def up(self) -> bool:
        """All three processes are there and the worker is ready."""
        present = self.supervisor is not None and self.server is not None and self.worker is not None
        return present and self.ready and not self.stopping

    @property
    def port(self) -> int:
        """TCP port of ``address``."""
        return port_of(self.address)

    @property
    def ui_port(self) -> int:
        """TCP port of ``ui_url``."""
        return port_of(self.ui_url)


class Announcement(BaseModel):
    """What the worker says about itself in ``worker.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    create_time: float | None = None
    ready: bool = False
    credential: str | None = Field(default=None, max_length=200)
    problem: str | None = Field(default=None, max_length=4000)


def port_of(address: str) -> int:
    """The port at the end of an address or URL that Overnight itself wrote; 0 when there is none."""
    tail = address.rstrip("/").rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def read_stack(home: Home) -> Stack | None:
    """What ``stack.json`` says, true or not by now; None when it is absent, garbage, or a copy of another home's."""
    text = read_text(home.stack_json)
    if text is None:
        return None
    try:
        stack = Stack.model_validate_json(text)
    except ValidationError:
        return None
    return stack if stack.home == home.path else None


def read_announcement(home: Home) -> Announcement | None:
    """What ``worker.json`` says, or None when it is absent or garbage."""
    text = read_text(home.worker_json)
    if text is None:
        return None
    try:
        return Announcement.model_validate_json(text)
    except ValidationError:
        return None
