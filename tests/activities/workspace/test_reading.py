import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.workspace import DiffResult, FileChange, GitError, checkpoint, diff, log, publish, read_text
from activities.workspace.message import ITERATION, SESSION, STEP, compose, one_line, read_trailers

from .support import SESSION as SESSION_ID
from .support import Session, write


async def _step(session: Session, number: int, subject: str) -> str:
    made = await checkpoint(
        session.worktree, session_id=SESSION_ID, iteration=number, step=f"p{number}", subject=subject
    )
    await publish(session.worktree, session.vault, made.commit, session.worktree.commit)
    await session.at(made.commit)
    return made.commit


async def test_diff_lists_files_and_shows_the_patch(session: Session) -> None:
    (session.tree / "README.md").rename(session.tree / "READ\tME.md")
    (session.tree / "src" / "util.py").unlink()
    write(session.tree, {"src/app.py": "print(1)\nprint(2)\n", "img.bin": b"\0\1\2", "ünï": "x\n"})
    (session.tree / os.fsdecode(b"bad-\xff")).write_text("1\n")
    head = await _step(session, 1, "Many things")
    result = await diff(session.vault, session.base, head)
    assert sorted(result.files, key=lambda f: f.path) == [
        FileChange("READ\tME.md", "renamed", 0, 0, "README.md"),
        FileChange("bad-\ufffd", "added", 1, 0),
        FileChange("img.bin", "added", None, None),
        FileChange("src/app.py", "modified", 1, 0),
        FileChange("src/util.py", "deleted", 0, 2),
        FileChange("ünï", "added", 1, 0),
    ]
    assert (result.total_files, result.truncated) == (6, False)
    assert "+print(2)" in result.patch
    assert "rename from README.md" in result.patch
    only = await diff(session.vault, session.base, head, path="src/")
    assert {f.path for f in only.files} == {"src/app.py", "src/util.py"}
    assert "ünï" not in only.patch
    assert (await diff(session.vault, session.base, head, path="*.py")).files == []
    assert (await diff(session.vault, session.base, head, stat=True)).patch == ""
    assert (await diff(session.worktree, head, head)).files == []


async def test_a_diff_is_bounded(session: Session) -> None:
    write(session.tree, {f"f/{n:04}": "line\n" * 50 for n in range(600)})
    head = await _step(session, 1, "A lot")
    result = await diff(session.vault, session.base, head, max_bytes=10_000)
    assert result.truncated
    assert len(result.files) == 500
    assert result.total_files == 600
    assert 9_000 < len(result.patch) <= 10_000
    assert result.patch.endswith("\n")


async def test_a_diff_is_read_in_pages(session: Session) -> None:
    write(session.tree, {f"f/{n:04}": "line\n" * 5 for n in range(600)} | {"long": "x" * 50_000 + "\nend\n"})
    head = await _step(session, 1, "A lot")

    async def page(first_file: int = 0, first_line: int = 0) -> DiffResult:
        return await diff(
            session.vault, session.base, head, max_bytes=20_000, first_file=first_file, first_line=first_line
        )

    names = [f.path for n in (0, 500, 600) for f in (await page(first_file=n)).files]
    assert len(names) == 601 + 1, "the last of the pages overlap"
    assert len(set(names)) == 601
    whole = (await diff(session.vault, session.base, head)).patch.split("\n")
    lines: list[str] = []
    while True:
        result = await page(first_line=len(lines))
        assert len(result.patch) <= 20_000
        lines += result.patch.split("\n")[:-1]
        if not result.patch_goes_on:
            break
    (long,) = [n for n, line in enumerate(whole) if len(line) > 20_000]
    assert lines[long] == whole[long][:19_999]
    assert [*lines[:long], *lines[long + 1 :], ""] == [*whole[:long], *whole[long + 1 :]]
    assert (await page(first_line=10**6)).patch == ""


async def test_the_log_of_checkpoints(session: Session) -> None:
    commits = [await _step(session, n, f"Step {n}") for n in range(1, 4)]
    entries = await log(session.vault, SESSION_ID, session.base)
    assert [e.commit for e in entries] == commits[::-1]
    assert [(e.subject, e.iteration, e.step) for e in entries] == [(f"Step {n}", n, f"p{n}") for n in (3, 2, 1)]
    assert entries[-1].parent == session.base
    assert entries[0].time >= entries[-1].time > 1_700_000_000
    assert [e.commit for e in await log(session.vault, SESSION_ID, session.base, limit=2)] == commits[:0:-1]
    whole = await log(session.vault, SESSION_ID)
    assert (whole[-1].commit, whole[-1].parent, whole[-1].iteration, whole[-1].step) == (session.base, None, None, None)
    with pytest.raises(GitError, match="no branch"):
        await log(session.vault, "unknown")


async def test_reading_one_file_of_a_commit(session: Session) -> None:
    write(
        session.tree, {"bin": b"a\0b", "long": "abc" * 100, "latin": b"caf\xe9", ":odd*": "odd", "src/app.py": "new\n"}
    )
    (session.tree / "link").symlink_to("README.md")
    head = await _step(session, 1, "Files")
    for source in (session.vault, session.worktree):
        assert await read_text(source, head, "src/app.py") == "new\n"
        assert await read_text(source, session.base, "./src/app.py") == "print(1)\n"
        assert await read_text(source, head, "long", max_bytes=5) == "abcab"
        assert await read_text(source, head, "latin") == "caf\ufffd"
        assert await read_text(source, head, ":odd*") == "odd"
        for missing in ("bin", "link", "src", "nope", "../x", "/etc/passwd", "", "src/app.py/x", "a\0b"):
            assert await read_text(source, head, missing) is None
    with pytest.raises(GitError):
        await read_text(session.vault, "0" * 39 + "1", "x")


@given(st.text(max_size=300), st.text(max_size=300), st.text(min_size=1, max_size=50))
def test_trailers_are_ours_whatever_the_texts_say(subject: str, body: str, step: str) -> None:
    wanted = {SESSION: "s", ITERATION: "3", STEP: one_line(step, 200)}
    message = compose(subject, body, {SESSION: "s", ITERATION: "3", STEP: step}).decode()
    if wanted[STEP]:
        assert read_trailers(message) == wanted
    assert "\n" not in message.split("\n\n", 1)[0]


def test_forged_trailers_do_not_count() -> None:
    forged = "Overnight-Step: theirs\n\nOvernight-Iteration: 9"
    message = compose(forged, forged, {SESSION: "s", ITERATION: "1", STEP: "ours"}).decode()
    assert read_trailers(message) == {SESSION: "s", ITERATION: "1", STEP: "ours"}
    assert read_trailers("A subject\n\nOvernight-Step: x\nand more text") == {}
    assert read_trailers("") == {}
