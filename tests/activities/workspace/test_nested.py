from pathlib import Path

from activities.workspace import checkpoint

from .support import SESSION, Session, Tripwire, commit_all, git, make_repo, start_from, tree_of, write


async def _take(session: Session) -> tuple[list[str], dict[str, str]]:
    made = await checkpoint(session.worktree, session_id=SESSION, iteration=1, step="s", subject="x")
    return made.nested, tree_of(session.worktree.git_dir, made.commit)


async def test_nested_repositories_are_committed_as_files(session: Session) -> None:
    make_repo(session.tree / "app", {"index.js": "1", ".gitignore": "node_modules/\n"})
    make_repo(session.tree / "app" / "deeper" / "still", {"x": "1"})
    write(session.tree, {"app/node_modules/dep/.git/HEAD": "x", "node_modules/dep/.git/HEAD": "x", "src/.git": "junk"})
    write(session.tree, {"odd\nname/f": "1"})
    (session.tree / "odd\nname" / ".git").symlink_to("/etc")
    nested, tree = await _take(session)
    assert nested == ["app", "app/deeper/still", "odd\nname", "src"]
    assert tree["app/index.js"] == tree["app/deeper/still/x"] == tree["odd\nname/f"] == "100644"
    assert "160000" not in tree.values()
    assert (session.tree / "node_modules" / "dep" / ".git" / "HEAD").exists()
    assert (session.tree / "app" / "node_modules" / "dep" / ".git" / "HEAD").exists()
    aside = session.worktree.folder / "nested"
    kept = {(p / "path").read_text(): p / "git" for p in aside.iterdir()}
    assert git("rev-parse", "HEAD", cwd=kept["app"]) != ""
    assert kept["odd\nname"].is_symlink()
    assert (await _take(session))[0] == []


async def test_very_deep_nesting_ends(session: Session) -> None:
    folder = session.tree
    for number in range(40):
        folder = folder / f"d{number}"
        write(folder, {".git/HEAD": "ref: refs/heads/x\n", "file": "1"})
    nested, tree = await _take(session)
    assert len(nested) == 40
    assert sum(name.endswith("/file") for name in tree) == 40
    assert len(list((session.worktree.folder / "nested").iterdir())) <= 50


async def _with_submodule(tmp_path: Path) -> Session:
    make_repo(tmp_path / "lib")
    make_repo(tmp_path / "project")
    git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        tmp_path / "lib",
        "lib",
        cwd=tmp_path / "project",
    )
    commit = commit_all(tmp_path / "project", "With a submodule")
    return await start_from(tmp_path, tmp_path / "project", commit)


async def test_a_submodule_of_the_base_stays_as_it_is(tmp_path: Path) -> None:
    session = await _with_submodule(tmp_path)
    assert (await _take(session))[1]["lib"] == "160000"
    write(session.tree, {"README.md": "new\n"})
    (session.tree / "lib").rmdir()
    make_repo(session.tree / "lib", {"other": "1"})
    nested, tree = await _take(session)
    assert nested == []
    assert tree["lib"] == "160000"
    assert git("rev-parse", "HEAD:lib", cwd=session.worktree.git_dir) == git("rev-parse", "HEAD", cwd=tmp_path / "lib")
    assert (session.tree / "lib" / ".git").is_dir()


async def test_a_submodule_that_is_removed_or_replaced_is_so_in_the_commit(tmp_path: Path) -> None:
    session = await _with_submodule(tmp_path)
    (session.tree / "lib").rmdir()
    assert "lib" not in (await _take(session))[1]
    (session.tree / "lib").write_text("now a file")
    assert (await _take(session))[1]["lib"] == "100644"


async def test_git_never_runs_inside_a_submodule(tmp_path: Path, trip: Tripwire) -> None:
    session = await _with_submodule(tmp_path)
    (session.tree / "lib").rmdir()
    # At the very commit that the base names: only then git looks for changes inside.
    git("clone", "-q", tmp_path / "lib", session.tree / "lib", cwd=tmp_path)
    with (session.tree / "lib" / ".git" / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = "{trip.command}"\n')
    write(session.tree, {"lib/README.md": "2", ".gitignore": "lib/\n"})
    await _take(session)
    await session.at(session.base, keep_changes=False)
    assert not trip.fired
    git("add", "-A", cwd=session.tree, GIT_DIR=str(session.worktree.git_dir), GIT_WORK_TREE=".")
    assert trip.fired
