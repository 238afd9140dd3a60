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
    try:
        return _expanded(path).absolute()
    except OSError:  # the folder that a relative one begins from is gone
        raise PydanticCustomError("relative", "{path} is not written in full", {"path": repr(str(path))}) from None


def _expanded(path: Path) -> Path:
    """``path`` with ``~`` as the home that it stands for."""
    try:
        return path.expanduser()
    except RuntimeError:
        said = "no home folder is known for {path}; write it in full"
        raise PydanticCustomError("no_home", said, {"path": repr(str(path))}) from None


def _folder(path: Path) -> Path:
    """A folder to show in the sandbox. The worker has another working directory, so it is written in full."""
    full = Path(os.path.normpath(_expanded(path)))
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


def _traces(given: str | None) -> str | None:
    if given is None or given.lower() in {"off", "otlp", "console"}:
        return given.lower() if given else None
    if not given.startswith("/"):
        raise PydanticCustomError("destination", "must be otlp, console, off, or a file written in full", {})
    return given


def _page(given: str | None) -> str | None:
    if given is None or re.match(r"https?://[^/\s]", given):
        return given
    raise PydanticCustomError("page", "must be an address that begins with http:// or https://", {})


def _vault(given: str | None) -> str | None:
    """A name alone would be a folder of wherever the worker stands."""
    if given is None or given.startswith("/") or "://" in given or ":" in given.partition("/")[0]:
        return given
    raise PydanticCustomError("vault", "must be the base of git URLs, or a folder written in full", {})


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

    ui_url: Annotated[str | None, AfterValidator(_page)] = None
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

    vault_url: Annotated[str | None, AfterValidator(_vault)] = Field(
        default=None, examples=["ssh://git@git.example.com/vaults"]
    )
    """Git URL prefix of the vault; a folder in the home when unset."""

    artifacts_url: str | None = Field(
        default=None, examples=["s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1"]
    )
    """Bucket of an S3-compatible service for artifacts, the same for all workers; a folder in the home when unset."""

    knowledge_url: str | None = Field(
        default=None, examples=["postgresql://overnight:password@db.example.com:5432/overnight"]
    )
    """PostgreSQL database for what sessions learn, the same for all workers; a file in the home when unset."""

    knowledge_max_entries: int = Field(default=100_000, ge=100, le=10_000_000)
    """Learnings that are kept; beyond, those go that were learned or used the longest ago."""

    knowledge_max_days: int = Field(default=730, ge=1, le=36_500)
    """How long a learning is kept that is neither learned again nor used, in days; what a person added stays."""

    knowledge_model_path: AbsolutePath | None = None
    """Folder of the embedding model by whose vectors knowledge is found: ``model.onnx``, and the tokenizer's files
    unless it is all-MiniLM-L6-v2. When unset, the model of the extra ``semantic``."""

    knowledge_allow_download: bool = False
    """Let a worker that has no embedding model download one (90 MB) from its public hub. Otherwise knowledge is found
    by words."""

    turn_slots: int | None = Field(default=None, ge=1, le=256)
    """Claude Code calls and validations at once on this worker; sized by memory when unset."""

    snapshot_seconds: float = Field(default=60.0, ge=0.1, le=3600)
    """How often the work in progress of an execute is kept where another host can take it up, in seconds."""

    grace_seconds: float = Field(default=20.0, ge=0, le=3600)
    """How long a worker that is told to stop lets running calls come to rest, in seconds."""

    mcp_wait_seconds: float = Field(default=3600, ge=1, le=86_400)
    """The longest that one call of the MCP server's wait lasts, in seconds, whatever it asks for: for clients that cut
    long calls off."""

    build_id: str | None = Field(default=None, min_length=1, max_length=200)
    """Turns Temporal's worker versioning on: the version of this worker, such as a commit. Nothing is dispatched to a
    version before somebody makes it the current one."""
    deployment: str = Field(default="overnight", min_length=1, max_length=200)
    """The deployment's name in Temporal's worker versioning."""

    mcp_projects: Destinations = Field(default=[], examples=["/srv/projects,https://git.example.com/team/"])
    """Folders of this machine and prefixes of git URLs, between commas or as a JSON list, within which callers over
    HTTP may name projects. With tokens, none unless set; without, any unless set."""

    mcp_tokens: Destinations = Field(default=[], examples=["ada:read+control:<sha256 of the token>"])
    """Tokens for MCP over HTTP beside those of ``overnight mcp token``, between commas or as a JSON list:
    ``owner:scope+scope:sha256``. Only the hash of a token is here, never the token."""

    mcp_hosts: Destinations = Field(default=[], examples=["overnight.example.com,10.1.2.3:8808"])
    """Names (``host[:port]``, between commas, or as a JSON list) by which callers over HTTP reach the MCP server,
    beside its own address."""

    mcp_origins: Destinations = Field(default=[], examples=["https://tools.example.com"])
    """Origins of web pages (between commas, or as a JSON list) whose scripts may call the MCP server over HTTP."""

    mcp_state_key: str | None = None
    """Secret of at least 32 characters, the same for all MCP servers behind one address; a file of the home when
    unset."""

    mcp_body_kb: int = Field(default=1_024, ge=4, le=65_536)
    """Largest request to the MCP server over HTTP, in kB."""

    mcp_request_seconds: float = Field(default=10.0, ge=0.1, le=600)
    """How long a caller over HTTP may take to send a request's head, and again for its body, in seconds."""

    mcp_requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """Requests of one token, or of one address that has none, to one MCP server over HTTP."""

    mcp_at_once: int = Field(default=64, ge=1, le=10_000)
    """Requests of one token under way at once in one MCP server, waits included."""

    mcp_waits_at_once: int = Field(default=16, ge=1, le=10_000)
    """Waits of one token under way at once in one MCP server."""

    traces: Annotated[str | None, AfterValidator(_traces)] = Field(
        default=None, max_length=1_000, examples=["otlp", "/var/log/overnight/traces.jsonl"]
    )
    """Where spans go: ``otlp``, a collector that the usual ``OTEL_EXPORTER_OTLP_*`` variables name; ``console``,
    standard error; a file, written in full, for lines of JSON; or ``off``. When unset: ``otlp`` where
    ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set."""

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
