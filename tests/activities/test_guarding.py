"""The tamper guard against an agent with a shell: real git, the real sandbox, a real test runner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.claude import Gateway
from activities.guarding import Guarded, Watch, compare_tests, guarded, hold_to_baseline, of_baseline
from activities.host import Host
from activities.sandbox import Launcher, find_isolation, run_command
from activities.validate import Validate
from activities.workspace import Worktree, checkpoint, give_agent_git, publish, read_text
from overnight.base.settings import Settings
from tests.activities.workspace.support import contents, git, make_repo
from workflows.contracts.evidence import CommandEvidence, Tally
from workflows.contracts.requests import Check, Site, ValidateRequest, ValidateResult
from workflows.contracts.spec import Project
from workflows.contracts.tamper import Guard, KnownTests

TEST = (
    "import unittest\nfrom app import greet\n\n\nclass T(unittest.TestCase):\n"
    "    def test_it(self):\n        self.assertEqual(greet('a'), 'hello a')\n\n\nunittest.main\n"
)
FILES = {
    "app.py": "def greet(name):\n    return 'hello'\n",
    "tests/__init__.py": "",
    "tests/test_app.py": TEST,
    "tests/words.py": "WORDS = 'words.json'\n",
    "words.json": "{}\n",
    "check.sh": "exec python3 -m unittest discover\n",
    "Makefile": "test:\n\tsh check.sh\n",
}
COMMAND = "make -s test"
HOSTILE_CONFTEST = "import sys, unittest\nunittest.TestCase.assertEqual = lambda *_: None\n"


@dataclass
class Yard:
    """A session on its base, in which an agent has a shell."""

    host: Host
    site: Site
    worktree: Worktree
    base: str
    folder: Path

    @property
    def guard(self) -> Guard:
        return Guard(base=self.base, commands=[COMMAND], protected=["LICENSE"])

    async def acts(self, command: str) -> None:
        """The agent does this in its sandbox."""
        await give_agent_git(self.worktree, self.host.launcher.objects(self.worktree.objects))
        box = self.host.box(self.site, self.worktree, writable=True)
        log = self.folder / "agent.log"
        ended = await run_command(self.host.launcher, box, command, seconds=300, log=log, stop=asyncio.Event())
        assert ended.exit_code == 0, log.read_text()

    async def commits(self, guard: Guard | None = None) -> Guarded:
        """What Overnight makes of it, published."""
        made = await checkpoint(
            self.worktree, session_id="a-session", iteration=1, step="s1", subject="work", redactor=self.host.redactor
        )
        done = await guarded(self.host, self.worktree, made, guard or self.guard)
        await publish(self.worktree, await self.host.vault(self.site.project), done.made.commit, self.base)
        return done

    async def validated(self, commit: str, *, clean: bool = False, setup: str | None = None) -> ValidateResult:
        request = ValidateRequest(
            site=self.site.model_copy(update={"commit": commit}),
            checks=[Check(criterion="validation", command=COMMAND)],
            guard=self.guard,
            clean=clean,
            setup_command=setup,
            seconds=300,
        )
        return await ActivityEnvironment().run(Validate(self.host).run, request)


@pytest_asyncio.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    settings = Settings(home=tmp_path / "home")
    commit = make_repo(tmp_path / "project", FILES)
    project = Project(key="a-project", kind="path", location=str(tmp_path / "project"), commit=commit)
    async with Gateway(lambda: None).running() as gateway:
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        site = Site(session_id="a-session", project=project, iteration=1)
        base = await host.base(site)
        yield Yard(host, site, await host.worktree(site, base), base, tmp_path)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sed -i 's/hello a/hello/' tests/test_app.py", {"tests/test_app.py": "changed"}),
        ("""python3 -c "open('tests/test_app.py', 'w').write('')" """, {"tests/test_app.py": "changed"}),
        ("rm -r tests", {"tests/__init__.py": "deleted", "tests/test_app.py": "deleted"}),
        ("chmod 755 tests/test_app.py", {"tests/test_app.py": "mode"}),
        ("echo > mine.py; ln -sf ../mine.py tests/test_app.py", {"tests/test_app.py": "replaced"}),
        (
            "mv tests /tmp/t; mkdir mine; echo > mine/test_app.py; ln -s mine tests",
            {"tests/__init__.py": "deleted", "tests/test_app.py": "deleted"},
        ),
        (
            "rm -r tests; echo not a folder > tests",
            {"tests/__init__.py": "deleted", "tests/test_app.py": "deleted"},
        ),
        (
            "rm tests/test_app.py; mkdir tests/test_app.py; echo > tests/test_app.py/x",
            {"tests/test_app.py": "deleted"},
        ),
        (
            "git rm -q tests/test_app.py; git commit -qm gone; git checkout -q -b other; git gc -q",
            {"tests/test_app.py": "deleted"},
        ),
        (
            "echo > tests/test_app.py; git commit -qam x; git update-index --assume-unchanged tests/test_app.py",
            {"tests/test_app.py": "changed"},
        ),
        ("echo 'tests/' > .gitignore; rm tests/test_app.py", {"tests/test_app.py": "deleted"}),
        (
            "sed -i 's/hello a/hello B/' tests/test_app.py; touch -r app.py tests/test_app.py",
            {"tests/test_app.py": "changed"},
        ),
        ("mkdir unittest; echo 'import sys; sys.exit(0)' > unittest/__init__.py", {"unittest/__init__.py": "shadow"}),
        ("mkdir .u; echo > .u/__init__.py; ln -s .u unittest", {"unittest": "shadow"}),
        ("echo 'raise SystemExit(0)' > sitecustomize.py", {"sitecustomize.py": "shadow"}),
        ("echo 'raise SystemExit(0)' > traceback.py", {"traceback.py": "shadow"}),
        ("printf 'test:\\n\\ttrue\\n' > GNUmakefile", {"GNUmakefile": "shadow"}),
        ("echo exit 0 > check.sh", {"check.sh": "changed"}),
        ("printf 'test:\\n\\ttrue\\n' > Makefile", {"Makefile": "changed"}),
        ("mkdir LICENSE; echo mine > LICENSE/x; rm -r LICENSE; echo mine > LICENSE", {"LICENSE": "shadow"}),
    ],
)
async def test_what_the_agent_does_to_the_checks_is_put_back(
    yard: Yard, command: str, expected: dict[str, str]
) -> None:
    await yard.acts(command)
    done = await yard.commits()
    found = {t.path: t.kind for t in done.told}
    # What took a folder's place is judged by what is gone: it goes with it.
    assert {path: found.get(path) for path in expected} == expected
    protected = {path: FILES[path] for path in ("tests/test_app.py", "tests/__init__.py", "check.sh", "Makefile")}
    vault = await yard.host.vault(yard.site.project)
    for path, content in protected.items():
        assert await read_text(vault, done.made.commit, path) == content
    here = contents(yard.worktree.tree)
    assert all(here[path.encode()] == ("file", content.encode()) for path, content in protected.items())
    assert not any(path.encode() in here for path, kind in expected.items() if kind == "shadow")
    assert done.diff is not None
    seen = await yard.validated(done.made.commit, clean=True)
    assert seen.evidence[0].exit_code != 0, "the checks were fooled"
    assert seen.tampering == []


async def test_honest_work_is_committed_as_it_is(yard: Yard) -> None:
    more = "class More(unittest.TestCase):\n    def test_more(self):\n        self.assertTrue(greet('b'))\n"
    await yard.acts(
        "printf 'def greet(name):\\n    return \"hello \" + name\\n' > app.py; echo '*.log' > .gitignore;"
        f" printf %s '\n\n{more.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}' >> tests/test_app.py;"
        " echo '' > tests/test_new.py"
    )
    done = await yard.commits()
    assert done.tampering == []
    assert done.made.changed_files == 4
    seen = await yard.validated(done.made.commit, clean=True)
    assert (seen.evidence[0].exit_code, seen.tampering) == (0, [])


async def test_the_commit_says_what_was_put_back_and_keeps_its_trailers(yard: Yard) -> None:
    await yard.acts("echo > tests/test_app.py; echo more > other.txt")
    done = await yard.commits()
    message = git("show", "-s", "--format=%B", done.made.commit, cwd=yard.worktree.git_dir)
    assert "Put back by Overnight, as the base commit has it:\n\n- tests/test_app.py\n" in message
    trailers = git(
        "show", "-s", "--format=%(trailers:key=Overnight-Iteration)", done.made.commit, cwd=yard.worktree.git_dir
    )
    assert trailers == "Overnight-Iteration: 1"
    assert done.made.changed_files == 1
    assert git("diff", "--name-only", f"{yard.base}..{done.made.commit}", cwd=yard.worktree.git_dir) == "other.txt"
    assert done.diff is not None
    assert "-class T(unittest.TestCase):" in yard.host.artifacts.text(done.diff, head=10_000, tail=0)


async def test_a_file_that_only_lies_about_steers_no_check(yard: Yard) -> None:
    """Ignored by git, or written by the setup: it is in no commit, and gone before the checks run."""
    await yard.acts(
        "echo 'unittest/' > .gitignore; mkdir unittest; echo 'import sys; sys.exit(0)' > unittest/__init__.py"
    )
    done = await yard.commits()
    seen = await yard.validated(done.made.commit)
    assert seen.evidence[0].exit_code != 0
    assert any("unittest/__init__.py" in note for note in seen.notes)
    setup = "echo 'raise SystemExit(0)' > traceback.py; mkdir -p build/lib; echo > build/lib/queue.py"
    clean = await yard.validated(done.made.commit, clean=True, setup=setup)
    assert clean.evidence[0].exit_code != 0
    taken = [note.split(": ")[1] for note in clean.notes if note.startswith("taken away before the checks")]
    assert taken == ["traceback.py"]


async def test_a_commit_that_was_not_guarded_does_not_pass(yard: Yard) -> None:
    await yard.acts("echo > tests/test_app.py")
    done = await yard.commits(Guard(base=yard.base, may_change=["**"]))
    assert done.tampering == []
    seen = await yard.validated(done.made.commit)
    assert [(t.kind, t.path) for t in seen.tampering] == [("changed", "tests/test_app.py")]


async def test_data_that_tests_name_is_put_back_and_what_may_be_the_work_is_told(yard: Yard) -> None:
    await yard.acts(
        "echo '[]' > words.json; echo 'all: ; true' > GNUmakefile; echo 'plugins {}' > vite.config.js;"
        " printf 'import unittest\\nunittest.TestCase.fail = None\\n' >> app.py"
    )
    done = await yard.commits()
    assert [(t.kind, t.path) for t in done.tampering] == [("shadow", "GNUmakefile"), ("changed", "words.json")]
    seen = await yard.validated(done.made.commit)
    assert [note.partition(" ")[0] for note in seen.notes if "change" in note] == ["app.py", "vite.config.js"]
    assert seen.noticed == [note for note in seen.notes if "change" in note], "a judge is told as well"
    await yard.acts("printf 'import unittest\nunittest.TestCase.assertEqual = print\n' > tests/test_more.py")
    made = await checkpoint(
        yard.worktree, session_id="a-session", iteration=2, step="s2", subject="work", redactor=yard.host.redactor
    )
    noticed = (await yard.validated(made.commit)).noticed
    assert "tests/test_more.py changes what tests are made with: unittest.TestCase.assertEqual" in noticed


async def test_tests_that_may_change_keep_their_assertions(yard: Yard) -> None:
    await yard.acts("sed -i 's/self.assertEqual.*/pass/' tests/test_app.py")
    free = Guard(base=yard.base, commands=[COMMAND], may_change=["tests/**"])
    done = await yard.commits(free)
    watch = await Watch.over(yard.worktree, free, done.made.commit)
    assert [(t.kind, t.path) for t in watch.standing] == [("assertions", "tests/test_app.py: T.test_it")]


async def test_lists_of_tests_are_compared_and_carried_on(yard: Yard) -> None:
    guard = yard.guard
    watch = await Watch.over(yard.worktree, guard, yard.base)

    async def after(
        known: list[KnownTests], commit: str, exit_code: int = 0, explained: bool = False, **tests: str
    ) -> tuple[list[str], list[KnownTests]]:
        lines = "".join(json.dumps({"id": i, "outcome": o}) + "\n" for i, o in sorted(tests.items()))
        evidence = CommandEvidence(
            criterion="validation", commit=commit, exit_code=exit_code, rate=float(not exit_code),
            explained=explained, tests=yard.host.artifacts.put_bytes(lines.encode()),
        )  # fmt: skip
        found, _, carried = await compare_tests(yard.host, guard, known, [evidence], watch)
        return [f"{t.kind} {t.path}" for t in found], carried

    other = "c" * 40
    _, known = await after([], yard.base, exit_code=1, module_that_did_not_load="failed")
    found, _ = await after(known, other, a="passed")
    assert found == [], "what stands for a file that could not be loaded is no test"
    found, known = await after([], yard.base, exit_code=1, explained=True, a="failed", b="passed")
    assert found == []
    found, known = await after(known, other, a="passed", c="passed")
    assert found == ["vanished b"]
    found, known = await after(known, other, a="skipped", b="passed", c="passed")
    assert found == ["skipped a"]
    found, known = await after(known, other, exit_code=1)
    assert found == [], "a command that fails is no success anyway"
    found, known = await after(known, other, a="passed", b="passed", renamed="passed")
    assert found == []
    found, known = await after(known, other, a="passed", b="passed")
    assert found == ["vanished renamed"]
    gone_back = await of_baseline(yard.host, known)
    found, _ = await after(gone_back, other, a="passed", b="passed")
    assert found == [], "what the session had added since is not missed in a commit that it went back to"
    found, _ = await after(gone_back, other, a="passed")
    assert found == ["vanished b"], "what was there before the work is"


async def test_tests_that_nobody_names_are_counted(yard: Yard) -> None:
    guard = yard.guard
    watch = await Watch.over(yard.worktree, guard, yard.base)
    before = CommandEvidence(criterion="validation", commit=yard.base, exit_code=1, tally=Tally(passed=2, failed=1))
    found, _, known = await compare_tests(yard.host, guard, [], [before], watch)
    assert found == []
    for tally, kinds in ((Tally(), ["vanished"]), (Tally(passed=2, skipped=1), ["skipped"]), (Tally(passed=3), [])):
        now = CommandEvidence(criterion="validation", commit="c" * 40, exit_code=0, rate=1, tally=tally)
        found, _, known = await compare_tests(yard.host, guard, known, [now], watch)
        assert [t.kind for t in found] == kinds


async def test_a_list_of_tests_that_is_lost_is_made_anew_from_the_base(yard: Yard) -> None:
    """Somebody moved the artifacts away: no reason to stop for ever, nor to forget what ran before the work."""

    async def validated(commit: str, known: list[KnownTests]) -> ValidateResult:
        request = ValidateRequest(
            site=yard.site.model_copy(update={"commit": commit}),
            checks=[Check(criterion="validation", command=command)],
            guard=yard.guard, known_tests=known, seconds=300,
        )  # fmt: skip
        return await ActivityEnvironment().run(Validate(yard.host).run, request)

    command = "python3 -m unittest -v tests.test_app"
    before = await validated(yard.base, [])
    assert before.known_tests[0].tests is not None, "this test could not fail"
    await yard.acts("sed -i s/hello/'hello '/ app.py && sed -i 's/return .*/return \"hello \" + name/' app.py")
    done = await yard.commits()
    (yard.host.settings.home / "artifacts").rename(yard.folder / "away")
    first = await validated(done.made.commit, before.known_tests)
    assert first.evidence[0].exit_code == 0, first.evidence[0].tail
    assert first.notes == [
        "validation: the list of its tests is not in the artifact store any more; it was made anew from the base commit"
    ]
    assert first.tampering == []
    second = await validated(done.made.commit, first.known_tests)
    assert second.notes == [], "it is told once"
    command = "python3 -m unittest tests.test_app 2>&1 | tail -1"
    (yard.host.settings.home / "artifacts").rename(yard.folder / "away again")
    third = await validated(done.made.commit, before.known_tests)
    assert third.outcome.value == "completed"
    assert any(note.endswith("its tests are only counted from here on") for note in third.notes)


async def test_tests_that_were_added_buy_no_tolerance(yard: Yard) -> None:
    """By name, where each is named; else every failed test may be one that was there."""

    async def rate(passed: int, named: dict[str, str] | None = None) -> float:
        lines = "".join(json.dumps({"id": i, "outcome": o}) + "\n" for i, o in (named or {}).items())
        tests = yard.host.artifacts.put_bytes(lines.encode()) if named else None
        ran = CommandEvidence(
            criterion="validation", commit="c" * 40, exit_code=1, explained=True, rate=passed / (passed + 1),
            tally=Tally(source="text", passed=passed, failed=1), tests=tests,
        )  # fmt: skip
        (held,) = await hold_to_baseline(yard.host, guard, known, [ran], told.append)
        return held.rate

    told: list[str] = []
    base = json.dumps({"id": "a", "outcome": "failed", "base": True}) + "\n"
    guard = yard.guard.model_copy(update={"threshold": 0.95})
    known = [KnownTests(criterion="validation", ran=1, tests=yard.host.artifacts.put_bytes(base.encode()))]
    assert await rate(30) < 0.95
    assert await rate(30, {"a": "failed", "b": "passed"}) < 0.95
    assert len(told) == 2
    assert "1 failed test of 1 that ran before" in told[0]
    assert await rate(30, {"a": "passed", "b": "failed"}) == 30 / 31
    assert await rate(2) == 2 / 3, "what falls short anyway is told as it is"
    known = []
    assert await rate(30) == 30 / 31, "in a new project all tests are new"
    assert len(told) == 2


async def test_compiled_tests_are_not_taken_for_their_sources(yard: Yard) -> None:
    """A compiled module that says it needs no check against its source, and is committed."""
    await yard.acts(
        "cp tests/test_app.py keep; echo > tests/test_app.py;"
        " python3 -m compileall -q --invalidation-mode unchecked-hash tests; cp keep tests/test_app.py; rm keep"
    )
    done = await yard.commits()
    vault = await yard.host.vault(yard.site.project)
    assert "__pycache__" in git("ls-tree", "-r", "--name-only", done.made.commit, cwd=vault.git_dir)
    for clean in (False, True):
        seen = await yard.validated(done.made.commit, clean=clean)
        assert seen.evidence[0].exit_code != 0, "the compiled file was believed"
