"""Publishing a checkpoint: the session's branch in the vault moves only from the commit that was expected there."""

import asyncio

from .checkpoint import Checkpoint, describe
from .git import LONG_S, GitError, git
from .message import read_commit
from .names import branch_ref, check_commit
from .snapshot import Claim
from .vault import Conflict, Vault, clear_stale_locks, hold_commit, session_tip, tip
from .worktree import Worktree


async def publish(
    worktree: Worktree,
    vault: Vault,
    commit: str,
    expected_parent: str,
    *,
    held: Claim | None = None,
    follow: str | None = None,
) -> None:
    """Move the session's branch in the vault from `expected_parent` to `commit`, its child; a repetition is fine.

    With a claim only while it is held: its hidden ref moves in the same breath, to `follow`, or is deleted. Raises
    Conflict when one of the two is elsewhere, GitError, ValueError when the commit is not a child of that parent.
    """
    ref = branch_ref(worktree.session_id)
    info = await read_commit(worktree.git_dir, check_commit(commit))
    if info.parents != (check_commit(expected_parent),):
        message = f"{commit} is not one commit on top of {expected_parent}"
        raise ValueError(message)
    expected: dict[str, str | None] = {ref: expected_parent}
    moves = [f"{commit}:{ref}"]
    if held is not None:
        expected[held.ref] = held.commit
        moves.append(f"{follow}:{held.ref}" if follow else f":{held.ref}")
    await asyncio.to_thread(clear_stale_locks, vault, list(expected))
    try:
        await git(
            *("push", "--quiet", "--atomic", *(f"--force-with-lease={name}:{at}" for name, at in expected.items())),
            *("--", vault.address, *moves),
            git_dir=worktree.git_dir,
            transports=vault.transports,
            limit_s=LONG_S,
        )
    except GitError:
        if await tip(vault, ref) == commit:
            return
        # Who has lost the claim is to hear that, whatever became of the branch since.
        for name, at in reversed(expected.items()):
            if (now := await tip(vault, name)) != at:
                raise Conflict(name, at, now) from None
        raise


async def find_published(vault: Vault, session_id: str, iteration: int, step: str, parent: str) -> Checkpoint | None:
    """Return the checkpoint of this step if an earlier attempt published it and only its completion was lost.

    That is so when the vault's tip has exactly this parent and the trailers of this step; anything else is None.
    The result does not know what the earlier attempt moved aside or skipped. Raises GitError.
    """
    now = await session_tip(vault, session_id)
    if now is None or now == parent:
        return None
    await hold_commit(vault, now)
    info = await read_commit(vault.git_dir, now)
    if info.parents != (check_commit(parent),) or not info.is_step(session_id, iteration, step):
        return None
    return await describe(vault, now)
