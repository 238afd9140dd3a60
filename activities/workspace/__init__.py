"""Overnight's git: the vault that keeps every session's commits, and the workspace in which the agent works.

Overnight's git never opens a `.git` that the agent can write, starts nothing that a repository names, and never
changes the user's repository.
"""

from .agent_git import give_agent_git
from .ancestry import changed_since, is_behind
from .away import VaultAwayError, VaultGoneError
from .base import import_base
from .checkpoint import Checkpoint, checkpoint, describe, restore
from .diff import DiffResult, FileChange, diff
from .files import remove, tame
from .git import GitError
from .held_out import HeldOutFile, HeldOutFiles, held_out_folder, held_out_ref, seen_by_agent
from .lock import LockTimeoutError, session_lock
from .materialise import materialise, restore_tracked
from .names import base_ref, branch_name, branch_ref, is_url
from .project import inspect_project
from .project_info import ProjectError, ProjectInfo, RefError
from .publish import find_published, publish
from .reading import LogEntry, NoBranchError, checkpoint_of_iteration, log, read_text
from .repository import repository_folders
from .secrets import SecretFound, secrets_between
from .snapshot import (
    GATHER,
    Claim,
    Snapshot,
    claim,
    follow_up,
    gather_facts,
    made_for,
    restore_transcript,
    restore_work,
    take_snapshot,
)
from .staging import MAX_FILE_BYTES, Skipped, untracked
from .trees import TreeChange, TreeEntry, files_naming, loose_files, put_back, read_blobs, tree_changes, tree_of
from .vault import Conflict, Vault, open_vault, session_base, session_tip, tidy
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
    "HeldOutFile",
    "HeldOutFiles",
    "LockTimeoutError",
    "LogEntry",
    "NoBranchError",
    "ProjectError",
    "ProjectInfo",
    "RefError",
    "SecretFound",
    "Skipped",
    "Snapshot",
    "TreeChange",
    "TreeEntry",
    "Vault",
    "VaultAwayError",
    "VaultGoneError",
    "Worktree",
    "base_ref",
    "branch_name",
    "branch_ref",
    "changed_since",
    "checkpoint",
    "checkpoint_of_iteration",
    "claim",
    "describe",
    "diff",
    "ensure_worktree",
    "files_naming",
    "find_published",
    "follow_up",
    "gather_facts",
    "give_agent_git",
    "held_out_folder",
    "held_out_ref",
    "import_base",
    "inspect_project",
    "is_behind",
    "is_url",
    "log",
    "loose_files",
    "made_for",
    "materialise",
    "open_vault",
    "publish",
    "put_back",
    "read_blobs",
    "read_text",
    "remove",
    "repository_folders",
    "restore",
    "restore_tracked",
    "restore_transcript",
    "restore_work",
    "secrets_between",
    "seen_by_agent",
    "session_base",
    "session_lock",
    "session_tip",
    "take_snapshot",
    "tame",
    "tidy",
    "tree_changes",
    "tree_of",
    "untracked",
]
