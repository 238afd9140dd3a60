"""read: what the control side may ask a worker: each answered within 2 seconds, or beating meanwhile."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from temporalio import activity

from activities.claude import claude_binary
from activities.host import Host
from activities.in_force import in_force
from activities.workspace import (
    LogEntry,
    NoBranchError,
    ProjectError,
    RefError,
    VaultGoneError,
    diff,
    inspect_project,
    is_url,
    log,
    session_base,
)
from overnight.base import chosen
from overnight.base.tracing import is_on
from overnight.base.version import VERSION
from workflows.contracts.reads import (
    MAX_FILES,
    PATCH_BYTES,
    BranchAnswer,
    BranchQuestion,
    CommitLine,
    DiffAnswer,
    DiffQuestion,
    FileLine,
    HostAnswer,
    InForce,
    ProjectAnswer,
    ProjectQuestion,
)
from workflows.contracts.spec import Project, project_key
from workflows.policy.view import branch

BEAT_SECONDS = 0.5


@dataclass(frozen=True)
class Read:
    host: Host

    @activity.defn(name="read_project")
    async def project(self, question: ProjectQuestion) -> ProjectAnswer:
        """Resolve a project to its base commit, or say what is wrong with it. Writes nothing."""
        if question.location is None:
            return ProjectAnswer(project=Project(kind="new", key=f"new-{uuid4().hex[:12]}"))
        try:
            async with _beating():
                info = await inspect_project(question.location, question.ref)
        except RefError as error:
            return ProjectAnswer(problem=str(error), wrong="ref")
        except ProjectError as error:
            return ProjectAnswer(problem=str(error))
        url = is_url(question.location)
        location = question.location if url else await asyncio.to_thread(_resolved, question.location)
        return ProjectAnswer(
            project=Project(
                kind="url" if url else "path", location=location, commit=info.commit, key=project_key(location)
            ),
            branch=info.branch,
            subject=info.subject,
            dirty_files=info.dirty_files,
        )

    @activity.defn(name="read_host")
    async def about(self) -> HostAnswer:
        """What this worker is, holds and gives."""
        credential = self.host.gateway.credential
        isolation, settings = self.host.launcher.isolation, self.host.settings
        given = await asyncio.to_thread(in_force, isolation, settings, usual=None)
        return HostAnswer(
            version=VERSION,
            host=platform.node(),
            pid=os.getpid(),
            credential_kind=credential.kind if credential else None,
            fingerprint=credential.fingerprint.partition(":")[2] if credential else "",
            credential_source=credential.source if credential else "",
            isolation=isolation.name,
            isolation_problem=isolation.problem,
            isolation_lacks=isolation.lacks,
            isolation_full=isolation.full,
            unsandboxed_allowed=settings.allow_unsandboxed,
            egress_at_most=settings.egress_at_most,
            claude_code=await asyncio.to_thread(claude_version, claude_binary(settings)),
            traced=is_on(),
            in_force=InForce(state=given.state, detail=given.detail, lines=given.lines[:30], fix=given.fix),
            settings=chosen.told(settings),
        )

    @activity.defn(name="read_diff")
    async def diff(self, question: DiffQuestion) -> DiffAnswer:
        """What changed between two commits of a session's branch."""
        vault = await self.host.vault(question.site.project)
        async with _beating():
            found = await diff(
                vault,
                question.base,
                question.head,
                path=question.path,
                stat=question.stat,
                max_bytes=PATCH_BYTES,
                first_file=question.first_file,
                first_line=question.first_line,
            )
        files = [
            FileLine(path=f.path, status=f.status, added=f.added, removed=f.removed) for f in found.files[:MAX_FILES]
        ]
        return DiffAnswer(
            files=files,
            patch=found.patch,
            truncated=found.truncated or len(found.files) > MAX_FILES,
            total_files=found.total_files,
            patch_goes_on=found.patch_goes_on,
        )

    @activity.defn(name="read_branch")
    async def branch(self, question: BranchQuestion) -> BranchAnswer:
        """Where the session's branch is, and its checkpoints."""
        site = question.site
        base, entries = site.commit, list[LogEntry]()
        # Absent before the session's plan, or where another host holds the branch: the client knows which.
        with suppress(NoBranchError, VaultGoneError):
            vault = await self.host.vault(site.project)
            async with _beating():
                entries = await log(vault, site.session_id, base=site.commit, limit=100)
                base = base or await session_base(vault, site.session_id)
        return BranchAnswer(
            kind="url" if self.host.settings.vault_url else "path",
            vault=self.host.vault_location(site.project),
            branch=branch(site.session_id),
            base=base,
            commits=[
                CommitLine(
                    commit=e.commit,
                    subject=e.subject,
                    iteration=e.iteration,
                    step=e.step or "",
                    time=datetime.fromtimestamp(e.time, UTC),
                )
                for e in entries
            ],
        )


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Let hear from this worker while it looks at what may be large or far away: one that is dead says nothing."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    beats = asyncio.create_task(beat())
    try:
        yield
    finally:
        beats.cancel()


def _resolved(location: str) -> str:
    return str(Path(location).expanduser().resolve())


def claude_version(binary: Path) -> str:
    """The version that is written beside a bundled binary, or the binary's path."""
    beside = binary.with_name("claude.version")
    return beside.read_text().strip() if beside.is_file() else str(binary)
