"""What a user's project on this host is: looked at, never changed, and never given a chance to run anything.

A downloaded folder can carry a hostile configuration. In the user's repository only commands run that start nothing
(`rev-parse`, `symbolic-ref`, `for-each-ref`, `cat-file`, `config`), with every transport closed. The dirty files are
counted with a git directory of our own beside a copy of the index, so that filters and monitors of the repository are
not even known there.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from overnight.base.wording import quoted

from .files import copy_regular, write_git_dir
from .git import NO_TRANSPORT, GitError, Output, git
from .project_info import ProjectError, ProjectInfo, RefError, read_subject
from .trust import as_the_user_trusts, global_ignores, is_dubious

_PASSIVE = ("filemode", "symlinks", "ignorecase", "autocrlf", "eol", "trustctime", "checkstat", "precomposeunicode")
_MANY_FILES = 8 * 2**20


async def inspect_path(path: Path, ref: str | None) -> ProjectInfo:
    """Find the commit that `ref` (default: HEAD) names in a repository on this host. Raises ProjectError."""
    path = await asyncio.to_thread(_real_folder, path)
    try:
        async with as_the_user_trusts(path) as env:
            root, bare = await _find_root(path, env)
            commit, branch = await _resolve(root, ref, env)
            subject = await read_subject(root, commit, env)
            dirty = 0 if bare else await _count_dirty(root, env)
            return ProjectInfo("path", str(root), commit, branch, dirty, subject)
    except GitError as error:
        message = f"git could not read the repository in {path}:\n{quoted(error.message)}"
        raise ProjectError(message) from error
    except OSError as error:
        message = f"The repository in {path} could not be read: {error}"
        raise ProjectError(message) from error


def _real_folder(path: Path) -> Path:
    try:
        there = path.exists()
    except OSError as error:
        raise ProjectError(f"{path} cannot be looked at: {error.strerror}.") from None
    if not there:
        message = f"{path} does not exist. Check the path; without a project, a session starts a new one."
        raise ProjectError(message)
    if not path.is_dir():
        message = (
            f"{path} is a file. Give the folder of a git repository; without a project, a session starts a new one."
        )
        raise ProjectError(message)
    real = path.resolve()
    if "\n" in str(real):
        raise ProjectError(f"{str(real)!r} has a line end in its path, which git's own files do not take. Move it.")
    return real


async def _ask(path: Path, env: Mapping[str, str], *args: str, ok: tuple[int, ...] = (0, 1, 128)) -> Output:
    return await git(*args, cwd=path, env=env, transports=NO_TRANSPORT, ok=ok)


async def _find_root(path: Path, env: Mapping[str, str]) -> tuple[Path, bool]:
    shown = await _ask(path, env, "rev-parse", "--is-bare-repository", "--is-inside-git-dir", "--absolute-git-dir")
    if shown.exit_code != 0:
        raise ProjectError(_why_not(path, shown.stderr))
    bare, inside, git_dir = shown.stdout.decode(errors="surrogateescape").rstrip("\n").split("\n", 2)
    if bare == "true":
        if not await asyncio.to_thread(path.samefile, git_dir):
            message = f"{path} is a folder inside the bare repository {git_dir}. Give {git_dir} as the project."
            raise ProjectError(message)
        return path, True
    if inside == "true":
        message = f"{path} is git's own folder of a repository. Give the folder above it as the project."
        raise ProjectError(message)
    top = await _ask(path, env, "rev-parse", "--show-toplevel", ok=(0,))
    root = Path(os.fsdecode(top.stdout.rstrip(b"\n")))
    if not await asyncio.to_thread(path.samefile, root):
        message = (
            f"{path} is a folder inside the git repository {root}. Give {root} as the project, or make the folder a "
            "repository of its own: git init && git add -A && git commit."
        )
        raise ProjectError(message)
    return path, False


def _why_not(path: Path, stderr: str) -> str:
    if is_dubious(stderr):
        return (
            f"{path} belongs to another user, so git refuses to open it. Change its owner, or tell git that you trust "
            f"it: git config --global --add safe.directory '{path}'."
        )
    if "not a git repository" in stderr:
        return (
            f"{path} is not a git repository. Make it one with: git init && git add -A && git commit -m start "
            "(in that folder); without a project, a session starts a new one."
        )
    return f"git could not read the repository in {path}:\n{quoted(stderr.strip()[-300:])}"


async def _resolve(root: Path, ref: str | None, env: Mapping[str, str]) -> tuple[str, str | None]:
    object_format = await _ask(root, env, "rev-parse", "--show-object-format")
    if object_format.text not in {"", "sha1"}:
        message = f"{root} uses the object format {object_format.text}; Overnight works with sha1 repositories."
        raise ProjectError(message)
    found = await _ask(root, env, "rev-parse", "--verify", "--quiet", f"{ref or 'HEAD'}^{{commit}}")
    if found.exit_code != 0:
        raise (RefError if ref else ProjectError)(await _no_such_commit(root, ref, env))
    if ref is None or ref == "HEAD":
        head = await _ask(root, env, "symbolic-ref", "--quiet", "--short", "HEAD")
        return found.text, head.text or None
    short = ref.removeprefix("refs/heads/")
    known = await _ask(root, env, "rev-parse", "--verify", "--quiet", f"refs/heads/{short}")
    return found.text, short if known.text == found.text else None


async def _no_such_commit(root: Path, ref: str | None, env: Mapping[str, str]) -> str:
    listed = await _ask(
        root, env, "for-each-ref", "--count=5", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads"
    )
    branches = ", ".join(listed.text.splitlines())
    if ref is None:
        advice = f" Name one of its branches as the base: {branches}." if branches else ""
        return f"{root} has no commits yet on its current branch. Make one: git add -A && git commit -m start.{advice}"
    instead = f"Branches there: {branches}." if branches else "The repository has no branches yet."
    return f"{root} has no branch, tag or commit named {ref!r}. {instead}"


async def _count_dirty(root: Path, env: Mapping[str, str]) -> int:
    with tempfile.TemporaryDirectory(prefix="overnight-inspect-") as name:
        probe = Path(name) / "probe.git"
        index = await _write_probe(probe, root, env)
        config = await _passive_config(root, env) | {"core.excludesFile": await global_ignores(probe)}
        changed = await _status(probe, index, root, config)
        if not changed:
            return 0
        filtered = await _with_filter(probe, index, root, config, changed)
        if filtered:
            # Without the filter such a file looks changed whenever git has to read it. Take its times' word instead.
            await asyncio.to_thread(os.utime, index, (2**31, 2**31))
            still = await _status(probe, index, root, config)
            changed = (changed - filtered) | (filtered & still)
        return len(changed)


async def _write_probe(probe: Path, root: Path, env: Mapping[str, str]) -> Path:
    head = (await _ask(root, env, "rev-parse", "--verify", "--quiet", "HEAD")).text or "ref: refs/heads/none"
    found = await _ask(root, env, "rev-parse", "--absolute-git-dir", "--git-common-dir", ok=(0,))
    own, common = (os.fsdecode(line) for line in found.stdout.rstrip(b"\n").split(b"\n", 1))

    def write() -> Path:
        git_dir, shared = Path(own), root / common
        write_git_dir(probe, head=head, converting=True)
        # A path on a line of its own must not look like a comment or a quoted string; absolute ones never do.
        (probe / "objects" / "info" / "alternates").write_bytes(os.fsencode(shared / "objects") + b"\n")
        copy_regular(shared / "info" / "exclude", probe / "info" / "exclude")
        for part in git_dir.glob("sharedindex.*"):
            copy_regular(part, probe / part.name)
        copy_regular(git_dir / "index", probe / "index")
        return probe / "index"

    return await asyncio.to_thread(write)


async def _passive_config(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the repository's settings that change how files compare and that name no program."""
    listed = await _ask(root, env, "config", "-z", "--get-regexp", rf"^core\.({'|'.join(_PASSIVE)})$")
    pairs = (field.decode(errors="replace").partition("\n")[::2] for field in listed.fields)
    return {key: value for key, value in pairs if re.fullmatch(r"[a-z0-9]{1,10}", value)}


async def _status(probe: Path, index: Path, root: Path, config: Mapping[str, str]) -> set[bytes]:
    out = await git(
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=all",
        git_dir=probe,
        work_tree=root,
        index=index,
        config=config,
        transports=NO_TRANSPORT,
        max_output=_MANY_FILES,
        truncate=True,
    )
    return {field[3:] for field in out.fields}


async def _with_filter(
    probe: Path, index: Path, root: Path, config: Mapping[str, str], paths: set[bytes]
) -> set[bytes]:
    out = await git(
        "check-attr",
        "-z",
        "--stdin",
        "filter",
        git_dir=probe,
        work_tree=root,
        index=index,
        config=config,
        stdin=b"\0".join(paths) + b"\0",
        transports=NO_TRANSPORT,
    )
    fields = out.fields
    values = zip(fields[::3], fields[2::3], strict=True)
    return {path for path, value in values if value not in {b"unspecified", b"unset", b"set"}}
