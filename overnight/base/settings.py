"""Settings: every knob of an installation, read from ``OVERNIGHT_*`` variables and nowhere else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Role = Literal["plan", "execute", "judge", "diagnose", "reflect"]
EgressMode = Literal["public", "allow-list", "none", "host"]

_OPENNESS: tuple[EgressMode, ...] = ("none", "allow-list", "public", "host")


def permits(at_most: EgressMode, mode: EgressMode) -> bool:
    """Whether ``mode`` is no more open than ``at_most``."""
    return _OPENNESS.index(mode) <= _OPENNESS.index(at_most)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _folder(path: Path) -> Path:
    """A folder to show in the sandbox. The worker has another working directory, so it is written in full."""
    full = Path(os.path.normpath(path.expanduser()))
    if not full.is_absolute():
        raise PydanticCustomError("relative", "{path} is not written in full", {"path": repr(str(path))})
    if full == Path(full.anchor):
        raise PydanticCustomError("whole_host", "/ is the whole machine, credentials included", {})
    return full


def _entries(separators: str) -> Callable[[object], object]:
    """Reads a list from a variable: JSON, or entries between ``separators``."""

    def read(given: object) -> object:
        if not isinstance(given, str):
            return given
        if given.strip().startswith("["):
            return _from_json(given, list)
        return [entry.strip() for entry in re.split(f"[{separators}]", given) if entry.strip()]

    return read


def _object(given: object) -> object:
    return _from_json(given, dict) if isinstance(given, str) else given


def _from_json(text: str, kind: type[list[Any]] | type[dict[str, Any]]) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise PydanticCustomError("not_json", "it must be JSON", {})
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Folders = Annotated[list[Annotated[Path, AfterValidator(_folder)]], NoDecode, BeforeValidator(_entries(",:"))]
Destinations = Annotated[list[str], NoDecode, BeforeValidator(_entries(","))]
ByRole = Annotated[dict[Role, str], NoDecode, BeforeValidator(_object)]


class Settings(BaseSettings):
    """What an installation may choose. A session's own choices are in its ``SessionSpec``."""

    model_config = SettingsConfigDict(
        env_prefix="OVERNIGHT_", env_ignore_empty=True, extra="ignore", frozen=True, allow_inf_nan=False
    )

    home: AbsolutePath = Field(default=Path("~/.overnight"), validate_default=True)
    """Holds all state of the embedded default: database, vault, worktrees, artifacts, logs, ``stack.json``."""

    port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port of the embedded Temporal server on 127.0.0.1; a free one when unset."""

    ui_port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port of the embedded Web UI on 127.0.0.1; a free one when unset."""

    ui_url: str | None = None
    """Address of the Temporal Web UI, for links, when Temporal is not the embedded one."""

    max_cost_usd: float = Field(default=20.0, gt=0, le=10_000)
    """Budget in USD of a session that names none."""

    claude_path: AbsolutePath | None = None
    """Claude Code binary to use instead of the one bundled with ``claude-agent-sdk``."""

    models: ByRole = Field(default={}, examples=['{"execute": "claude-opus-5-5"}'])
    """Model per role, as JSON; ``execute`` stands in for a role that is not named."""

    allow_unsandboxed: bool = False
    """Run untrusted code without isolation on this machine. Off unless a person says so."""

    sandbox_readable: Folders = Field(default=[], examples=["/srv/tools:/srv/sdk"])
    """Folders of the host that commands in the sandbox may read, for tool chains in unusual places; between colons,
    or as a JSON list."""

    egress: EgressMode = "public"
    """Network of a session that names none: ``public`` addresses, its own ``allow-list``, or ``none``."""

    egress_at_most: EgressMode = "public"
    """The most open network that a session may ask of this worker. ``host`` is this machine's own, its ports included:
    what runs in the sandbox then reaches Temporal, and with it every session."""

    egress_exceptions: Destinations = Field(default=[], examples=["pkgs.corp.example.com:443,10.1.0.0/16"])
    """Private destinations (``host[:port]``, address or network; between commas, or as a JSON list) that sessions may
    reach all the same: a company's package index."""

    egress_trust_proxy: bool = False
    """Leave names that are not known here to the proxy in ``HTTPS_PROXY``. It must refuse private addresses itself:
    where such a name leads cannot be seen."""

    secrets_allowed: Destinations = Field(default=[], examples=["tests/vectors/*,docs/tokens.md"])
    """Files of a project, as patterns between commas or a JSON list, that may hold what only looks like a secret: it is
    then left in commits. Values that the worker knows are taken out all the same."""

    box_memory_gb: float | None = Field(default=None, ge=0.5, le=100_000, examples=["4"])
    """Memory of everything in one sandbox, in GB; half of the machine's when unset."""

    box_processes: int = Field(default=4096, ge=64, le=1_000_000)
    """Processes and threads in one sandbox."""

    box_cpu_minutes: float = Field(default=240, ge=0.05, le=100_000)
    """CPU time of one process in a sandbox, in minutes."""

    box_open_files: int = Field(default=16_384, ge=256, le=1_000_000)
    """Open files of one process in a sandbox."""

    box_file_gb: float = Field(default=8, ge=0.01, le=100_000)
    """Size of one file that a sandbox writes, in GB."""

    box_output_mb: float = Field(default=512, ge=1, le=1_000_000)
    """What one command may print, in MB."""

    box_disk_gb: float = Field(default=20, ge=0.1, le=1_000_000)
    """What workspace and temporary files of one sandbox may grow by, in GB."""

    vault_url: str | None = None
    """Git URL prefix of the vault; a folder in the home when unset."""

    artifacts_url: str | None = Field(
        default=None, examples=["s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1"]
    )
    """Bucket of an S3-compatible service for artifacts, the same for all workers; a folder in the home when unset."""

    turn_slots: int | None = Field(default=None, ge=1, le=256)
    """Claude Code calls and validations at once on this worker; sized by memory when unset."""

    snapshot_seconds: float = Field(default=60.0, ge=0.1, le=3600)
    """How often the work in progress of an execute is kept where another host can take it up, in seconds."""

    grace_seconds: float = Field(default=20.0, ge=0, le=3600)
    """How long a worker that is told to stop lets running calls come to rest, in seconds."""

    build_id: str | None = Field(default=None, min_length=1, max_length=200)
    """Turns Temporal's worker versioning on: the version of this worker, such as a commit. Nothing is dispatched to a
    version before somebody makes it the current one."""
    deployment: str = Field(default="overnight", min_length=1, max_length=200)
    """The deployment's name in Temporal's worker versioning."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    def model_for(self, role: Role) -> str:
        """The model that ``role`` uses when the session names none."""
        return self.models.get(role) or self.models.get("execute") or DEFAULT_MODEL

    def allows_egress(self, mode: EgressMode) -> bool:
        """Whether a session may have this network here."""
        return permits(self.egress_at_most, mode)

    @property
    def logs(self) -> Path:
        """Folder of log files."""
        return self.home / "logs"


DEFAULT_MODEL = "claude-opus-5-5"
"""What Claude Code itself takes with an API key; always passed, because its default depends on the credential."""


def app_dir() -> Path:
    """Folder that holds ``worker.py``, ``mcp_server.py`` and the flat packages: the checkout, or a wheel's ``_app``."""
    package = Path(__file__).resolve().parent.parent
    bundled = package / "_app"
    return bundled if bundled.is_dir() else package.parent
