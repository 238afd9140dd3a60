"""Publishing a checkpoint: the session's branch in the vault moves only from the commit that was expected there."""

from .checkpoint import Checkpoint, describe
from .git import GitError
from .message import read_commit
from .names import branch_ref, check_commit
from .push import Move, push
from .snapshot import Claim
from .vault import Conflict, Vault, hold_commit, session_tip, tip
from .worktree import Worktree, on_sound_shadow


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
    Conflict when one of the two is elsewhere, GitError, VaultAwayError, ValueError when the commit is not a child of
    that parent.
    """
    await on_sound_shadow(worktree, lambda: _publish(worktree, vault, commit, expected_parent, held, follow))


async def _publish(
    worktree: Worktree, vault: Vault, commit: str, expected_parent: str, held: Claim | None, follow: str | None
) -> None:
    ref = branch_ref(worktree.session_id)
    info = await read_commit(worktree.git_dir, check_commit(commit))
    if info.parents != (check_commit(expected_parent),):
        message = f"{commit} is not one commit on top of {expected_parent}"
        raise ValueError(message)
    moves = [Move(ref, expected_parent, commit)]
    if held is not None:
        moves.append(Move(held.ref, held.commit, follow))
    try:
        await push(vault, worktree.git_dir, *moves)
    except GitError:
        if await tip(vault, ref) == commit:
            return
        # Who has lost the claim is to hear that, whatever became of the branch since.
        for move in reversed(moves):
            if (now := await tip(vault, move.ref)) != move.expected:
                raise Conflict(move.ref, move.expected, now) from None
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
