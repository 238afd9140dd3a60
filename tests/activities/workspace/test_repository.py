"""Where a person's repository lies: all of it is hidden from the sandbox, wherever git keeps it."""

from pathlib import Path

import pytest

from activities.workspace import repository_folders

from .support import git, make_repo


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_repo(tmp_path / "project")
    return tmp_path / "project"


def test_an_ordinary_one_is_its_folder(project: Path) -> None:
    assert repository_folders(project) == (project,)


def test_a_bare_one_is_its_folder(project: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--bare", project, tmp_path / "bare.git", cwd=tmp_path)
    assert repository_folders(tmp_path / "bare.git") == (tmp_path / "bare.git",)


@pytest.mark.parametrize("linked", [False, True])
def test_a_linked_worktree_has_the_main_one_s_git_directory(project: Path, tmp_path: Path, linked: bool) -> None:
    git("worktree", "add", "-q", tmp_path / "other", cwd=project)
    given = tmp_path / "other"
    if linked:
        (tmp_path / "name").symlink_to(given)
        given = tmp_path / "name"
    assert repository_folders(given) == (tmp_path / "other", project / ".git")


def test_one_that_was_set_apart(tmp_path: Path) -> None:
    make_repo(tmp_path / "apart")
    git("init", "-q", "--separate-git-dir", tmp_path / "kept.git", cwd=tmp_path / "apart")
    assert repository_folders(tmp_path / "apart") == (tmp_path / "apart", tmp_path / "kept.git")


def test_a_submodule_has_its_part_of_the_one_above(project: Path, tmp_path: Path) -> None:
    make_repo(tmp_path / "above")
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", project, "sub", cwd=tmp_path / "above")
    sub = tmp_path / "above" / "sub"
    assert repository_folders(sub) == (sub, tmp_path / "above" / ".git" / "modules" / "sub")


def test_borrowed_objects(project: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--shared", project, tmp_path / "copy", cwd=tmp_path)
    assert repository_folders(tmp_path / "copy") == (tmp_path / "copy", project / ".git")


@pytest.mark.parametrize(
    "said", ["gitdir: /usr", "gitdir: ", "nonsense", "gitdir: /no/such/place", "\0", "x" * 100_000]
)
def test_a_hostile_one_hides_nothing_of_the_system(tmp_path: Path, said: str) -> None:
    (tmp_path / ".git").write_text(said)
    assert repository_folders(tmp_path) == (tmp_path,)


def test_circles_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one / "objects" / "info").mkdir(parents=True)
        (tmp_path / one / "HEAD").write_text("ref: refs/heads/main\n")
        (tmp_path / one / "commondir").write_text(f"../{other}\n")
        (tmp_path / one / "objects" / "info" / "alternates").write_text(f"{tmp_path / other / 'objects'}\n")
    assert repository_folders(tmp_path / "a") == (tmp_path / "a", tmp_path / "b")
    assert repository_folders(tmp_path / "none") == (tmp_path / "none",)
