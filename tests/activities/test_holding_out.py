"""Held-out checks: where they may come from, how they get into a clone, and what is told of them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.asking import describe_failures
from activities.claude import Gateway
from activities.holding_out import import_held_out
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.validate import Validate
from activities.validation import held_out
from activities.validation.commands import Runs
from activities.validation.neutral import with_part_of
from activities.workspace import HeldOutFile, ProjectError
from overnight.base.settings import Settings
from tests.activities.workspace.support import commit_all, git, make_repo, write
from workflows.contracts.evidence import CommandEvidence, Scorecard
from workflows.contracts.requests import Check, HeldOutCheck, Site, ValidateRequest
from workflows.contracts.spec import Egress, HeldOut, Project
from workflows.contracts.tamper import Guard
from workflows.policy import tamper

HIDDEN = "from app import greet\n\n\ndef test_hidden():\n    assert greet('grace') == 'hello grace'\n"
RUN = "python3 -c 'import sys; sys.path[:0] = [\".\"]; import held_out.test_hidden as t; t.test_hidden()'"
VENV = Path(sys.prefix).resolve()
PYTEST = f"{VENV / 'bin' / 'python'} -m pytest -q -p no:cacheprovider held_out"
PLUG = (
    "import pytest\n\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport():\n    report = yield\n"
    "    report.outcome, report.longrepr = 'passed', None\n    return report\n"
)
CHEATS: dict[str, dict[str, str]] = {
    "settings beside tests of its own": {
        "pytest.ini": "[pytest]\naddopts = -p plug\n",
        "test_own.py": "def test(): ...\n",
    },
    "in the project's settings": {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-p plug'\n"},
    "in another tool's settings": {"tox.ini": "[pytest]\naddopts = -p plug\n"},
    "a plugin by its name": {"conftest.py": "pytest_plugins = ['plug']\n"},
    "a hook that is imported": {"conftest.py": "from plug import *\n"},
    "a plugin that a hook brings": {
        "conftest.py": "import plug\n\n\ndef pytest_configure(config):\n    config.pluginmanager.register(plug)\n"
    },
    "an entry point": {
        "x-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: x\nVersion: 1.0\n",
        "x-1.0.dist-info/entry_points.txt": "[pytest11]\nx = plug\n",
    },
    "a module that Python loads first": {
        "sitecustomize.py": "import os, sys\nif 'held_out' in ' '.join(sys.orig_argv):\n    os._exit(0)\n"
    },
}
KNOWN = "hunter2-of-the-worker-000"


Kind = Literal["folder", "ref"]


@dataclass
class Yard:
    host: Host
    site: Site
    project: Path
    base: str
    accept: Path

    async def imported(
        self, source: Path | str, kind: Literal["folder", "ref"] = "folder"
    ) -> tuple[HeldOutCheck, list[str]]:
        asked = HeldOut(kind=kind, source=str(source), command=RUN)
        ref, notes = await import_held_out(self.host, self.site, self.base, asked)
        return HeldOutCheck(files=ref, command=RUN, target="held_out", tells="names"), notes

    async def commits(self, files: dict[str, str], branch: str = "work") -> str:
        """The agent's work, as a commit of the session."""
        write(self.project, files)
        commit = commit_all(self.project, "Work")
        vault = await self.host.vault(self.site.project)
        git("fetch", "-q", str(self.project), f"{commit}:refs/heads/{branch}", cwd=vault.git_dir)
        return commit

    async def ran(self, check: HeldOutCheck, commit: str | None = None) -> CommandEvidence:
        evidence, _ = await self.ran_and_told(check, commit)
        return evidence

    async def ran_and_told(
        self, check: HeldOutCheck, commit: str | None = None, passes: int = 1
    ) -> tuple[CommandEvidence, list[str]]:
        request = ValidateRequest(
            site=self.site.model_copy(update={"commit": commit or self.base}), checks=[], clean=True, held_out=check,
            guard=Guard(base=self.base), seconds=300, passes=passes,
        )  # fmt: skip
        seen = await ActivityEnvironment().run(Validate(self.host).run, request)
        (evidence,) = seen.evidence
        return evidence, seen.notes


@pytest_asyncio.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setenv("SOME_API_KEY", KNOWN)
    settings = Settings(home=tmp_path / "home", egress_at_most="host", sandbox_readable=[VENV])
    project = tmp_path / "project"
    commit = make_repo(project, {"app.py": "def greet(n):\n    return 'hello ' + n\n", "shared.py": "x = 1\n"})
    accept = tmp_path / "accept"
    write(accept, {"test_hidden.py": HIDDEN, "__init__.py": "", "data/a.bin": b"\0\1"})
    async with Gateway(lambda: None).running() as gateway:
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        named = Project(key="a-project", kind="path", location=str(project), commit=commit)
        site = Site(session_id="a-session", project=named, held_out=str(accept))
        yield Yard(host, site, project, await host.base(site), accept)


async def test_a_folder_runs_in_a_clean_clone_and_leaves_nothing(yard: Yard) -> None:
    check, notes = await yard.imported(yard.accept)
    assert notes == ["held-out checks imported: 3 files"]
    evidence = await yard.ran(check)
    assert (evidence.criterion, evidence.exit_code, evidence.clean) == ("held-out", 0, True)
    assert list((yard.host.settings.home / "sessions").rglob("*hidden*")) == []
    again, _ = await yard.imported(yard.accept)
    assert again == check, "the same files are the same artifact"


async def test_a_place_on_another_branch_is_taken_without_showing_it_to_the_agent(yard: Yard) -> None:
    git("checkout", "-q", "-b", "acceptance", cwd=yard.project)
    write(yard.project, {"checks/test_hidden.py": HIDDEN, "checks/__init__.py": ""})
    commit_all(yard.project, "Hide")
    git("checkout", "-q", "main", cwd=yard.project)
    check, _ = await yard.imported("acceptance:checks", "ref")
    assert (await yard.ran(check)).exit_code == 0
    for store in (yard.host.settings.home / "vault").glob("*.git"):
        objects = git("cat-file", "--batch-all-objects", "--batch-check", cwd=store)
        assert HeldOutFile(HIDDEN.encode()).blob not in objects


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "there are no files"),
        ({"test_x.py": f"password = '{KNOWN}'\n"}, "test_x.py:1 holds a secret of the worker"),
        ({"shared.py": "x = 1\n"}, "are in the history of the commit"),
    ],
)
async def test_what_cannot_be_held_out_is_refused_in_words(yard: Yard, files: dict[str, str], words: str) -> None:
    folder = yard.accept.with_name("other")
    folder.mkdir()
    write(folder, files)
    with pytest.raises(ProjectError, match=words):
        await yard.imported(folder)


async def test_places_that_are_none_are_refused_in_words(yard: Yard) -> None:
    (yard.accept / "link").symlink_to("/etc/passwd")
    for source, kind, words in [
        (yard.accept, "folder", "no ordinary file"),
        (yard.accept / "gone", "folder", "no folder on the worker's host"),
        (yard.project, "folder", "part of the project and committed"),
        ("nowhere:tests", "ref", "no branch, tag or commit named 'nowhere'"),
        ("main:nothing", "ref", "there are no files"),
        ("main", "ref", "are in the history"),
    ]:
        with pytest.raises(ProjectError, match=words):
            await yard.imported(source, kind)  # type: ignore[arg-type]


async def test_what_is_partly_known_is_told(yard: Yard) -> None:
    write(yard.accept, {"shared.py": "x = 1\n"})
    _, notes = await yard.imported(yard.accept)
    assert notes[1] == "the agent can read 1 file of them in the project's history: shared.py"


async def test_the_work_can_neither_tell_nor_steer_them(yard: Yard) -> None:
    """Code under test that reads them aloud, and files of the agent's where the checks will be."""
    check, _ = await yard.imported(yard.accept)
    spy = (
        "print(open('held_out/test_hidden.py').read())\nprint('FAILED test_hidden secret_word')\n"
        "def greet(n):\n    return 'hello'\n"
    )
    hooks = "def pytest_runtest_makereport(): ...\n"
    write(yard.project, {"app.py": spy, "conftest.py": hooks, "held_out/x.py": "1\n"})
    (yard.project / "held_out" / "test_hidden.py").symlink_to("/etc/hostname")
    commit = commit_all(yard.project, "Spy")
    vault = await yard.host.vault(yard.site.project)
    git("fetch", "-q", str(yard.project), f"{commit}:refs/heads/spy", cwd=vault.git_dir)
    told = await yard.ran(check, commit)
    assert told.exit_code == 1
    assert told.tail == (
        "These do not pass: test_hidden. Their content is not told: do what the goal says, in general."
        " Settings of yours took no part in them: conftest.py."
    )
    assert told.log is None
    mute = await yard.ran(check.model_copy(update={"tells": "nothing"}), commit)
    assert "test_hidden" not in mute.tail
    full = await yard.ran(check.model_copy(update={"tells": "full"}), commit)
    assert full.log is not None
    failed = tamper.failed(Scorecard(commit=commit, commands=[full]))
    assert "hello grace" in describe_failures(yard.host, failed)
    assert "hello grace" not in describe_failures(yard.host, tamper.failed(Scorecard(commit=commit, commands=[told])))
    listing = await yard.ran(check.model_copy(update={"command": "ls -A . held_out; exit 3", "tells": "full"}), commit)
    listed = listing.tail.partition(" Settings")[0]
    assert "conftest.py" not in listed
    assert "x.py" not in listed


@pytest.mark.parametrize("cheat", CHEATS)
async def test_nothing_of_the_agent_decides_whether_they_pass(yard: Yard, cheat: str) -> None:
    """The base has no tests: nothing of theirs was there to be protected."""
    check, _ = await yard.imported(yard.accept)
    wrong = {"app.py": "def greet(n):\n    return 'hello ada'\n", "plug.py": PLUG}
    commit = await yard.commits({**wrong, **CHEATS[cheat]})
    evidence, told = await yard.ran_and_told(check.model_copy(update={"command": PYTEST}), commit)
    assert evidence.exit_code == 1
    culprit = next(path for path in CHEATS[cheat] if path != "test_own.py" and "METADATA" not in path)
    assert f"held-out checks ran without {culprit} as the agent has it, which could let any test pass" in told
    named = evidence.tail.partition("Settings of yours took no part in them: ")[2]
    assert culprit in named


async def test_they_are_put_back_before_each_further_run(yard: Yard) -> None:
    check, _ = await yard.imported(yard.accept)
    commit = await yard.commits({"conftest.py": "pytest_plugins = []\n"})
    takes = "test -e held_out/test_hidden.py && test ! -e conftest.py && rm -r held_out && echo >> ran"
    check = check.model_copy(update={"command": f"{takes} && test $(wc -l < ran) -le 2"})
    fell = "held-out: It held, and then did not, on the same files: run 3 in a row."
    lucky, told = await yard.ran_and_told(check, commit, passes=2)
    assert (lucky.exit_code, fell in told) == (0, False)
    unlucky, told = await yard.ran_and_told(check, commit, passes=3)
    assert (unlucky.exit_code, fell in told) == (1, True)
    assert "It held" not in unlucky.tail, "a person is told, and the agent what was decided"


async def test_plugins_that_are_installed_and_harmless_settings_go_on_working(yard: Yard) -> None:
    write(yard.accept, {
        "test_async.py": "import pytest\nfrom mine import value\n\n\n@pytest.mark.asyncio\n"
        "async def test_later():\n    assert value == 1\n"
    })  # fmt: skip
    check, _ = await yard.imported(yard.accept)
    commit = await yard.commits({
        "src/mine.py": "value = 1\n",
        "pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n\n[tool.pytest.ini_options]\n"
        "pythonpath = ['src']\naddopts = '--strict-markers'\n\n[tool.other]\nx = 'kept'\n",
        "calendar.py": "y = 1\n",
    })  # fmt: skip
    seen = {"command": f"{PYTEST} && grep -q kept pyproject.toml && test -e calendar.py", "tells": "full"}
    evidence = await yard.ran(check.model_copy(update=seen), commit)
    assert evidence.exit_code == 0, evidence.tail


async def test_settings_of_the_base_are_as_the_base_has_them(yard: Yard) -> None:
    """Even those that a person lets change."""
    check, _ = await yard.imported(yard.accept)
    yard.base = await yard.commits(
        {"pytest.ini": "[pytest]\naddopts = -q\n", "conftest.py": "import os\n", "setup.cfg": "[a]\nb = 1\n"}, "base"
    )
    commit = await yard.commits({
        "app.py": "def greet(n):\n    return 'hello ada'\n",
        "plug.py": PLUG,
        "pytest.ini": "[pytest]\naddopts = -p plug\n",
        "conftest.py": "import os\nfrom plug import pytest_runtest_makereport\n",
        "setup.cfg": "[a]\nb = 2\n\n[tool:pytest]\naddopts = -p plug\n",
    })  # fmt: skip
    shows = f"cat pytest.ini conftest.py setup.cfg; echo end; {PYTEST}"
    evidence = await yard.ran(check.model_copy(update={"command": shows, "tells": "full"}), commit)
    assert evidence.exit_code == 1
    assert evidence.log is not None
    printed = yard.host.artifacts.text(evidence.log, head=2_000, tail=0)
    kept = "[pytest] addopts = -q import os [a] b = 2"
    assert " ".join(printed.partition("end\n")[0].split()) == kept


@pytest.mark.parametrize(
    ("path", "before", "after", "merged"),
    [
        ("package.json", '{"jest": {"a": 1}}', '{"jest": {"a": 2}, "x": 1}', '{"jest": {"a": 1}, "x": 1}'),
        ("package.json", None, '{"mocha": {"require": "./plug"}, "scripts": {"test": "t", "postinstall": "p"}}',
         '{"scripts": {"test": "t"}}'),
        ("package.json", '{"scripts": {"test": "a"}}', '{"scripts": {"test": "b"}}', '{"scripts": {"test": "a"}}'),
        ("package.json", "{}", "[", "{}"),
        ("pyproject.toml", None, "[tool]\npytest.ini_options.addopts = '-p plug'\n", None),
        ("pyproject.toml", "[tool.tox]\na = 1\n", "[tool.tox]\na = 2\n[tool.x]\nb = 1\n",
         "[tool.x]\nb = 1\n\n[tool.tox]\na = 1\n"),
        ("tox.ini", None, "[x]\na = 1\n[pytest]\naddopts = -p plug\n", "[x]\na = 1\n"),
        ("tox.ini", None, "[DEFAULT]\naddopts = -p plug\n[pytest]\n", "[DEFAULT]\naddopts = -p plug\n"),
        (".npmrc", "a=1\n", "script-shell=/bin/true\n", "a=1\n"),
    ],
)  # fmt: skip
def test_of_files_that_decide_in_part_only_the_part_is_put_back(
    path: str, before: str | None, after: str, merged: str | None
) -> None:
    was = None if before is None else before.encode()
    made = with_part_of(path, was, after.encode(), Runs.of(["npm test"]))
    assert (made is None) == (merged is None)
    if made is not None and merged is not None:
        parsed = (
            (json.loads(made), json.loads(merged))
            if path == "package.json"
            else (made.split(), merged.encode().split())
        )
        assert parsed[0] == parsed[1]


async def test_a_jest_that_the_agent_configures_is_not_asked(yard: Yard) -> None:
    check, _ = await yard.imported(yard.accept)
    commit = await yard.commits(
        {"jest.config.js": "x", ".mocharc.yml": "x", "web/vitest.config.ts": "x", "app.js": "x"}
    )
    command = "test -e app.js && test ! -e jest.config.js && test ! -e .mocharc.yml"
    assert (await yard.ran(check.model_copy(update={"command": command}), commit)).exit_code == 0


@pytest.mark.parametrize(
    ("code", "command", "rate"),
    [
        ("import os\nos._exit(0)\n", "python3 -m unittest held_out.test_case", 0),
        ("import unittest\nraise unittest.SkipTest('later')\n", "python3 -m unittest discover -t . -s held_out", 0),
        ("import os\nos._exit(0)\n", "python3 held_out/test_case.py", 1),
    ],
    ids=["ends the run", "skips", "nobody counts"],
)
async def test_a_run_that_ends_before_its_tests_is_none(yard: Yard, code: str, command: str, rate: float) -> None:
    case = "import unittest\nimport app\n\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.fail()\n"
    write(yard.accept, {"test_case.py": case})
    check, _ = await yard.imported(yard.accept)
    write(yard.project, {"app.py": code})
    commit = commit_all(yard.project, "End it")
    vault = await yard.host.vault(yard.site.project)
    git("fetch", "-q", str(yard.project), f"{commit}:refs/heads/end", cwd=vault.git_dir)
    evidence = await yard.ran(check.model_copy(update={"command": f"PYTHONPATH=. {command}"}), commit)
    assert (evidence.exit_code, evidence.rate) == (0, rate)


async def test_they_run_without_any_network(yard: Yard) -> None:
    """Even where everything else has the machine's own."""
    check, _ = await yard.imported(yard.accept)
    yard.site = yard.site.model_copy(update={"egress": Egress(mode="host")})
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connect = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5)'"
        assert (await yard.ran(check.model_copy(update={"command": connect}))).exit_code == 1
        usual = ValidateRequest(
            site=yard.site.model_copy(update={"commit": yard.base}),
            checks=[Check(criterion="c", command=connect)],
            seconds=300,
        )
        seen = await ActivityEnvironment().run(Validate(yard.host).run, usual)
        assert seen.evidence[0].exit_code == 0, "this test could not fail"


def test_files_survive_packing_and_links_in_the_clone_lead_nowhere(tmp_path: Path) -> None:
    files = {"a/test_x.py": HeldOutFile(b"1"), "run.sh": HeldOutFile(b"2", executable=True)}
    assert held_out.unpack(held_out.pack(files)) == files
    clone, outside = tmp_path / "clone", tmp_path / "outside"
    clone.mkdir()
    outside.mkdir()
    (clone / "tests").symlink_to(outside)
    held_out.put(files, clone, "tests/accept", replaces=False)
    assert list(outside.iterdir()) == []
    assert (clone / "tests/accept/a/test_x.py").read_bytes() == b"1"
    assert (clone / "tests/accept/run.sh").stat().st_mode & 0o777 == 0o755
    held_out.put({"b": HeldOutFile(b"3")}, clone, "tests/accept", replaces=True)
    assert [p.name for p in (clone / "tests/accept").iterdir()] == ["b"]
    with pytest.raises(ValueError, match="leads out"):
        held_out.put({"../../../x": HeldOutFile(b"")}, clone, "tests", replaces=False)


@pytest.mark.parametrize(
    ("output", "source", "names"),
    [
        ("FAILED held/test_a.py::test_one - assert 1", "def test_one(): ...\ndef test_two(): ...", ["test_one"]),
        ("FAIL: test_one (held.T.test_one)\nok", "    def test_one(self): ...", ["test_one"]),
        ("--- FAIL: TestOne (0.00s)", "func TestOne(t *testing.T) {}", ["TestOne"]),
        ("  \u2715 greets anybody (3 ms)", "it('greets anybody', () => {})", ["greets anybody"]),
        ("not ok 1 - greets", 'test("greets", async () => {})', ["greets"]),
        ("test one ... FAILED", "#[test]\nfn one() {}", ["one"]),
        ("FAILED expected_value_is_42", "def test_one(): ...", []),
        ("test_one passed", "def test_one(): ...", []),
    ],
)
def test_only_names_that_the_checks_declare_are_told(output: str, source: str, names: list[str]) -> None:
    assert held_out.failed_names(output, [HeldOutFile(source.encode())]) == names
