"""Ctrl-C while a person is asked, or edits, in the midst of a command that an event loop runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.support import clean_environment

PROGRAM = """\
import asyncio, pathlib, sys
from overnight.cli import asking

async def work():
    await asyncio.sleep(0)
    {act}
    await asyncio.sleep(0)
    print("went on")

asyncio.run(work())
"""


def spawned(tmp_path: Path, act: str, **more: str) -> pexpect.spawn[str]:
    return pexpect.spawn(
        sys.executable,
        ["-c", PROGRAM.format(act=act)],
        env=clean_environment(tmp_path, **more),
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize("act", ['asking.confirm("Sure?")', 'asking.words("Sure?")'])
def test_it_ends_a_question_at_once(tmp_path: Path, act: str) -> None:
    child = spawned(tmp_path, act)
    child.expect("Sure")
    child.sendintr()
    child.expect("Abort")
    child.expect(pexpect.EOF)
    assert "went on" not in child.before


def test_it_is_the_editor_s_and_what_was_written_is_kept(tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, signal, sys\n"
        "try:\n"
        "    print('editing', flush=True)\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    pathlib.Path(sys.argv[1]).write_text('kept')\n"
    )
    act = f"asking.open_editor(pathlib.Path({str(tmp_path / 'file')!r}))"
    child = spawned(tmp_path, act, EDITOR=f"{sys.executable} {editor}")
    child.expect("editing")
    child.sendintr()
    child.expect("went on")
    child.expect(pexpect.EOF)
    assert (tmp_path / "file").read_text() == "kept"
