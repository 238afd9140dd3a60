"""The guard's rules on trees: what is put back, and what an honest session may do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.validation import Rules, freed
from activities.workspace import TreeChange, TreeEntry
from workflows.contracts.tamper import Guard

Tree = Mapping[str, str | tuple[str, str]]
TEST = (
    "import unittest\nfrom app import greet\n\n\nclass T(unittest.TestCase):\n"
    "    def test_it(self):\n        self.assertEqual(greet('a'), 'hello a')\n"
)
JS = "describe('a', () => {\n  it('greets', () => {\n    expect(greet('a')).toBe('hello a');\n  });\n});\n"
MORE = "class More(unittest.TestCase):\n    def setUp(self):\n        self.x = json\n"
MAIN = "\n\nif __name__ == '__main__':\n    unittest.main()\n"
PYTHON = {
    "app.py": "def greet(n): ...\n",
    "tests/test_app.py": TEST,
    "tests/data/expected.txt": "hello a\n",
    "pyproject.toml": '[project]\nname = "app"\ndependencies = []\n[tool.pytest.ini_options]\naddopts = "-q"\n',
    "Makefile": "test:\n\tpytest\n",
    "scripts/check.sh": "pytest\n",
    "package.json": '{"scripts": {"test": "npm run unit", "unit": "jest", "start": "node ."}, "dependencies": {}}',
    "web/app.test.js": JS,
    "calc/calc_test.go": "package calc\n",
    "README.md": "hi\n",
}
COMMANDS = ["make test && npm test", "bash scripts/check.sh", "python3 -m pytest"]


def entry(content: str | tuple[str, str]) -> tuple[TreeEntry, bytes]:
    mode, text = content if isinstance(content, tuple) else ("100644", content)
    return TreeEntry(mode, hashlib.sha256(text.encode()).hexdigest()), text.encode()


def rules_of(base: Tree, **guard: object) -> Rules:
    """The rules, with all read that they ask for."""
    asked = Guard(**{"base": "a" * 40, "commands": COMMANDS, **guard})
    tree = {path: entry(content)[0] for path, content in base.items()}
    texts: dict[str, bytes] = {}
    for _ in range(5):
        texts |= {path: entry(base[path])[1] for path in Rules(asked, tree, texts).runs}
    return Rules(asked, tree, texts)


def changes_of(
    changed: Mapping[str, str | tuple[str, str] | None], base: Tree
) -> tuple[list[TreeChange], dict[str, bytes]]:
    """These paths, changed (None: deleted), and the contents of both sides."""
    changes: list[TreeChange] = []
    blobs: dict[str, bytes] = {}
    for path, content in changed.items():
        sides = [entry(side) if side is not None else None for side in (base.get(path), content)]
        blobs |= {side[0].blob: side[1] for side in sides if side}
        changes.append(TreeChange(path, *(side[0] if side else None for side in sides)))
    return changes, blobs


def found(changed: Mapping[str, str | tuple[str, str] | None], base: Tree = PYTHON, **guard: object) -> dict[str, str]:
    """Path to kind of what is found when these paths change (None: deleted)."""
    return {path: tampering.kind for path, tampering in rules_of(base, **guard).found(*changes_of(changed, base))}


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("tests/test_app.py", TEST.replace("'hello a'", "greet('a')"), "changed"),
        ("tests/test_app.py", None, "deleted"),
        ("tests/test_app.py", ("100755", TEST), "mode"),
        ("tests/test_app.py", ("120000", "../mine.py"), "replaced"),
        ("tests/test_app.py", TEST.replace("    def", "    @unittest.skip('later')\n    def"), "changed"),
        ("tests/test_app.py", f"{TEST}\n\ndef load_tests(*_):\n    return unittest.TestSuite()\n", "changed"),
        ("tests/test_app.py", f"{TEST}    def setUp(self):\n        self.skipTest('no')\n", "changed"),
        ("tests/test_app.py", f"{TEST}    def assertEqual(self, *_):\n        return None\n", "changed"),
        ("tests/test_app.py", f"{TEST}\n\ndef greet(n):\n    return 'hello ' + n\n", "changed"),
        ("tests/test_app.py", f"{TEST}\n\npytestmark = 1\n", "changed"),
        ("tests/test_app.py", f"{TEST}\n\ndel T\n", "changed"),
        ("tests/test_app.py", "(" * 5_000, "changed"),
        ("tests/data/expected.txt", "hello a\nhello b\n", "changed"),
        ("web/app.test.js", JS.replace("it(", "it.skip("), "changed"),
        (
            "web/app.test.js",
            JS + "beforeEach(() => { mend(); });\n",
            "changed",
        ),
        ("web/app.test.js", JS + "it.only('b', () => {});\n", "changed"),
        ("Makefile", "test:\n\ttrue\n", "changed"),
        ("scripts/check.sh", "exit 0\n", "changed"),
        ("package.json", '{"scripts": {"test": "true"}}', "settings"),
        ("package.json", PYTHON["package.json"].replace('"jest"', '"jest || true"'), "settings"),
        (
            "package.json",
            PYTHON["package.json"].replace('"start"', '"pretest": "cp fake", "s"'),
            "settings",
        ),
        ("package.json", PYTHON["package.json"][:-1] + ', "jest": {"testRegex": "none"}}', "settings"),
        ("package.json", "{", "settings"),
        ("package.json", None, "settings"),
        ("pyproject.toml", PYTHON["pyproject.toml"].replace('"-q"', '"-q -k nothing"'), "settings"),
        ("setup.cfg", "[tool:pytest]\naddopts = --co\n", "settings"),
        ("conftest.py", "def pytest_runtest_makereport(): ...\n", "shadow"),
        ("tests/conftest.py", "", "shadow"),
        ("pytest.ini", "[pytest]\n", "shadow"),
        (".pytest.toml", "[pytest]\n", "shadow"),
        (".pytest.ini", "[pytest]\n", "shadow"),
        ("pytest.toml", "[pytest]\n", "shadow"),
        ("x-1.dist-info/entry_points.txt", "[pytest11]\nx = plug\n", "shadow"),
        ("X.DIST-INFO/METADATA", "Name: x\n", "shadow"),
        ("tests/x.egg-info/PKG-INFO", "", "shadow"),
        ("pyproject.toml", PYTHON["pyproject.toml"] + "[project.entry-points.pytest11]\nx = 'plug'\n", "settings"),
        ("pyproject.toml", PYTHON["pyproject.toml"] + "[project.scripts]\npytest = 'plug:main'\n", "settings"),
        ("setup.cfg", "[options.entry_points]\npytest11 =\n  x = plug\n", "settings"),
        ("setup.py", "setup(entry_points={'pytest11': ['x = plug']})\n", "settings"),
        ("pytest.py", "", "shadow"),
        ("pytest/__init__.py", "", "shadow"),
        ("pytest", ("120000", "elsewhere"), "shadow"),
        ("tests/unittest/__init__.py", "", "shadow"),
        ("difflib.py", "", "shadow"),
        ("difflib.cpython-311-x86_64-linux-gnu.so", "", "shadow"),
        ("sitecustomize.py", "", "shadow"),
        ("usercustomize/__init__.py", "", "shadow"),
        ("GNUmakefile", "test:\n\ttrue\n", "shadow"),
        ("jest.config.js", "module.exports = {}\n", "shadow"),
        ("node_modules/.bin/jest", "exit 0\n", "shadow"),
        (".npmrc", "script-shell=/bin/true\n", "settings"),
        ("calc/main_test.go", "package calc\nfunc TestMain(m *testing.M) { os.Exit(0) }\n", "shadow"),
        ("tests/__init__.py", "def load_tests(*_): ...\n", "shadow"),
    ],
)
def test_what_decides_success_is_to_stay(path: str, content: str | None, kind: str) -> None:
    assert found({path: content}) == {path: kind}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app.py", "def greet(n): return f'hello {n}'\n"),
        ("tests/test_more.py", "def test_more():\n    assert True\n"),
        ("tests/test_app.py", TEST.replace("import greet", "import farewell, greet")
         + "\n    def test_bye(self):\n        self.assertEqual(farewell('a'), 'bye a')\n"),
        ("tests/test_app.py", f"import json\n{TEST}\n\nCASES = [1, 2]\n\n\n{MORE}"),
        ("tests/test_app.py", f"{TEST}{MAIN}"),
        ("web/app.test.js", "import { farewell } from './app';\n" + JS[:-4]
         + "  it('leaves', () => {\n    expect(farewell('a')).toBe('bye a');\n  });\n});\n"),
        ("tests/fixtures/more.json", "{}"),
        ("tests/README.md", "words\n"),
        ("tests/__init__.py", ""),
        ("pyproject.toml", PYTHON["pyproject.toml"].replace("[]", '["requests"]')),
        ("package.json", PYTHON["package.json"].replace('"dependencies": {}', '"dependencies": {"left-pad": "1"}')),
        ("package.json", PYTHON["package.json"].replace('"node ."', '"node server.js"')),
        ("frontend/package.json", '{"scripts": {"test": "vitest"}, "jest": {}}'),
        ("frontend/jest.config.js", "module.exports = {}\n"),
        ("lib/queue.py", ""),
        ("lib/conftest.py", ""),
        ("calc/more_test.go", "package calc\nfunc TestMore(t *testing.T) {}\n"),
        ("setup.cfg", "[metadata]\nname = app\n[options.entry_points]\nconsole_scripts =\n  app = app:main\n"),
        ("pyproject.toml", PYTHON["pyproject.toml"] + "[project.scripts]\napp = 'app:main'\n"),
        ("setup.py", "setup(name='app', entry_points={'console_scripts': ['app = app:main']})\n"),
        (".npmrc", "save-exact=true\n"),
        ("README.md", "more\n"),
        ("test_data.txt", "x\n"),
    ],
)  # fmt: skip
def test_honest_work_is_left_alone(path: str, content: str) -> None:
    assert found({path: content}) == {}


def test_a_new_project_has_its_own_tests_and_settings() -> None:
    fresh = {"conftest.py": "", "pytest.ini": "", "pyproject.toml": PYTHON["pyproject.toml"], "calendar.py": "",
             "tests/test_a.py": TEST, "package.json": PYTHON["package.json"]}  # fmt: skip
    assert found(fresh, {"README.md": "hi\n"}) == {}
    assert found({"pytest.py": ""}, {"README.md": "hi\n"}) == {"pytest.py": "shadow"}


def test_settings_in_a_hidden_folder_are_about_the_one_that_it_lies_in() -> None:
    rust, java = {"app/tests/a.rs": ""}, {"src/test/java/ATest.java": ""}
    runner = "[target.x86_64-unknown-linux-gnu]\nrunner = 'true'\n"
    assert found({".cargo/config.toml": runner}, rust) == {".cargo/config.toml": "settings"}
    assert found({"app/.cargo/config.toml": runner}, rust) == {"app/.cargo/config.toml": "settings"}
    assert found({"other/.cargo/config.toml": runner}, rust) == {}
    assert found({".config/nextest.toml": "[profile.default]\n"}, rust) == {".config/nextest.toml": "shadow"}
    assert found({".mvn/maven.config": "-DskipTests\n"}, java, commands=["mvn test"]) == {".mvn/maven.config": "shadow"}


def test_packages_that_run_checks_and_are_committed_stay() -> None:
    there = ["node_modules/@jest/core/x.js", "web/node_modules/.bin/jest", "env/site-packages/_pytest/main.py"]
    base = {**PYTHON, **dict.fromkeys(there, "old"), "node_modules/left-pad/index.js": "old"}
    assert found(dict.fromkeys(base.keys() - PYTHON.keys(), "new"), base) == dict.fromkeys(there, "changed")


def test_the_plan_frees_what_the_goal_asks_to_change_and_the_person_always_wins() -> None:
    rewritten = {"tests/test_app.py": "", "conftest.py": "", "app.py": None}
    assert found(rewritten, may_change=["tests/**", "conftest.py"]) == {}
    assert found(rewritten, may_change=["**"], protected=["tests/**", "app.py"]) == {
        "tests/test_app.py": "changed",
        "app.py": "deleted",
    }
    assert found({"tests/conftest.py": ""}, may_change=["**"], protected=["tests"]) == {"tests/conftest.py": "shadow"}
    assert found({"tests/test_new.py": ""}, protected=["tests"]) == {}
    assert found({"LICENSE": "mine"}, protected=["LICENSE"]) == {"LICENSE": "shadow"}
    assert found({"tests/test_app.py": f"{TEST}\nX = 1\n"}, protected=["tests"]) == {"tests/test_app.py": "changed"}


def test_a_plan_frees_tests_and_nothing_that_runs_them() -> None:
    changed = {"tests/test_app.py": "", "tests/data/expected.txt": "", "web/app.test.js": ""}
    assert found(changed, planned=["tests", "web/*.test.js"]) == {}
    runs = {
        "Makefile": "test:\n\ttrue\n",
        "package.json": '{"scripts": {"test": "true"}}',
        "scripts/check.sh": "",
        "tests/conftest.py": "",
        "sitecustomize.py": "",
        "tests/unittest/__init__.py": "",
        "setup.cfg": "[tool:pytest]\naddopts = --co\n",
    }
    assert found(runs, planned=["**", *runs]).keys() == runs.keys()
    assert (
        found({"ci/test.sh": ""}, {"ci/test.sh": "pytest\n"}, commands=["sh ci/test.sh"], planned=["ci/test.sh"]) != {}
    )
    assert found(changed, planned=["tests"], protected=["tests/data"]).keys() == {
        "tests/data/expected.txt",
        "web/app.test.js",
    }


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["tests/test_a.py"], ["tests/test_a.py"]),
        (["./tests/test_a.py", "tests/test_b.py"], ["./tests/test_a.py", "tests/test_b.py"]),
        (["tests/unit/**", "app"], ["tests/unit/**", "app"]),
        (["**"], []),
        (["*"], []),
        (["**/*"], []),
        (["?*/x"], []),
        (["./**"], []),
        (["**/test_a.py"], []),
        (["tests"], []),
        (["tests/**"], []),
        (["tests/unit", "tests/test_*.py"], ["tests/unit"]),
    ],
)  # fmt: skip
def test_a_plan_names_few_tests_and_a_person_any(patterns: list[str], kept: list[str]) -> None:
    base = ["app/a.py", "tests/test_a.py", "tests/test_b.py", "tests/test_c.py", "tests/unit/test_d.py"]
    holds, notes = freed(patterns, base)
    assert holds == kept
    assert len(notes) == len(patterns) - len(kept)
    assert all("--may-change" in note for note in notes)


def test_tests_may_go_from_what_may_change() -> None:
    rules = rules_of({**PYTHON, "src/lib.rs": ""}, may_change=["app.py"], planned=["tests", "src/lib.rs", "calc"])
    paths = ["app.py", "tests/test_app.py", "src/lib.rs", "calc/calc_test.go", "web/app.test.js", "README.md"]
    assert [path for path in paths if rules.lets_tests_go(path)] == paths[:4]
    kept = rules_of({"src/lib.rs": ""}, planned=["src/lib.rs"], protected=["src"])
    assert not kept.lets_tests_go("src/lib.rs")


def test_a_file_that_the_plan_froze_stays() -> None:
    assert found({"app.py": "", "README.md": ""}, check_files=["app.py"]) == {"app.py": "changed"}


def test_what_lies_loose_in_a_checkout_is_judged_by_name() -> None:
    rules = Rules(Guard(base="a" * 40), {path: entry(content)[0] for path, content in PYTHON.items()})
    loose = ["conftest.py", "build/lib/queue.py", "app.pyc", "tests/difflib.py", "tests/out.txt", "sitecustomize.py"]
    assert [path for path, _ in rules.shadows([(path, False) for path in loose])] == [
        "conftest.py",
        "tests/difflib.py",
        "sitecustomize.py",
    ]


def test_what_installing_the_project_leaves_stays_unless_it_brings_a_plugin() -> None:
    tree = {path: entry(content)[0] for path, content in PYTHON.items()}
    left = {"app.egg-info/PKG-INFO": b"", "app.egg-info/entry_points.txt": b"[console_scripts]\napp = app:main\n"}
    evil = {"x.dist-info/entry_points.txt": b"[pytest11]\nx = plug\n"}
    loose = [(path, False) for path in {**left, **evil}]
    for manifest, taken in (("", [*evil]), ("[project.entry-points.pytest11]\napp = 'app.plugin'\n", [])):
        rules = Rules(Guard(base="a" * 40), tree, {"pyproject.toml": manifest.encode()})
        assert [path for path, _ in rules.shadows(loose, {**left, **evil}.__getitem__)] == taken


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("cd app && python3 -m unittest discover", "app/unittest/__main__.py"),
        ("cd app && python3 -m unittest discover", "app/unittest/__init__.py"),
        ("cd app && python3 -m unittest discover", "app/queue.py"),
        ("make -C app test", "app/difflib.py"),
        ("PYTHONPATH=src python3 -m pytest", "src/unittest/__init__.py"),
        ("PYTHONPATH=src python3 -m pytest", "src/sitecustomize.py"),
        ("PYTHONPATH=.:./src python3 -m pytest", "src/queue.py"),
        ('PYTHONPATH="$PWD/src" pytest', "src/queue.py"),
        ("python3 -m unittest discover -s lib", "lib/queue.py"),
        ("pytest", "deep/down/_pytest/__init__.py"),
        ("pytest", "free/queue.py"),
    ],
)
def test_a_module_of_the_runner_is_shadowed_below_the_root_as_well(command: str, path: str) -> None:
    base = {"app/__init__.py": "", "app/tests/test_app.py": TEST, "free/unit/test_app.py": TEST}
    assert found({path: ""}, base, commands=[command]) == {path: "shadow"}
    assert found({path: ""}, base, commands=[command], may_change=[path]) == {}
    honest = ["app/calendar.py" if command == "pytest" else "lib/inner/calendar.py", "app/coverage.py", "src/app.py"]
    assert found(dict.fromkeys(honest, ""), base, commands=["pytest"]) == {}


INIT = "from app.core import greet\n"
PACKAGE = {"app/__init__.py": INIT, "app/core.py": "", "app/tests/test_app.py": TEST, "unit/test_app.py": TEST}


@pytest.mark.parametrize(
    ("path", "added"),
    [
        ("app/__init__.py", "def load_tests(*_): ...\n"),
        ("app/__init__.py", "from app.core import evil as load_tests\n"),
        ("app/__init__.py", "from app.core import *\n"),
        ("app/__init__.py", "from app.core import (\n    *)\n"),
        ("app/core.py", "def load_tests(*_): ...\n"),
        ("unit/__init__.py", "from app.core import *\n"),
        ("unit/__init__.py", "def __getattr__(name): ...\n"),
        ("unit/__init__.py", "globals()['load' + '_tests'] = print\n"),
        ("unit/__init__.py", "import sys\nsetattr(sys.modules[__name__], 'x', 1)\n"),
        ("app/core.py", "def load_test\U0001d4fc(*_): ...\n"),
        ("app/core.py", "from app.more import evil as load\uff3ftests\n"),
        ("unit/__init__.py", "\uff47lobals()\n"),
    ],
)
def test_no_package_begins_to_choose_the_tests_that_run(path: str, added: str) -> None:
    assert [*found({path: PACKAGE.get(path, "") + added}, PACKAGE)] == [path]
    had = {**PACKAGE, path: PACKAGE.get(path, "") + added}
    if path == "app/__init__.py":
        assert found({path: had[path] + "VERSION = 2\n"}, had) == {}, "what was there may stay"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app/tests/__init__.py", ("120000", "../words.txt")),
        ("app/core.py", "# coding: utf-7\ndef load+AF8-tests(*_): ...\n"),
        ("app/__init__.py", f"{INIT}# {'x' * 40}\n"),
    ],
)
def test_what_nobody_can_read_chooses_no_tests(path: str, content: str | tuple[str, str]) -> None:
    changes, blobs = changes_of({path: content}, PACKAGE)
    too_large = {blob: raw for blob, raw in blobs.items() if b"xxxx" not in raw}
    assert [p for p, _ in rules_of(PACKAGE).found(changes, too_large)] == [path]


def test_an_added_fixture_takes_no_conftests_place() -> None:
    base = {**PYTHON, "conftest.py": "import pytest\n\n\n@pytest.fixture\ndef client(app): ...\n"}
    for name, kinds in (("app", {"tests/test_app.py": "changed"}), ("other", {})):
        added = f"{TEST}\n\n@pytest.fixture\ndef {name}(): ...\n"
        changes, blobs = changes_of({"tests/test_app.py": added}, base)
        rules = rules_of(base)
        blobs |= {entry.blob: base["conftest.py"].encode() for entry in rules.conftests(changes)}
        assert {p: t.kind for p, t in rules.found(changes, blobs)} == kinds


def test_packages_may_change_beside_that() -> None:
    lazy = "def __getattr__(name):\n    return __import__(name)\n"
    assert found({"app/__init__.py": INIT + lazy, "web/__init__.py": "from web.core import *\n"}, PACKAGE) == {}
    assert found({"unit/__init__.py": "from app.core import greet\n", "unit/test_b.py": TEST}, PACKAGE) == {}
    assert found({"app/core.py": "def load_tests(*_): ...\n"}, {"app/core.py": ""}) == {}


PATHS = st.sampled_from(sorted(PYTHON))
CHANGES = st.none() | st.sampled_from(["", "other\n", "# added\n"]) | st.just(("120000", "elsewhere"))


@settings(deadline=None)
@given(st.dictionaries(PATHS, CHANGES, max_size=6), st.lists(PATHS, max_size=3))
def test_what_a_person_protects_never_changes_unnoticed(
    changed: dict[str, str | tuple[str, str] | None], protected: list[str]
) -> None:
    told = found(changed, protected=protected, may_change=["**"])
    different = {path for path, content in changed.items() if content is None or content != PYTHON[path]}
    assert told.keys() == different & set(protected)


@settings(deadline=None)
@given(st.dictionaries(PATHS, CHANGES, max_size=6))
def test_tests_of_the_base_change_only_when_the_plan_says_so(changed: dict[str, str | tuple[str, str] | None]) -> None:
    told = found(changed)
    assert {path for path in changed if path.startswith("tests/")} <= told.keys()
    assert "app.py" not in told
    assert "README.md" not in told
    assert found(changed, may_change=["**"]) == {}
