"""A conversation's transcript is a cache that the agent can write: mended where it was cut off, followed nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from activities.claude import Transcript

LINES = [json.dumps({"type": kind, "n": n}) + "\n" for n, kind in enumerate(("queue-operation", "user", "assistant"))]
WHOLE = "".join(LINES)


@pytest.fixture
def said(tmp_path: Path) -> Transcript:
    return Transcript(tmp_path / "claude", "one")


def place(said: Transcript, text: str | bytes, folder: str = "-workspace") -> Path:
    path = said.config / "projects" / folder / "one.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_none_is_not_usable(said: Transcript, tmp_path: Path) -> None:
    assert not said.is_usable()
    assert not said.copy_to(tmp_path / "copy")
    said.drop()


def test_a_whole_one_is_left_as_it_is(said: Transcript, tmp_path: Path) -> None:
    path = place(said, WHOLE)
    assert said.is_usable()
    assert path.read_text() == WHOLE
    assert said.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == WHOLE


@pytest.mark.parametrize("rest", ['{"type":"assi', "\0\0\0\0", "not json\n" + WHOLE, "[" * 100_000 + "\n"])
def test_what_was_cut_off_is_mended(said: Transcript, tmp_path: Path, rest: str) -> None:
    path = place(said, WHOLE + rest)
    assert said.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == WHOLE
    assert path.read_text() == WHOLE + rest, "a copy is made while Claude Code writes"
    assert said.is_usable()
    assert path.read_text() == WHOLE


@pytest.mark.parametrize("text", ["", "garbage", LINES[0], "{}\n[]\n1\n", "[]\n" + WHOLE])
def test_one_in_which_nobody_speaks_goes(said: Transcript, text: str) -> None:
    """Claude Code would refuse to begin anew under the same id."""
    path = place(said, text)
    assert not said.is_usable()
    assert not path.exists() or text == ""


def test_of_two_the_newest_counts(said: Transcript) -> None:
    older, newer = place(said, LINES[1], "older"), place(said, WHOLE, "newer")
    os.utime(older, (1, 1))
    assert said.is_usable()
    assert (older.exists(), newer.exists()) == (False, True)


def test_a_restored_one_is_the_only_one(said: Transcript, tmp_path: Path) -> None:
    old = place(said, LINES[1])
    (tmp_path / "kept").write_text(WHOLE)
    said.put(tmp_path / "kept")
    assert not old.exists()
    assert said.is_usable()
    assert [p.read_text() for p in said.config.rglob("one.jsonl")] == [WHOLE]


@pytest.mark.parametrize("where", ["file", "folder", "projects"])
def test_no_link_is_followed(said: Transcript, tmp_path: Path, where: str) -> None:
    """What the agent leaves must not make the worker read, change or write anything elsewhere."""
    outside = tmp_path / "outside" / "-workspace"
    outside.mkdir(parents=True)
    (outside / "one.jsonl").write_text(WHOLE + "rest")
    projects = said.config / "projects"
    if where == "projects":
        said.config.mkdir()
        projects.symlink_to(outside.parent)
    elif where == "folder":
        projects.mkdir(parents=True)
        (projects / "-workspace").symlink_to(outside)
    else:
        (projects / "-workspace").mkdir(parents=True)
        (projects / "-workspace" / "one.jsonl").symlink_to(outside / "one.jsonl")
    assert not said.copy_to(tmp_path / "copy")
    assert not said.is_usable()
    (tmp_path / "kept").write_text(LINES[1])
    said.put(tmp_path / "kept")
    said.drop()
    assert [p.name for p in outside.iterdir()] == ["one.jsonl"]
    assert (outside / "one.jsonl").read_text() == WHOLE + "rest"
    assert not (outside.parent / "restored").exists()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir()])
def test_odd_things_hold_nobody_up(said: Transcript, tmp_path: Path, make: object) -> None:
    path = place(said, "")
    path.unlink()
    assert callable(make)
    make(path)
    assert not said.is_usable()
    assert not said.copy_to(tmp_path / "copy")
    (tmp_path / "kept").write_text(WHOLE)
    said.put(tmp_path / "kept")
    assert said.is_usable()
