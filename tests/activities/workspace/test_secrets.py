"""A secret never enters a commit, and the workspace stays equal to what was committed."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from activities.workspace import Checkpoint, SecretFound, checkpoint, materialise, publish, secrets_between
from overnight.base.redaction import Redactor, marker
from tests.planted import KINDS, leak, planted, value_of

from .support import SESSION, Session, Tripwire, commit_all, contents, git, plain_env, start, tree_of, write

SEED = 41
PAT = value_of("github classic", SEED)
TOKEN = value_of("env token", SEED)
REDACTOR = Redactor.of(["a-value-that-we-know-42", "kn0wn-42"])


async def take(
    session: Session,
    number: int = 1,
    redactor: Redactor | None = REDACTOR,
    subject: str = "Add a client",
    body: str = "",
) -> Checkpoint:
    return await checkpoint(
        session.worktree,
        session_id=SESSION,
        iteration=number,
        step="implement",
        subject=subject,
        body=body,
        redactor=redactor,
    )


async def same(session: Session, made: Checkpoint, tmp_path: Path) -> None:
    """The workspace is what was committed, and git sees so itself."""
    await materialise(session.worktree, made.commit, tmp_path / f"clean-{made.commit}")
    ours = {name: what for name, what in contents(session.tree).items() if not name.startswith(b".git/")}
    assert contents(tmp_path / f"clean-{made.commit}") == ours
    for command in (["diff-files", "--name-only"], ["status", "--porcelain"]):
        assert git(*command, cwd=session.tree, GIT_DIR=str(session.worktree.git_dir), GIT_WORK_TREE=".") == ""


def committed(session: Session, commit: str, path: str) -> str:
    return git("show", f"{commit}:{path}", cwd=session.worktree.git_dir)


def history(folder: Path, commit: str) -> bytes:
    """Every object that a commit reaches: what is published."""
    at = ["git", f"--git-dir={folder}"]
    walk = [*at, "rev-list", "--objects", "--no-object-names", commit]
    listed = subprocess.run(walk, capture_output=True, check=True, env=plain_env()).stdout
    read = [*at, "cat-file", "--batch"]
    return subprocess.run(read, input=listed, capture_output=True, check=True, env=plain_env()).stdout


async def test_every_kind_is_taken_out_of_tree_and_workspace(session: Session, tmp_path: Path) -> None:
    fakes = planted(SEED)
    write(session.tree, {f"new/{i}.txt": f"first\n{fake}\nlast\n" for i, fake in enumerate(fakes.values())})
    made = await take(session)
    await publish(session.worktree, session.vault, made.commit, session.base)
    published = history(session.vault.git_dir, made.commit).decode(errors="replace")
    assert [kind for kind in fakes if leak(kind, SEED, published)] == []
    assert {found.path for found in made.secrets} == {f"new/{i}.txt" for i in range(len(fakes))}
    assert all(found.marked and found.line == 2 for found in made.secrets)
    assert not [kind for kind in KINDS if any(leak(kind, SEED, str(found)) for found in made.secrets)]
    await same(session, made, tmp_path)


async def test_without_a_redactor_nothing_changes(session: Session) -> None:
    write(session.tree, {"new.txt": f"use {PAT}\n"})
    made = await take(session, redactor=None)
    assert made.secrets == []
    assert committed(session, made.commit, "new.txt") == f"use {PAT}"


async def test_what_is_told_and_what_stands_there(session: Session, tmp_path: Path) -> None:
    rows = ["print(1)", 'TOKEN = "kn0wn-42"', f'KEY = "{PAT}"  # {PAT}', 'log("a-value-that-we-know-42")']
    write(session.tree, {"src/app.py": "\n".join(rows) + "\n"})
    made = await take(session)
    pat, known = marker("github-pat"), marker("known-value")
    text = f'print(1)\nTOKEN = "{known}"\nKEY = "{pat}"  # {pat}\nlog("{known}")'
    assert committed(session, made.commit, "src/app.py") == text
    assert [(found.line, found.rule) for found in made.secrets] == [
        (2, "known-value"),
        (3, "github-pat"),
        (3, "github-pat"),
        (4, "known-value"),
    ]
    await same(session, made, tmp_path)


async def test_lines_are_those_of_the_commit(session: Session) -> None:
    key = planted(SEED)["private key"]
    write(session.tree, {"config.yml": f"a\n{key}\nb\nc {PAT}\n"})
    made = await take(session)
    assert made.secrets == [
        SecretFound("config.yml", 2, "private-key", marked=True),
        SecretFound("config.yml", 4, "github-pat", marked=True),
    ]
    assert committed(session, made.commit, "config.yml").splitlines()[3] == f"c {marker('github-pat')}"


async def test_modes_and_links_stay(session: Session, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"kept": f"use {PAT}\n"})
    write(session.tree, {"run.sh": f"curl {PAT}\n", "private": f"use {PAT}\n", "deep/er/est": f"use {PAT}\n"})
    (session.tree / "run.sh").chmod(0o755)
    (session.tree / "private").chmod(0o600)
    (session.tree / "elsewhere").symlink_to(outside)
    (session.tree / "to-kept").symlink_to(outside / "kept")
    (session.tree / "telling").symlink_to(f"../{PAT}")
    made = await take(session)
    assert len(made.secrets) == 4
    modes = [stat.S_IMODE((session.tree / name).lstat().st_mode) for name in ("run.sh", "private")]
    assert modes == [0o755, 0o600]
    assert tree_of(session.worktree.git_dir, made.commit)["run.sh"] == "100755"
    assert (outside / "kept").read_text() == f"use {PAT}\n", "written through a link"
    assert os.readlink(session.tree / "telling") == f"../{marker('github-pat')}"  # noqa: PTH115
    await same(session, made, tmp_path)


async def test_hard_links_are_parted(session: Session, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(f"use {PAT}\n")
    (session.tree / "linked").hardlink_to(outside)
    await take(session)
    assert PAT in outside.read_text()
    assert PAT not in (session.tree / "linked").read_text()


async def test_odd_names(session: Session, tmp_path: Path) -> None:
    names = [b"-rf", b":(top)x", b"line\nbreak", b'quote"', b"not-utf8-\xff", b"tab\there", "日本".encode(), b"a b/c d"]
    write(session.tree, {os.fsdecode(name): f"use {PAT}\n" for name in names})
    made = await take(session)
    assert {found.path for found in made.secrets} == {name.decode(errors="replace") for name in names}
    assert PAT.encode() not in history(session.worktree.git_dir, made.commit)
    await same(session, made, tmp_path)


async def test_a_file_with_a_secret_in_its_name_stays_out(session: Session) -> None:
    write(session.tree, {f"dumps/{PAT}.txt": f"use {PAT}\n", "fine": "1\n"})
    made = await take(session)
    assert made.secrets == [SecretFound("dumps/<redacted:github-pat>.txt", 0, "github-pat")]
    assert PAT.encode() not in history(session.worktree.git_dir, made.commit)
    assert "fine" in tree_of(session.worktree.git_dir, made.commit)


async def test_what_stood_there_before_is_left_alone(tmp_path: Path) -> None:
    old = f"KEY = '{PAT}'\nAPI_TOKEN = '{TOKEN}'\n"
    files = {"old.py": old, "moved.py": f"x = '{PAT}'\n" + "y\n" * 9, "gone.py": f"'{TOKEN}'\n"}
    session = await start(tmp_path, files)
    write(session.tree, {"old.py": f"import x\n{old}", "renamed.py": f"x = '{PAT}'\nAPI_TOKEN='{TOKEN}'\n"})
    (session.tree / "moved.py").unlink()
    (session.tree / "gone.py").unlink()
    made = await take(session)
    assert made.secrets == []
    assert PAT in committed(session, made.commit, "renamed.py")
    assert await secrets_between(session.vault, session.base, session.base, REDACTOR) == []
    assert await secrets_between(session.worktree, session.base, made.commit, REDACTOR) == []
    session.worktree = await session.at(session.base, keep_changes=False)
    write(session.tree, {"old.py": f"{old}KEY2 = '{value_of('stripe', SEED)}'\n"})
    again = await take(session, 2)
    assert [(found.line, found.rule) for found in again.secrets] == [(3, "stripe-access-token")]
    assert PAT in committed(session, again.commit, "old.py")


async def test_a_value_that_only_now_looks_like_one_stood_there_too(tmp_path: Path) -> None:
    word = value_of("url password", SEED)
    session = await start(tmp_path, {"old.py": f"use('{word}')\n"})
    write(session.tree, {"old.py": f"open('postgres://app:{word}@db.internal/app')\n"})
    assert (await take(session)).secrets == []
    write(session.tree, {"old.py": f"open('postgres://app:{word[::-1]}@db.internal/app')\n"})
    assert len((await take(session)).secrets) == 1


async def test_a_file_full_of_old_secrets_is_left_alone(tmp_path: Path) -> None:
    old = "".join(f"KEY{i} = '{value_of('github classic', i)}'\n" for i in range(250))
    session = await start(tmp_path, {"old.py": old})
    write(session.tree, {"new.py": f"import old\n{old}"})
    (session.tree / "old.py").unlink()
    assert (await take(session)).secrets == []


async def test_a_fixtures_password_is_not_a_secret(session: Session) -> None:
    source = 'client.login(username="bob", password="kit' + 'ten42")\n'
    write(session.tree, {"tests/test_login.py": source})
    made = await take(session)
    assert made.secrets == []
    assert "kit" + "ten42" in committed(session, made.commit, "tests/test_login.py")


async def test_ignored_and_binary_files_are_not_touched(session: Session) -> None:
    write(session.tree, {"node_modules/x.js": f"use {PAT}\n", "image.bin": b"\x89PNG\x00" + PAT.encode()})
    made = await take(session)
    assert made.secrets == []
    assert PAT in (session.tree / "node_modules" / "x.js").read_text()


async def test_conversions_of_the_project_apply(tmp_path: Path) -> None:
    session = await start(tmp_path, {".gitattributes": "*.bat text eol=crlf\n*.txt text\n", "a.bat": b"one\r\n"})
    write(session.tree, {"a.bat": f"one\r\nuse {PAT}\r\n".encode(), "b.bin": f"use {PAT}\r\n\xff".encode("latin-1")})
    made = await take(session)
    assert len(made.secrets) == 2
    assert (session.tree / "a.bat").read_bytes() == f"one\r\nuse {marker('github-pat')}\r\n".encode()
    assert (session.tree / "b.bin").read_bytes() == f"use {marker('github-pat')}\r\n\xff".encode("latin-1")
    await same(session, made, tmp_path)


async def test_nothing_of_a_hostile_repository_runs(tmp_path: Path, trip: Tripwire) -> None:
    session = await start(tmp_path, {".gitattributes": "* filter=x diff=x text\n", "a.txt": "one\n"})
    (session.tree / ".git").mkdir()
    command = trip.command
    (session.tree / ".git" / "config").write_text(
        f'[filter "x"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n[diff "x"]\n\ttextconv = "{command}"\n'
    )
    write(session.tree, {"a.txt": f"use {PAT}\n"})
    made = await take(session)
    assert len(made.secrets) == 1
    assert await secrets_between(session.worktree, session.base, made.commit, REDACTOR) != []
    assert not trip.fired


async def test_subject_and_body_hold_none(session: Session) -> None:
    made = await take(session, subject=f"Use {PAT}", body=f"As told:\n\nexport DEPLOY_TOKEN={TOKEN}\n")
    message = git("log", "-1", "--format=%B", made.commit, cwd=session.worktree.git_dir)
    assert PAT not in message
    assert TOKEN not in message
    assert message.startswith(f"Use {marker('github-pat')}\n")
    assert "Overnight-Step: implement" in message
    assert made.secrets == []


async def test_a_second_step_finds_nothing_new(session: Session, tmp_path: Path) -> None:
    write(session.tree, {"new.txt": f"use {PAT}\n"})
    first = await take(session)
    await publish(session.worktree, session.vault, first.commit, session.base)
    await session.at(first.commit)
    second = await take(session, 2)
    assert (second.secrets, second.changed_files, second.tree) == ([], 0, first.tree)
    await same(session, second, tmp_path)


async def test_many_secrets_are_told_briefly(session: Session) -> None:
    write(session.tree, {f"d/{i}": f"use {value_of('github classic', i)}\n" for i in range(130)})
    made = await take(session)
    assert len(made.secrets) == 100
    assert b"gh" + b"p_" not in history(session.worktree.git_dir, made.commit)


async def test_between_commits(tmp_path: Path) -> None:
    session = await start(tmp_path, {"old.py": f"a\nKEY = '{marker('jwt')}'\n", "src/app.py": f"use('{PAT}')\n"})
    write(
        session.tree,
        {
            "old.py": f"a\nb\nKEY = '{marker('jwt')}'\n",
            "src/app.py": f"use('{PAT}')\nOTHER = '{marker('stripe-access-token')}'\nx = '<redacted:by hand>'\n",
            "new.env": f"A=1\n\nGITLAB={value_of('gitlab', SEED)}\n",
            "image.bin": b"\x00" + value_of("anthropic", SEED).encode(),
            'odd\n"name': f"use {value_of('stripe', SEED)}\n",
        },
    )
    made = await take(session, redactor=None)
    listed = await secrets_between(session.worktree, session.base, made.commit, REDACTOR)
    found = {(one.path, one.line, one.rule, one.marked) for one in listed}
    assert found == {
        ("src/app.py", 2, "stripe-access-token", True),
        ("new.env", 3, "gitlab-pat", False),
        ('odd\n"name', 1, "stripe-access-token", False),
    }
    assert await secrets_between(session.worktree, made.commit, session.base, REDACTOR) == []


async def test_between_commits_with_submodules_and_many_files(tmp_path: Path) -> None:
    session = await start(tmp_path, {"a": "1\n"})
    project = tmp_path / "project"
    write(project, {f"many/{i}": f"row {i}\n" * 50 for i in range(600)} | {"z/last": f"use {PAT}\n"})
    git("update-index", "--add", "--cacheinfo", "160000", "1" * 40, "sub", cwd=project)
    head = commit_all(project, "Much")
    found = await secrets_between(session.vault, session.base, session.base, REDACTOR)
    assert found == []
    git("fetch", "-q", str(project), "main", cwd=session.vault.git_dir)
    found = await secrets_between(session.vault, session.base, head, REDACTOR)
    assert found == [SecretFound("z/last", 1, "github-pat")]


@pytest.mark.parametrize("redactor", [None, Redactor()])
async def test_a_report_has_a_bound(session: Session, redactor: Redactor | None) -> None:
    write(session.tree, {"dump": "\n".join(f"use {value_of('github classic', i)}" for i in range(300))})
    made = await take(session, redactor=redactor)
    assert len(await secrets_between(session.worktree, session.base, made.commit, Redactor())) == 100


async def test_what_the_worker_knows_stays_where_it_stood_and_goes_nowhere_else(tmp_path: Path) -> None:
    known = "a-value-that-we-know-42"
    session = await start(tmp_path, {"deploy.sh": f"curl -u {known}\n"})
    write(session.tree, {"deploy.sh": f"curl -f -u {known}\n", "copy.ini": f"key = {known}\n"})
    made = await take(session)
    assert (session.tree / "deploy.sh").read_text() == f"curl -f -u {known}\n"
    assert known not in git("show", f"{made.commit}:copy.ini", cwd=session.worktree.git_dir)
    assert [found.path for found in made.secrets] == ["copy.ini"]
