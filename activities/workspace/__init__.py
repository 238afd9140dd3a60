"""Overnight's git: the vault that keeps every session's commits, and the workspace in which the agent works.

Overnight's git never opens a `.git` that the agent can write, starts nothing that a repository names, and never
changes the user's repository.
"""

from .agent_git import give_agent_git
from .base import import_base
from .checkpoint import Checkpoint, checkpoint, describe, restore
from .diff import DiffResult, FileChange, diff
from .files import remove, tame
from .git import GitError
from .lock import LockTimeoutError, session_lock
from .materialise import materialise, restore_tracked
from .names import base_ref, branch_name, branch_ref, is_url
from .project import inspect_project
from .project_info import ProjectError, ProjectInfo
from .publish import find_published, publish
from .reading import LogEntry, log, read_text
from .repository import repository_folders
from .secrets import SecretFound, secrets_between
from .snapshot import (
    GATHER,
    Claim,
    Snapshot,
    claim,
    follow_up,
    gather_facts,
    restore_transcript,
    restore_work,
    take_snapshot,
)
from .staging import MAX_FILE_BYTES, Skipped, untracked
from .vault import Conflict, Vault, open_vault, session_tip, tidy
from .worktree import Worktree, ensure_worktree

__all__ = [
    "GATHER",
    "MAX_FILE_BYTES",
    "Checkpoint",
    "Claim",
    "Conflict",
    "DiffResult",
    "FileChange",
    "GitError",
    "LockTimeoutError",
    "LogEntry",
    "ProjectError",
    "ProjectInfo",
    "SecretFound",
    "Skipped",
    "Snapshot",
    "Vault",
    "Worktree",
    "base_ref",
    "branch_name",
    "branch_ref",
    "checkpoint",
    "claim",
    "describe",
    "diff",
    "ensure_worktree",
    "find_published",
    "follow_up",
    "gather_facts",
    "give_agent_git",
    "import_base",
    "inspect_project",
    "is_url",
    "log",
    "materialise",
    "open_vault",
    "publish",
    "read_text",
    "remove",
    "repository_folders",
    "restore",
    "restore_tracked",
    "restore_transcript",
    "restore_work",
    "secrets_between",
    "session_lock",
    "session_tip",
    "take_snapshot",
    "tame",
    "tidy",
    "untracked",
]
