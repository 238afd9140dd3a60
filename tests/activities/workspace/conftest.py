"""Every test runs as a user whose own git configuration would break or betray Overnight if it were read."""

from pathlib import Path

import pytest

from .support import Session, Tripwire, start


@pytest.fixture
def trip(tmp_path: Path) -> Tripwire:
    return Tripwire(tmp_path / "somebody-ran-me")


@pytest.fixture(autouse=True)
def odd_home(tmp_path: Path, trip: Tripwire, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "user home"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text("*.md\n")
    (home / ".config" / "git" / "attributes").write_text("* -text filter=mine\n")
    (home / "hooks").mkdir()
    for hook in ("post-checkout", "post-commit", "pre-push", "reference-transaction", "post-index-change"):
        (home / "hooks" / hook).write_text(f"#!/bin/sh\n{trip.command}\n")
        (home / "hooks" / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[core]\n\thooksPath = "{home}/hooks"\n\tfsmonitor = "{trip.command}"\n'
        f'[commit]\n\tgpgsign = true\n[gpg]\n\tprogram = "{trip.script}"\n'
        f'[filter "mine"]\n\tclean = "{trip.command}"\n\tsmudge = "{trip.command}"\n'
        f'[log]\n\tshowSignature = true\n[diff]\n\texternal = "{trip.script}"\n[status]\n\tshowUntrackedFiles = no\n'
        '[url "/nowhere"]\n\tinsteadOf = /\n[user]\n\tname = Wrong\n\temail = wrong@example.org\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "not-here.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "not-here"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trip.script))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='maybe'")
    return home


@pytest.fixture
async def session(tmp_path: Path) -> Session:
    files = {
        ".gitignore": "node_modules/\n*.log\n",
        "README.md": "hello\n",
        "src/app.py": "print(1)\n",
        "src/util.py": "def f():\n    return 1\n",
    }
    return await start(tmp_path, files)
