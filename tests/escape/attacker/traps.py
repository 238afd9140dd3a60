"""Traps in a repository for whoever runs git there outside. Arguments: the mark that a sprung trap leaves, a target."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

HOOKS = (
    "post-checkout", "post-commit", "pre-commit", "post-index-change", "reference-transaction", "pre-push",
    "post-receive", "pre-receive", "update", "post-update", "post-rewrite", "pre-auto-gc", "fsmonitor-watchman",
    "post-merge", "commit-msg", "prepare-commit-msg", "sendemail-validate", "proc-receive", "push-to-checkout",
)  # fmt: skip
ATTRIBUTES = "* filter=trap diff=trap merge=trap text working-tree-encoding=no-such-one ident\n"
MODULES = (
    '[submodule "a"]\n\tpath = a\n\turl = ext::sh -c touch% MARK\n\tupdate = !COMMAND\n'
    '[submodule "../../../b"]\n\tpath = b\n\turl = -u./COMMAND\n'
    '[submodule "c"]\n\tpath = link/hooks\n\turl = file:///etc\n'
)


def config(command: str, script: str) -> str:
    """Every setting that makes git run something."""
    quoted = f'"{command}"'
    return (
        f"[core]\n\tfsmonitor = {quoted}\n\tpager = {quoted}\n\teditor = {quoted}\n\tsshCommand = {quoted}\n"
        f"\thooksPath = {os.getcwd()}/hooks\n\taskPass = {script}\n\tgitProxy = {script}\n"
        f"\talternateRefsCommand = {quoted}\n"
        f"\tattributesFile = {os.getcwd()}/.gitattributes\n"
        f"[alias]\n\tstatus = !{command}\n\tadd = !{command}\n\tread-tree = !{command}\n\twrite-tree = !{command}\n"
        f'[filter "trap"]\n\tclean = {quoted}\n\tsmudge = {quoted}\n\tprocess = {quoted}\n\trequired = true\n'
        f'[diff "trap"]\n\ttextconv = {quoted}\n\tcommand = {quoted}\n[diff]\n\texternal = {quoted}\n'
        f'[merge "trap"]\n\tdriver = {quoted}\n[gpg]\n\tprogram = {script}\n[commit]\n\tgpgSign = true\n'
        f"[credential]\n\thelper = !{command}\n[uploadpack]\n\tpackObjectsHook = {quoted}\n"
        f"[log]\n\tshowSignature = true\n"
        f'[remote "origin"]\n\turl = ext::sh -c {quoted}\n\tuploadpack = {script}\n\tpromisor = true\n'
        f"[protocol]\n\tallow = always\n"
        f"[gc]\n\tauto = 1\n[maintenance]\n\tauto = true\n[interactive]\n\tdiffFilter = {quoted}\n"
    )


def lay(mark: str, target: str) -> None:
    """Fill the working directory and its ``.git`` with traps that leave ``mark``, and links that lead to ``target``."""
    command = f"touch {shlex.quote(mark)}; false"
    script = Path("trap.sh").absolute()
    script.write_text(f"#!/bin/sh\ntouch {shlex.quote(mark)}\ncat\n")
    script.chmod(0o755)
    Path(".git/more").write_text(config(command, str(script)))
    with open(".git/config", "a") as own:
        own.write("[include]\n\tpath = more\n")
    for folder in (Path("hooks"), Path(".git/hooks")):
        folder.mkdir(exist_ok=True)
        for hook in HOOKS:
            (folder / hook).write_text(f"#!/bin/sh\n{command}\n")
            (folder / hook).chmod(0o755)
    Path(".gitattributes").write_text(ATTRIBUTES)
    Path(".git/info").mkdir(exist_ok=True)
    Path(".git/info/attributes").write_text(ATTRIBUTES)
    Path(".gitmodules").write_text(MODULES.replace("MARK", mark).replace("COMMAND", command))
    Path(".lfsconfig").write_text("[lfs]\n\turl = http://127.0.0.1:9\n")
    for name in ("git", "ssh", "sh", "touch", "python3", "tar"):
        Path(name).write_text(f"#!/bin/sh\n{command}\n")
        Path(name).chmod(0o755)
    _links(target)
    _nested(command)


def _links(target: str) -> None:
    """Ways out of the tree for whoever follows links."""
    for name, where in (
        ("out", target), ("absolute", "/"), ("up", "../../../../.."), ("home", "/root"),
        ("shadow.git", "../shadow.git"), ("file-out", f"{target}/precious"), ("index.lock", f"{target}/precious"),
    ):  # fmt: skip
        os.symlink(where, name)
    Path(".git/objects/info").mkdir(parents=True, exist_ok=True)
    Path(".git/objects/info/alternates").write_text(f"{target}\n/overnight/objects\n")


def _nested(command: str) -> None:
    """A repository in the repository, and one that pretends to be bare."""
    for place in ("nested/.git", "bare.git", "deeper/.GIT"):
        for name in ("objects", "refs/heads", "hooks"):
            Path(place, name).mkdir(parents=True, exist_ok=True)
        Path(place, "HEAD").write_text("ref: refs/heads/main\n")
        Path(place, "config").write_text(f'[core]\n\tbare = false\n\tfsmonitor = "{command}"\n\tworktree = ..\n')
    Path("nested/file").write_text("inside\n")
    Path("worktree").mkdir()
    Path("worktree/.git").write_text(f"gitdir: {os.getcwd()}/nested/.git\n")


def swap(target: str) -> None:
    """Replace folders with tracked files by links that lead outside: who restores the files writes there."""
    for name in ("kept", "deep/kept"):
        shutil.rmtree(name)
        os.symlink(target, name)
    os.unlink("plain")
    os.symlink(f"{target}/precious", "plain")
    print("swapped:", os.readlink("kept"))


def stand_in(folders: tuple[str, ...] = ("kept", "deep/kept")) -> None:
    """Tracked files where ``swap`` will put links."""
    for name in folders:
        Path(name).mkdir(parents=True)
        Path(name, "precious").write_text("the repository's own\n")
        Path(name, "more").write_text("the repository's own\n")
    Path("plain").write_text("the repository's own\n")


if __name__ == "__main__":
    if sys.argv[1] == "swap":
        swap(sys.argv[2])
    else:
        stand_in()
        lay(sys.argv[1], sys.argv[2])
