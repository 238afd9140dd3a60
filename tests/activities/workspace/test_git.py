import asyncio
from pathlib import Path

import pytest

from activities.workspace.git import GitError, environment, git, redact

from .support import git as plain_git
from .support import make_repo


async def test_nothing_from_outside_steers_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    env = environment()
    assert "evil" not in env["GIT_SSH_COMMAND"]
    assert "-o ControlMaster=no" in env["GIT_SSH_COMMAND"], "the user's own ssh would come to rest on what is ended"
    assert "GIT_DIR" not in env
    assert "GIT_EXTERNAL_DIFF" not in env
    assert "GIT_CONFIG_PARAMETERS" not in env
    assert env["SSH_AUTH_SOCK"] == "/run/agent"
    assert env["HOME"].endswith("user home")
    shown = await git("config", "--list", "--show-origin", cwd=tmp_path)
    assert "gitconfig" not in shown.text
    assert (await git("var", "GIT_COMMITTER_IDENT", cwd=tmp_path)).text.startswith("Overnight <overnight@localhost>")


async def test_an_error_says_what_git_said_without_credentials(tmp_path: Path) -> None:
    with pytest.raises(GitError) as caught:
        await git("fetch", "--", "foo://ada:hunter2@example.org/x", cwd=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in caught.value.command
    assert caught.value.exit_code == 128
    assert redact("see https://ada:pw@h/p and ssh://git@h/p") == "see https://***@h/p and ssh://***@h/p"


async def test_a_time_limit_ends_the_whole_process_group(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    loop = f"while :; do date >> '{beat}'; sleep 0.05; done"
    with pytest.raises(GitError, match=r"stopped after 0\.4 seconds"):
        await git("-c", f"alias.spin=!({loop}) & {loop}", "spin", cwd=tmp_path, limit_s=0.4)
    size = beat.stat().st_size
    await asyncio.sleep(0.3)
    assert beat.stat().st_size == size


async def test_a_git_that_was_killed_leaves_nobody(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    loop = f"while :; do date >> '{beat}'; sleep 0.05; done"
    with pytest.raises(GitError, match=r"stopped after 3 seconds"):
        await git("-c", f"alias.die=!({loop}) & kill -9 $PPID $$", "die", cwd=tmp_path, limit_s=3)
    async with asyncio.timeout(60):  # what is left goes on for ever
        size = -1
        while size != (size := beat.stat().st_size):
            await asyncio.sleep(0.5)


async def test_cancelling_ends_git(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    loop = f"trap '' TERM; while :; do date >> '{beat}'; sleep 0.05; done"
    task = asyncio.create_task(git("-c", f"alias.spin=!{loop}", "spin", cwd=tmp_path))
    for _ in range(500):
        if beat.exists():
            break
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = beat.stat().st_size
    await asyncio.sleep(0.3)
    assert beat.stat().st_size == size


async def test_output_is_bounded(tmp_path: Path) -> None:
    make_repo(tmp_path / "r", {"big": "x" * 300_000})
    with pytest.raises(GitError, match="more than 1000 bytes"):
        await git("cat-file", "blob", "HEAD:big", cwd=tmp_path / "r", max_output=1000)
    part = await git("cat-file", "blob", "HEAD:big", cwd=tmp_path / "r", max_output=1000, truncate=True)
    assert part.truncated
    assert part.stdout == b"x" * 1000


async def test_input_and_noise_larger_than_a_pipe_do_not_block(tmp_path: Path) -> None:
    make_repo(tmp_path / "r")
    data = b"y" * 2_000_000
    blob = (await git("hash-object", "-w", "--stdin", cwd=tmp_path / "r", stdin=data)).text
    assert plain_git("cat-file", "-s", blob, cwd=tmp_path / "r") == "2000000"
    noise = "i=0; while [ $i -lt 20000 ]; do echo 'many words on the other channel' >&2; i=$((i+1)); done"
    out = await git("-c", f"alias.noise=!{noise}", "noise", cwd=tmp_path)
    assert 0 < len(out.stderr) <= 16 * 2**10


async def test_git_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        await git("version")
    with pytest.raises(GitError, match=r"could not be started in .*gone"):
        await git("version", cwd=tmp_path / "gone")


async def test_it_does_not_block_the_loop(tmp_path: Path) -> None:
    waits = "alias.nap=!touch begun-$0; until test -e go; do sleep 0.05; done"
    napping = [asyncio.create_task(git("-c", waits.replace("$0", str(n)), "nap", cwd=tmp_path)) for n in range(5)]
    while len(list(tmp_path.glob("begun-*"))) < 5:
        await asyncio.sleep(0.01)
    (tmp_path / "go").touch()
    await asyncio.gather(*napping)


def test_damage_is_told_from_a_host_on_which_nothing_works() -> None:
    for said in (
        "error: object file ./objects/aa/bb is empty\nfatal: loose object aabb (stored in ./x) is corrupt",
        "fatal: unable to read tree aabb",
        "remote: fatal: bad object refs/overnight/x/work",
        "error: remote error: upload-pack: not our ref aabb",
        "fatal: git cat-file aabb: bad file",
        "error: bad signature 0x00000000\nfatal: index file corrupt",
    ):
        assert GitError("push", 128, "x", said).shows_damage, said
    for said in (
        "",
        "error: unable to open object file ./objects/aa/bb: Permission denied\nfatal: unable to read aabb",
        "fatal: write error: No space left on device\nfatal: unpack-objects failed: unable to read",
        "! [remote rejected] main -> main (pre-receive hook declined)",
        "fatal: Could not read from remote repository.",
        "fatal: Unable to create './packed-refs.lock': File exists.",
        "error: unable to index file 'secret'",
    ):
        assert not GitError("push", 128, "x", said).shows_damage, said
