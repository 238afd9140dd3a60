"""What activities have at hand on this worker: settings, gateway, sandbox, artifacts, vaults and session folders."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

from activities.artifacts import Artifacts
from activities.claude import Gateway, Runner
from activities.knowledge import Knowledge
from activities.pulse import Pulse
from activities.sandbox import Box, EgressRules, Launcher
from activities.workspace import Vault, Worktree, ensure_worktree, import_base, open_vault, repository_folders
from overnight.base.redaction import Redactor, known_secrets
from overnight.base.settings import Settings
from workflows.contracts.requests import Site
from workflows.contracts.spec import Project
from workflows.policy import words

TURN_BYTES = 700_000_000
"""Memory of one Claude Code process with what it runs, for sizing; measured around 250 MB for itself."""
RESERVED_BYTES = 1_000_000_000
MAX_TURNS = 32


@dataclass(frozen=True)
class Host:
    """One worker's means."""

    settings: Settings
    gateway: Gateway
    launcher: Launcher
    runner: Runner
    artifacts: Artifacts
    redactor: Redactor
    """Knows the secrets of this worker."""
    pulse: Pulse = field(default_factory=Pulse)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One for each Claude Code call or validation that may run at once, from whichever queue it comes."""

    @classmethod
    def of(cls, settings: Settings, gateway: Gateway, launcher: Launcher) -> Host:
        """Raises ``ValueError`` for settings that no session could run under."""
        EgressRules("public", exceptions=tuple(settings.egress_exceptions))
        credential = gateway.credential
        known = [*known_secrets(os.environ), *(credential.secrets if credential else ())]
        redactor = Redactor.of(known, settings.secrets_allowed)
        return cls(
            settings=settings,
            gateway=gateway,
            launcher=launcher,
            runner=Runner(settings, gateway, launcher, redactor),
            artifacts=Artifacts.of(settings, redactor),
            redactor=redactor,
            slots=asyncio.Semaphore(turn_slots(settings)),
        )

    @cached_property
    def id(self) -> str:
        """Names this host's queue; it survives restarts."""
        return host_id(self.settings.home)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What sessions learned; nothing is asked of its store before the first question.

        Raises ``ValueError``, in words, for a URL of no store.
        """
        return Knowledge.of(self.settings, self.redactor)

    def folder(self, session_id: str) -> Path:
        """This host's folder of a session."""
        return self.settings.home / "sessions" / session_id

    def vault_location(self, project: Project) -> str:
        """Path or URL of the project's vault."""
        if self.settings.vault_url:
            return f"{self.settings.vault_url.rstrip('/')}/{project.key}.git"
        return str(self.settings.home / "vault" / f"{project.key}.git")

    async def vault(self, project: Project, *, make: bool = False) -> Vault:
        """The project's vault; with ``make`` made when it is not there yet.

        Raises ``VaultAwayError`` for one that is gone: a new one in its place would hold nothing of the work.
        """
        return await open_vault(
            self.vault_location(project), cache=self.settings.home / "vault" / f"{project.key}.cache.git", make=make
        )

    async def base(self, site: Site) -> str:
        """The commit that the session stands on: the one given, else the project's base, imported now."""
        if site.commit is not None:
            return site.commit
        vault = await self.vault(site.project, make=True)
        return await import_base(vault, site.session_id, site.project.location, site.project.commit)

    async def worktree(self, site: Site, commit: str, *, keep_changes: bool = False) -> Worktree:
        """This host's worktree of the session at ``commit``."""
        vault = await self.vault(site.project)
        return await ensure_worktree(
            self.folder(site.session_id), vault, site.session_id, commit, keep_changes=keep_changes
        )

    def box(self, site: Site, worktree: Worktree, *, writable: bool, config: Path | None = None) -> Box:
        """A box around a worktree."""
        egress = EgressRules(site.egress.mode, tuple(site.egress.allow), tuple(self.settings.egress_exceptions))
        return Box(
            workspace=worktree.tree,
            writable=writable,
            objects=worktree.objects,
            config=config,
            egress=egress,
            hidden=(*_hidden(site.project), *([Path(site.held_out)] if site.held_out else [])),
        )

    def sandbox(self, site: Site) -> str:
        """What stands between untrusted code and this host, for status and events."""
        own = self.launcher.has_own_network(site.egress.mode)
        return words.sandbox(self.launcher.isolation.name, site.egress.mode if own else None)


def _hidden(project: Project) -> tuple[Path, ...]:
    """What of the host no box may see: the person's checkout, and its repository where that lies elsewhere."""
    if project.kind != "path" or not project.location:
        return ()
    return repository_folders(Path(project.location))


def turn_slots(settings: Settings) -> int:
    """Claude Code calls and validations at once, by memory unless a person says."""
    fitting = (psutil.virtual_memory().total - RESERVED_BYTES) // TURN_BYTES
    return settings.turn_slots or int(max(1, min(MAX_TURNS, fitting)))


def host_id(home: Path) -> str:
    """The id of the host with this home, made once."""
    place = home / "host-id"
    with suppress(OSError):
        if re.fullmatch(r"[0-9a-f]{12}", known := place.read_text().strip()):
            return known
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = home / f".host-id.{os.getpid()}"
    fresh.write_text(f"{uuid.uuid4().hex[:12]}\n")
    if place.exists():
        fresh.replace(place)
    else:
        with suppress(FileExistsError):
            # Of two that begin at once, the first names the host.
            os.link(fresh, place)
        fresh.unlink()
    return place.read_text().strip()
