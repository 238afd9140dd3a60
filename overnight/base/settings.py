"""Settings: every knob of an installation, read from ``OVERNIGHT_*`` variables and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Role = Literal["plan", "execute", "judge", "diagnose", "reflect"]
EgressMode = Literal["public", "allow-list", "none", "host"]

_OPENNESS: tuple[EgressMode, ...] = ("none", "allow-list", "public", "host")


def permits(at_most: EgressMode, mode: EgressMode) -> bool:
    """Whether ``mode`` is no more open than ``at_most``."""
    return _OPENNESS.index(mode) <= _OPENNESS.index(at_most)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseSettings):
    """What an installation may choose. A session's own choices are in its ``SessionSpec``."""

    model_config = SettingsConfigDict(env_prefix="OVERNIGHT_", env_ignore_empty=True, extra="ignore", frozen=True)

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

    models: dict[Role, str] = {}
    """Model per role, as JSON; ``execute`` stands in for a role that is not named."""

    allow_unsandboxed: bool = False
    """Run untrusted code without isolation on this machine. Off unless a person says so."""

    sandbox_readable: list[AbsolutePath] = []
    """Folders of the host (as a JSON list) that commands in the sandbox may read, for tool chains in unusual places."""

    egress: EgressMode = "public"
    """Network of a session that names none: ``public`` addresses, its own ``allow-list``, or ``none``."""

    egress_at_most: EgressMode = "public"
    """The most open network that a session may ask of this worker. ``host`` is this machine's own, its ports included:
    what runs in the sandbox then reaches Temporal, and with it every session."""

    egress_exceptions: list[str] = []
    """Private destinations (as a JSON list of ``host[:port]``, address or network) that sessions may reach all the
    same: a company's package index."""

    egress_trust_proxy: bool = False
    """Leave names that are not known here to the proxy in ``HTTPS_PROXY``. It must refuse private addresses itself:
    where such a name leads cannot be seen."""

    box_memory_gb: float | None = Field(default=None, gt=0, le=100_000)
    """Memory of everything in one sandbox, in GB; half of the machine's when unset."""

    box_processes: int = Field(default=4096, ge=16, le=1_000_000)
    """Processes and threads in one sandbox."""

    box_cpu_minutes: float = Field(default=240, gt=0, le=100_000)
    """CPU time of one process in a sandbox, in minutes."""

    box_open_files: int = Field(default=16_384, ge=64, le=1_000_000)
    """Open files of one process in a sandbox."""

    box_file_gb: float = Field(default=8, gt=0, le=100_000)
    """Size of one file that a sandbox writes, in GB."""

    box_output_mb: float = Field(default=512, gt=0, le=1_000_000)
    """What one command may print, in MB."""

    box_disk_gb: float = Field(default=20, gt=0, le=1_000_000)
    """What workspace and temporary files of one sandbox may grow by, in GB."""

    vault_url: str | None = None
    """Git URL prefix of the vault; a folder in the home when unset."""

    turn_slots: int | None = Field(default=None, ge=1, le=256)
    """Claude Code calls and validations at once on this worker; sized by memory when unset."""

    grace_seconds: float = Field(default=20.0, ge=0, le=3600)
    """How long a worker that is told to stop lets running calls come to rest, in seconds."""

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
