"""Overnight's git: the vault that keeps every session's commits, and the workspace in which the agent works.

Overnight's git never opens a `.git` that the agent can write, starts nothing that a repository names, and never
changes the user's repository.
"""

from .agent_git import give_agent_git
from .base import import_base
from .checkpoint import Checkpoint, checkpoint, describe, restore
from .diff import DiffResult, FileChange, diff
from .files import remove
from .git import GitError
from .lock import LockTimeoutError, session_lock
from .materialise import materialise, restore_tracked
from .names import base_ref, branch_name, branch_ref, is_url
from .project import inspect_project
from .project_info import ProjectError, ProjectInfo
from .publish import find_published, publish
from .reading import LogEntry, log, read_text
from .secrets import SecretFound, secrets_between
from .staging import MAX_FILE_BYTES, Skipped, untracked
from .vault import Conflict, Vault, open_vault, session_tip, tidy
from .worktree import Worktree, ensure_worktree

__all__ = [
    "MAX_FILE_BYTES",
    "Checkpoint",
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
    "Vault",
    "Worktree",
    "base_ref",
    "branch_name",
    "branch_ref",
    "checkpoint",
    "describe",
    "diff",
    "ensure_worktree",
    "find_published",
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
    "restore",
    "restore_tracked",
    "secrets_between",
    "session_lock",
    "session_tip",
    "tidy",
    "untracked",
]
