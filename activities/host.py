"""What activities have at hand on this worker: settings, gateway, sandbox, artifacts, vaults and session folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from activities.artifacts import Artifacts
from activities.claude import Gateway, Runner
from activities.sandbox import Box, Launcher
from activities.workspace import Vault, Worktree, ensure_worktree, import_base, open_vault
from overnight.base.settings import Settings
from workflows.contracts.requests import Site
from workflows.contracts.spec import Project


@dataclass(frozen=True)
class Host:
    """One worker's means."""

    settings: Settings
    gateway: Gateway
    launcher: Launcher
    runner: Runner
    artifacts: Artifacts

    @classmethod
    def of(cls, settings: Settings, gateway: Gateway, launcher: Launcher) -> Host:
        return cls(
            settings=settings,
            gateway=gateway,
            launcher=launcher,
            runner=Runner(settings, gateway, launcher),
            artifacts=Artifacts(settings.home / "artifacts"),
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

    def box(self, worktree: Worktree, *, writable: bool, config: Path | None = None) -> Box:
        """A box around a worktree."""
        return Box(workspace=worktree.tree, writable=writable, objects=worktree.objects, config=config)
