"""The agent owns its workspace and everything in it; Overnight's git runs nothing of what it put there."""

from pathlib import Path

import pytest

from activities.workspace import checkpoint, diff, give_agent_git, materialise, publish, restore

from .support import SESSION, Session, Tripwire, git, start, write


@pytest.fixture
async def trapped(tmp_path: Path, trip: Tripwire) -> Session:
    """A session whose agent has prepared its .git, attributes and hooks to run a command."""
    attributes = "* filter=x diff=x merge=x text\n*.bin filter=lfs diff=lfs\n"
    session = await start(tmp_path, {".gitattributes": attributes, "a.txt": "one\n", "x.bin": "1"})
    await give_agent_git(session.worktree, session.worktree.objects)
    command = trip.command
    with (session.tree / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "{command}"\n\thooksPath = .git/hooks\n\tsshCommand = "{command}"\n'
            f'\tworktree = /\n[filter "x"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n\trequired = true\n'
            f'[diff "x"]\n\ttextconv = "{command}"\n\tcommand = "{command}"\n[diff]\n\texternal = "{command}"\n'
            f'[gpg]\n\tprogram = "{trip.script}"\n[commit]\n\tgpgsign = true\n'
        )
    hooks = session.tree / ".git" / "hooks"
    hooks.mkdir()
    for hook in (
        "pre-commit",
        "post-commit",
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "pre-push",
    ):
        (hooks / hook).write_text(f"#!/bin/sh\n{command}\n")
        (hooks / hook).chmod(0o755)
    for name in ("git", "ssh", "sh"):
        (session.tree / name).write_text(f"#!/bin/sh\n{command}\n")
        (session.tree / name).chmod(0o755)
    write(session.tree, {"a.txt": "two\n", ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:9\n"})
    return session


async def test_the_trap_works(trapped: Session, trip: Tripwire) -> None:
    git("status", cwd=trapped.tree, check=False)
    assert trip.fired


async def test_a_whole_round_runs_nothing(trapped: Session, trip: Tripwire, tmp_path: Path) -> None:
    first = await checkpoint(trapped.worktree, session_id=SESSION, iteration=1, step="a", subject="One")
    await publish(trapped.worktree, trapped.vault, first.commit, trapped.base)
    worktree = await trapped.at(first.commit)
    back = await restore(worktree, trapped.vault, trapped.base, session_id=SESSION, iteration=2, step="b")
    await publish(worktree, trapped.vault, back.commit, first.commit)
    await trapped.at(first.commit, keep_changes=False)
    await trapped.at(first.commit, host="other")
    await materialise(trapped.worktree, first.commit, tmp_path / "clean")
    result = await diff(trapped.vault, trapped.base, first.commit)
    assert "+two" in result.patch
    assert (tmp_path / "clean" / "a.txt").read_text() == "two\n"
    assert not trip.fired
