import os
from pathlib import Path

import pytest

from activities.workspace import ProjectError, import_base, inspect_project, open_vault

from .support import commit_all, fingerprint, git, make_repo, write


async def test_a_clean_repository(tmp_path: Path) -> None:
    commit = make_repo(tmp_path / "p")
    info = await inspect_project(tmp_path / "p")
    assert (info.kind, info.commit, info.branch, info.dirty_files) == ("path", commit, "main", 0)
    assert info.subject == "First words"
    assert info.location == str(tmp_path / "p")


async def test_dirty_counts_staged_unstaged_and_untracked_but_not_ignored(tmp_path: Path) -> None:
    project = tmp_path / "p"
    make_repo(project, {"a": "1\n", "b": "1\n", "c": "1\n", ".gitignore": "*.log\n"})
    write(project, {"a": "2\n", "new/x": "", "new/y": "", "z.log": "", "secret.local": ""})
    (project / ".git" / "info" / "exclude").write_text("*.local\n")
    (project / "b").unlink()
    (project / "c").write_text("3\n")
    git("add", "c", cwd=project)
    before = fingerprint(project)
    assert (await inspect_project(project)).dirty_files == 5
    assert fingerprint(project) == before


async def test_what_the_user_ignores_everywhere_is_not_dirty(tmp_path: Path, odd_home: Path) -> None:
    make_repo(tmp_path / "p")
    write(tmp_path / "p", {"notes.md": "", "notes.orig": ""})
    assert (await inspect_project(tmp_path / "p")).dirty_files == 1
    (odd_home / "mine").write_text("*.orig\n")
    with (odd_home / ".gitconfig").open("a") as config:
        config.write("[core]\n\texcludesFile = ~/mine\n")
    (tmp_path / "p" / "notes.md").unlink()
    assert (await inspect_project(tmp_path / "p")).dirty_files == 0


async def test_a_file_that_was_only_touched_is_not_dirty(tmp_path: Path) -> None:
    make_repo(tmp_path / "p")
    os.utime(tmp_path / "p" / "README.md", (1, 1))
    before = fingerprint(tmp_path / "p")
    assert (await inspect_project(tmp_path / "p")).dirty_files == 0
    assert fingerprint(tmp_path / "p") == before


async def test_a_filtered_file_counts_by_its_times(tmp_path: Path) -> None:
    project = tmp_path / "p"
    make_repo(project, {"x": "1\n"})
    git("config", "filter.up.clean", "tr a-z A-Z", cwd=project)
    write(project, {".gitattributes": "*.big filter=up\n", "one.big": "abc\n", "two.big": "abc\n"})
    commit_all(project, "With a filter")
    assert git("status", "--porcelain", cwd=project) == ""
    assert (await inspect_project(project)).dirty_files == 0
    (project / "two.big").write_text("abcd\n")
    assert (await inspect_project(project)).dirty_files == 1


async def test_a_named_ref(tmp_path: Path) -> None:
    project = tmp_path / "p"
    first = make_repo(project)
    git("tag", "v1", cwd=project)
    git("checkout", "-q", "-b", "feature/x", cwd=project)
    write(project, {"n": "1"})
    second = commit_all(project, "Second")
    on_branch = await inspect_project(project, "main")
    assert (on_branch.commit, on_branch.branch) == (first, "main")
    assert (await inspect_project(project, "v1")).branch is None
    assert (await inspect_project(project, second[:9])).commit == second
    assert (await inspect_project(project)).branch == "feature/x"
    git("checkout", "-q", "--detach", cwd=project)
    assert (await inspect_project(project)).branch is None


async def test_a_linked_worktree_a_bare_and_a_split_index(tmp_path: Path) -> None:
    commit = make_repo(tmp_path / "p")
    git("worktree", "add", "-q", "-b", "side", tmp_path / "side", cwd=tmp_path / "p")
    (tmp_path / "side" / "README.md").write_text("changed\n")
    side = await inspect_project(tmp_path / "side")
    assert (side.commit, side.branch, side.dirty_files) == (commit, "side", 1)
    git("clone", "-q", "--bare", tmp_path / "p", tmp_path / "bare.git", cwd=tmp_path)
    bare = await inspect_project(tmp_path / "bare.git")
    assert (bare.commit, bare.branch, bare.dirty_files) == (commit, "main", 0)
    git("update-index", "--split-index", cwd=tmp_path / "p")
    assert (await inspect_project(tmp_path / "p")).dirty_files == 0


async def test_submodules_do_not_count(tmp_path: Path) -> None:
    make_repo(tmp_path / "lib")
    project = tmp_path / "p"
    make_repo(project)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", tmp_path / "lib", "lib", cwd=project)
    commit_all(project, "With a submodule")
    (project / "lib" / "README.md").write_text("changed\n")
    assert (await inspect_project(project)).dirty_files == 0


@pytest.mark.parametrize(
    ("make", "place", "said"),
    [
        (lambda p: None, "nowhere", "does not exist. Check the path; without a project, a session"),
        (lambda p: None, "x" * 300, "cannot be looked at: File name too long"),
        (lambda p: (p / "file").write_text(""), "file", "is a file"),
        (lambda p: make_repo(p / "two\nlines"), "two\nlines", "has a line end in its path"),
        (lambda p: (p / "empty").mkdir(), "empty", "git init && git add -A && git commit"),
        (lambda p: make_repo(p / "r"), "r/src", "Give .*/r as the project"),
        (lambda p: make_repo(p / "r"), "r/.git", "git's own folder"),
        (lambda p: git("init", "-q", "-b", "main", "fresh", cwd=p), "fresh", "no commits yet"),
        (lambda p: git("init", "-q", "--bare", "b.git", cwd=p), "b.git/refs", "inside the bare repository"),
    ],
)
async def test_what_is_wrong_is_said_with_the_way_on(tmp_path: Path, make, place, said) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path)
    with pytest.raises(ProjectError, match=said) as caught:
        await inspect_project(tmp_path / place)
    assert str(tmp_path) in str(caught.value)


async def test_an_unknown_ref_names_some_branches(tmp_path: Path) -> None:
    make_repo(tmp_path / "p")
    for number in range(7):
        git("branch", f"b{number}", cwd=tmp_path / "p")
    with pytest.raises(ProjectError, match="'nope'") as caught:
        await inspect_project(tmp_path / "p", "nope")
    listed = str(caught.value).split("Branches there: ")[1].rstrip(".").split(", ")
    assert len(listed) == 5
    for bad in ("--output=x", "", "a\nb"):
        with pytest.raises(ProjectError):
            await inspect_project(tmp_path / "p", bad)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_another_users_repository_needs_the_users_word(
    tmp_path: Path, odd_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    commit = make_repo(tmp_path / "p")
    for path in [tmp_path / "p", *(tmp_path / "p").rglob("*")]:
        os.lchown(path, 54321, 54321)
    with pytest.raises(ProjectError, match=r"belongs to another user.*safe\.directory"):
        await inspect_project(tmp_path / "p")
    with (odd_home / ".gitconfig").open("a") as config:
        config.write(f"[safe]\n\tdirectory = {tmp_path}/p\n")
    assert (await inspect_project(tmp_path / "p")).commit == commit
    vault = await open_vault(tmp_path / "v.git")
    assert await import_base(vault, "s", tmp_path / "p", commit) == commit


async def test_a_url(tmp_path: Path) -> None:
    project = tmp_path / "p"
    first = make_repo(project)
    git("tag", "-a", "v1", "-m", "one", cwd=project)
    write(project, {"n": "1"})
    second = commit_all(project, "Second")
    (project / "n").write_text("dirty")
    url = project.as_uri()
    info = await inspect_project(url)
    assert (info.kind, info.commit, info.branch, info.dirty_files) == ("url", second, "main", 0)
    assert info.subject == "Second"
    assert info.location == url
    assert (await inspect_project(url, "v1")).commit == first
    assert (await inspect_project(url, "main")).branch == "main"
    assert (await inspect_project(url, first)).subject == "First words"
    with pytest.raises(ProjectError, match=r"no branch or tag named 'nope'\. Branches there: main"):
        await inspect_project(url, "nope")


async def test_urls_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="There is no repository at this address"):
        await inspect_project((tmp_path / "nowhere").as_uri())
    with pytest.raises(ProjectError, match=r"\*\*\*@127\.0\.0\.1") as caught:
        await inspect_project("https://ada:hunter2@127.0.0.1:9/x.git")
    assert "hunter2" not in str(caught.value)
    git("init", "-q", "--bare", "-b", "main", "empty.git", cwd=tmp_path)
    with pytest.raises(ProjectError, match="no commits"):
        await inspect_project((tmp_path / "empty.git").as_uri())
