"""Work in progress: a hidden ref that keeps what an execute has done so far, and says who may publish.

Its tip is a commit on top of the checkpoint that the work stands on. Its tree has the workspace's files in `tree/`, and
the conversation's transcript beside it. Whoever begins an attempt puts a commit of its own there: from then on no
earlier attempt, on whatever host it still runs, can move this ref or publish.
"""

import asyncio
import os
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from overnight.base.redaction import Redactor

from .files import copy_regular
from .git import LONG_S, GitError, git
from .message import ITERATION, SESSION, STEP, compose, read_commit
from .names import check_commit, snapshot_ref
from .nested import list_gitlinks
from .push import Move, push
from .secrets import telling_paths
from .vault import Conflict, Vault, hold_commit, tip
from .worktree import Worktree, clean_to, obtain, on_sound_shadow

GATHER = Path(__file__).with_name("gather.py")
"""The program that packs a workspace, in a box."""
MAX_TRANSCRIPT_BYTES = 16 * 2**20
"""A longer one is not kept: another host goes on from a brief."""
_HOST = "Overnight-Host"
_CLAIM = "Overnight-Claim"
_TRANSCRIPT = "transcript.jsonl"
_WORK = "tree"
_TRIES = 5
_MANY_PATHS = 2**30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Work that an earlier attempt at the same step left, on the host that is named."""

    commit: str
    host: str
    has_transcript: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one attempt to publish a step of a session, as long as `commit` is the tip of its hidden ref."""

    worktree: Worktree
    vault: Vault
    iteration: int
    step: str
    host: str
    commit: str
    rebuilt: bool = False
    """What was at the hidden ref could not be read: whether somebody was at work on this step, it does not say."""

    @property
    def ref(self) -> str:
        """The hidden ref."""
        return snapshot_ref(self.worktree.session_id)


async def claim(
    worktree: Worktree, vault: Vault, *, iteration: int, step: str, host: str
) -> tuple[Claim, Snapshot | None]:
    """Take over the step: from now on nobody who claimed it before can publish. Tells what they left, if anything.

    What is there of another step, or stands on another commit than the worktree's, is no use and is replaced. The
    caller holds the session lock. Raises Conflict when others claim it again and again, GitError.
    """
    return await on_sound_shadow(worktree, lambda: _claim(worktree, vault, iteration, step, host))


async def _claim(
    worktree: Worktree, vault: Vault, iteration: int, step: str, host: str
) -> tuple[Claim, Snapshot | None]:
    ref = snapshot_ref(worktree.session_id)
    mine = Claim(worktree, vault, iteration, step, host, "")
    for _ in range(_TRIES):
        now = await tip(vault, ref)
        found, readable = await _usable(mine, now)
        tree = f"{now}^{{tree}}" if found else await _wrapped(worktree, f"{worktree.commit}^{{tree}}", None)
        commit = await _commit(mine, tree, host=found.host if found else host)
        try:
            rebuilt = await _move(mine, now, commit) or not readable
        except Conflict:
            continue
        return replace(mine, commit=commit, rebuilt=rebuilt), found
    raise Conflict(ref, now, await tip(vault, ref))


async def made_for(worktree: Worktree, iteration: int, *steps: str) -> bool:
    """Whether a checkpoint of one of these steps was made in the workspace as it is, and not published."""
    if worktree.unrecorded is None:
        return False
    try:
        info = await read_commit(worktree.git_dir, worktree.unrecorded)
    except GitError:
        return False
    return any(info.is_step(worktree.session_id, iteration, step) for step in steps)


async def take_snapshot(held: Claim, gathered: Path, *, transcript: Path | None, redactor: Redactor) -> Claim:
    """Keep what was `gathered` of the workspace, and a copy of the transcript; the same claim, further on.

    `gathered` is what `gather.py` printed in a box: our git never looks at a workspace in which the agent is at work.
    Files in which it wrote a secret are left as they were; of the transcript, secrets are taken out. Raises Conflict
    when a later attempt has claimed the step, GitError, OSError.
    """
    worktree = held.worktree
    tree = await _unpack(worktree, gathered)
    tree = await _without_secrets(worktree, tree, redactor)
    wrapped = await _wrapped(worktree, tree, await _transcript(worktree, transcript, redactor))
    last = await read_commit(worktree.git_dir, held.commit)
    if wrapped == last.tree and last.trailers.get(_HOST) == held.host:
        return held
    commit = await _commit(held, wrapped, host=held.host)
    await _move(held, held.commit, commit)
    return replace(held, commit=commit)


async def gather_facts(worktree: Worktree, folder: Path) -> None:
    """Put what `gather.py` needs to know into `folder`, which is made. Raises GitError, OSError."""
    await asyncio.to_thread(folder.mkdir)
    for name, inside in (("index", "index"), ("attributes", "info/attributes"), ("shallow", "shallow")):
        await asyncio.to_thread(copy_regular, worktree.git_dir / inside, folder / name)
    links = await list_gitlinks(worktree)
    await asyncio.to_thread((folder / "links").write_bytes, b"\0".join(sorted(links)))


async def follow_up(held: Claim, commit: str, *, transcript: Path | None, redactor: Redactor) -> str:
    """Make what is to be at the hidden ref when the checkpoint `commit` is published and the same step goes on from it.

    Nothing is moved yet: `publish` moves both at once. Raises GitError, OSError.
    """
    blob = await _transcript(held.worktree, transcript, redactor)
    wrapped = await _wrapped(held.worktree, f"{commit}^{{tree}}", blob)
    return await _commit(replace(held, worktree=replace(held.worktree, commit=commit)), wrapped, host=held.host)


async def restore_work(worktree: Worktree, vault: Vault, snapshot: Snapshot) -> None:
    """Give the workspace the files of a snapshot, as work not committed yet; ignored files stay.

    The caller holds the session lock. Raises GitError.
    """

    async def put() -> None:
        await obtain(worktree, vault, snapshot.commit)
        await clean_to(worktree, f"{snapshot.commit}:{_WORK}")

    await on_sound_shadow(worktree, put)


async def restore_transcript(vault: Vault, snapshot: Snapshot, path: Path) -> None:
    """Write the transcript of a snapshot to `path`. Raises GitError, OSError."""
    await hold_commit(vault, snapshot.commit)
    shown = await git(
        "cat-file", "blob", f"{snapshot.commit}:{_TRANSCRIPT}", git_dir=vault.git_dir, max_output=_MANY_PATHS
    )
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(path.write_bytes, shown.stdout)


async def _usable(mine: Claim, now: str | None) -> tuple[Snapshot | None, bool]:
    """What is at the tip, when it belongs to this step and stands on the worktree's commit; and whether it is legible.

    What leads to no commit is as good as nothing there.
    """
    if now is None:
        return None, True
    try:
        await hold_commit(mine.vault, now)
        info = await read_commit(mine.vault.git_dir, now)
    except GitError as error:
        if not error.shows_damage:
            raise
        return None, False
    if info.parents != (mine.worktree.commit,) or not info.is_step(mine.worktree.session_id, mine.iteration, mine.step):
        return None, True
    await obtain(mine.worktree, mine.vault, now)
    listed = await git("ls-tree", "--name-only", now, git_dir=mine.worktree.git_dir)
    return Snapshot(now, info.trailers.get(_HOST, ""), _TRANSCRIPT in listed.text.splitlines()), True


async def _unpack(worktree: Worktree, gathered: Path) -> str:
    """Take the objects over, each examined by git, and return the tree. What is no tree raises GitError."""
    with await asyncio.to_thread(gathered.open, "rb") as file:
        tree = check_commit((await asyncio.to_thread(file.readline, 64)).decode("ascii", "replace").strip())
        # git reads from the descriptor, which does not know what Python has read ahead.
        os.lseek(file.fileno(), len(tree) + 1, os.SEEK_SET)
        await git("unpack-objects", "-q", "--strict", git_dir=worktree.git_dir, source=file, limit_s=LONG_S)
    kind = (await git("cat-file", "-t", tree, git_dir=worktree.git_dir)).text
    if kind != "tree":
        raise GitError("unpack-objects", None, f"what was gathered of the workspace is a {kind}, not a tree")
    return tree


async def _without_secrets(worktree: Worktree, tree: str, redactor: Redactor) -> str:
    """The tree with the files as they were in which there is a new secret, and without new ones."""
    git_dir, base = worktree.git_dir, worktree.commit
    probe = await git("commit-tree", tree, "-p", base, "-m", "Snapshot", git_dir=git_dir)
    found = await telling_paths(git_dir, base, probe.text, redactor)
    if not found:
        return tree
    with tempfile.TemporaryDirectory(prefix="snapshot-") as place:
        index = Path(place) / "index"
        await git("read-tree", tree, git_dir=git_dir, index=index, limit_s=LONG_S)
        listed = await git("ls-tree", "-r", "-z", base, git_dir=git_dir, max_output=_MANY_PATHS)
        before = {entry.partition(b"\t")[2]: entry for entry in listed.fields}
        gone = b"0 " + b"0" * 40 + b"\t"
        entries = b"".join(gone + path + b"\0" + (before[path] + b"\0" if path in before else b"") for path in found)
        await git("update-index", "-z", "--index-info", git_dir=git_dir, index=index, stdin=entries)
        return (await git("write-tree", git_dir=git_dir, index=index, limit_s=LONG_S)).text


async def _transcript(worktree: Worktree, transcript: Path | None, redactor: Redactor) -> str | None:
    """Store the transcript without secrets, and return its blob."""
    if transcript is None or (await asyncio.to_thread(transcript.stat)).st_size > MAX_TRANSCRIPT_BYTES:
        return None
    with tempfile.NamedTemporaryFile(prefix="transcript-") as clean:
        await asyncio.to_thread(_copy, transcript, Path(clean.name), redactor)
        return (await git("hash-object", "-w", "--no-filters", clean.name, git_dir=worktree.git_dir)).text


def _copy(source: Path, target: Path, redactor: Redactor) -> None:
    with source.open("rb") as file, target.open("wb") as clean:
        redactor.copy(file, clean)


async def _wrapped(worktree: Worktree, tree: str, transcript: str | None) -> str:
    """Write the outer tree."""
    inner = (await git("rev-parse", tree, git_dir=worktree.git_dir)).text
    entries = f"040000 tree {inner}\t{_WORK}\n"
    if transcript is not None:
        entries += f"100644 blob {transcript}\t{_TRANSCRIPT}\n"
    return (await git("mktree", git_dir=worktree.git_dir, stdin=entries.encode())).text


async def _commit(held: Claim, tree: str, *, host: str) -> str:
    worktree = held.worktree
    trailers = {
        SESSION: worktree.session_id,
        ITERATION: str(held.iteration),
        STEP: held.step,
        _HOST: host,
        # No two attempts make the same commit: else both would hold the same claim.
        _CLAIM: uuid.uuid4().hex,
    }
    message = compose("Work in progress", "", trailers)
    made = await git(
        "commit-tree", tree, "-p", check_commit(worktree.commit), "-F", "-", git_dir=worktree.git_dir, stdin=message
    )
    return made.text


async def _move(held: Claim, expected: str | None, commit: str) -> bool:
    """Move the hidden ref; tells whether what was there could not be read. Raises Conflict when it is elsewhere."""
    ref, vault = held.ref, held.vault
    try:
        return ref in await push(vault, held.worktree.git_dir, Move(ref, expected, commit))
    except GitError:
        now = await tip(vault, ref)
        if now == commit:
            return False
        if now != expected:
            raise Conflict(ref, expected, now) from None
        raise
