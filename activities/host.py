"""What activities have at hand on this worker: settings, gateway, sandbox, artifacts, vaults and session folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from activities.artifacts import Artifacts
from activities.claude import Gateway, Runner
from activities.sandbox import Box, EgressRules, Launcher
from activities.workspace import Vault, Worktree, ensure_worktree, import_base, open_vault
from overnight.base.redaction import Redactor, known_secrets
from overnight.base.settings import Settings
from workflows.contracts.requests import Site
from workflows.contracts.spec import Project
from workflows.policy import words


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

    @classmethod
    def of(cls, settings: Settings, gateway: Gateway, launcher: Launcher) -> Host:
        """Raises ``ValueError`` for settings that no session could run under."""
        EgressRules("public", exceptions=tuple(settings.egress_exceptions))
        credential = gateway.credential
        redactor = Redactor.of([*known_secrets(os.environ), *(credential.secrets if credential else ())])
        return cls(
            settings=settings,
            gateway=gateway,
            launcher=launcher,
            runner=Runner(settings, gateway, launcher, redactor),
            artifacts=Artifacts(settings.home / "artifacts", redactor),
            redactor=redactor,
        )

    def folder(self, session_id: str) -> Path:
        """This host's folder of a session."""
        return self.settings.home / "sessions" / session_id

    def vault_location(self, project: Project) -> str:
        """Path or URL of the project's vault."""
        if self.settings.vault_url:
            return f"{self.settings.vault_url.rstrip('/')}/{project.key}.git"
        return str(self.settings.home / "vault" / f"{project.key}.git")

    async def vault(self, project: Project) -> Vault:
        """The project's vault, made when it is not there yet."""
        return await open_vault(
            self.vault_location(project), cache=self.settings.home / "vault" / f"{project.key}.cache.git"
        )

    async def base(self, site: Site) -> str:
        """The commit that the session stands on: the one given, else the project's base, imported now."""
        if site.commit is not None:
            return site.commit
        vault = await self.vault(site.project)
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
            hidden=(Path(site.project.location),) if site.project.kind == "path" and site.project.location else (),
        )

    def sandbox(self, site: Site) -> str:
        """What stands between untrusted code and this host, for status and events."""
        own = self.launcher.has_own_network(site.egress.mode)
        return words.sandbox(self.launcher.isolation.name, site.egress.mode if own else None)
