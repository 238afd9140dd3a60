"""A project that a user downloaded: its configuration wants to run programs, and none runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from activities.workspace import import_base, inspect_project, open_vault

from .support import SESSION, Tripwire, commit_all, fingerprint, git, make_repo, plain_env, write


@pytest.fixture
def hostile(tmp_path: Path, trip: Tripwire) -> Path:
    project = tmp_path / "downloaded"
    make_repo(project, {"a.txt": "one\n", "b.txt": "two\n"})
    make_repo(tmp_path / "lib")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", tmp_path / "lib", "lib", cwd=project)
    write(project, {".gitattributes": "* filter=x diff=x merge=x\n"})
    commit_all(project, "With attributes")
    command, script = trip.command, trip.script
    config = (
        f'[core]\n\tfsmonitor = "{command}"\n\tsshCommand = "{command}"\n\tpager = "{command}"\n'
        f'\teditor = "{command}"\n\tgitProxy = "{script}"\n\talternateRefsCommand = "{command}"\n'
        f'\taskPass = "{script}"\n\thooksPath = "{project}/hooks"\n'
        f'[filter "x"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n\tprocess = "{command}"\n\trequired = true\n'
        f'[diff "x"]\n\ttextconv = "{command}"\n\tcommand = "{command}"\n[diff]\n\texternal = "{command}"\n'
        f'[uploadpack]\n\tpackObjectsHook = "{command}"\n'
        f'[gpg]\n\tprogram = "{script}"\n[log]\n\tshowSignature = true\n'
        f'[credential]\n\thelper = "!{command}"\n[alias]\n\tstatus = "!{command}"\n\trev-parse = "!{command}"\n'
        f'[remote "origin"]\n\turl = "ext::sh -c touch% {trip.path}"\n\tuploadpack = "{script}"\n\tpromisor = true\n'
        "[protocol]\n\tallow = always\n"
    )
    (project / ".git" / "more").write_text(config)
    with (project / ".git" / "config").open("a") as own:
        own.write("[include]\n\tpath = more\n")
    with (project / ".git" / "modules" / "lib" / "config").open("a") as own:
        own.write(config)
    for folder in (project / "hooks", project / ".git" / "hooks"):
        folder.mkdir(exist_ok=True)
        for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc", "post-upload-pack"):
            (folder / hook).write_text(f"#!/bin/sh\n{command}\n")
            (folder / hook).chmod(0o755)
    # Same size, other times: whoever wants to know has to read the content, through the filter.
    write(project, {"a.txt": "ONE\n", "lib/README.md": "HELLO\n"})
    for name in ("a.txt", "b.txt"):
        os.utime(project / name, (5, 5))
    return project


def test_the_trap_works(hostile: Path, trip: Tripwire) -> None:
    subprocess.run(["git", "status"], cwd=hostile, env=plain_env(), capture_output=True)
    assert trip.fired


@pytest.mark.parametrize("as_url", [False, True])
async def test_looking_and_importing_run_nothing(
    hostile: Path, trip: Tripwire, tmp_path: Path, *, as_url: bool
) -> None:
    before = fingerprint(hostile)
    place = hostile.as_uri() if as_url else str(hostile)
    info = await inspect_project(place)
    assert not trip.fired
    if not as_url:
        # a.txt is changed, `hooks/` is new (five files), b.txt was only touched.
        assert info.dirty_files == 6
    vault = await open_vault(tmp_path / "v.git")
    assert await import_base(vault, SESSION, place, info.commit) == info.commit
    assert not trip.fired
    assert fingerprint(hostile) == before
    git("fsck", "--strict", cwd=vault.git_dir)


async def test_missing_objects_are_not_fetched_from_the_configured_place(hostile: Path, trip: Tripwire) -> None:
    git("config", "extensions.partialClone", "origin", cwd=hostile)
    git("config", "core.repositoryFormatVersion", "1", cwd=hostile)
    head = git("-c", "alias.x=x", "rev-parse", "HEAD", cwd=hostile)
    for folder in (hostile / ".git" / "objects").iterdir():
        if len(folder.name) == 2 and folder.name != head[:2]:
            shutil.rmtree(folder)
    trip.path.unlink(missing_ok=True)
    with pytest.raises(Exception, match="downloaded"):
        await inspect_project(hostile)
    vault = await open_vault(hostile.parent / "v.git")
    with pytest.raises(Exception, match="could not be copied"):
        await import_base(vault, SESSION, hostile, head)
    assert not trip.fired
