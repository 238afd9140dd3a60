"""What frozen commands run is part of the checks, unless it may as well be the work."""

from __future__ import annotations

import pytest

from tests.activities.validation.test_guard import TEST, changes_of, found, rules_of

RUNS = "set -e\npython3 -m pytest -q\n"
BASE = {
    "app.py": "def greet(n): ...\nif __name__ == '__main__':\n    print(greet('a'))\n",
    "tests/test_app.py": TEST,
    "run.sh": RUNS,
    "build.sh": "gcc -o greet greet.c\n./tool.sh\n",
    "tool.sh": "cp a b\n",
    "lib/runner.sh": "node --test\n",
    "lib/common.sh": "say() { echo; }\n",
    "lib/outer.sh": '. "$(dirname "$0")/common.sh"\nsh "$HERE/runner.sh"\n',
    "scripts/all.py": "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'unittest', 'discover'])\n",
    "scripts/two.py": "import os\nos.system('sh lib/runner.sh')\nopen('app.py')\n",
    "scripts/plain.py": "print('built')\n",
    "manage.py": "from django.core.management import execute_from_command_line\nexecute_from_command_line([])\n",
    "cfg/p.ini": "[pytest]\n",
    "myplug.py": "def pytest_runtest_makereport(): ...\n",
    "tool/__main__.py": "import pytest\npytest.main()\n",
    "web/gate.mjs": "import { spawn } from 'node:child_process';\nspawn('npx', ['mocha', 'x']);\n",
    "package.json": '{"scripts": {"test": "sh lib/runner.sh", "start": "node scripts/serve.js"}}',
    "scripts/serve.js": "serve();\n",
    "Makefile": "include config.mk\n-include local.mk .env\n-include conf/*.mk\n"
    "test:\n\t@$(PY) -m unittest\n\tsh build.sh\n",
    "config.mk": "PY = python3\n",
    "sub/Makefile": "test:\n\tpython3 -m unittest\n",
}


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("./run.sh", "run.sh"),
        ("bash run.sh -q", "run.sh"),
        ("bash -euo pipefail run.sh", "run.sh"),
        ("sh -c 'cd . && ./run.sh'", "run.sh"),
        ("time env A=1 timeout 60 ./run.sh", "run.sh"),
        ("true && ./run.sh", "run.sh"),
        ("cd lib && sh runner.sh", "lib/runner.sh"),
        ("python3 scripts/all.py", "scripts/all.py"),
        ("uv run python scripts/all.py", "scripts/all.py"),
        ("python3 scripts/two.py", "scripts/two.py"),
        ("python3 scripts/two.py", "lib/runner.sh"),
        ("npm test", "lib/runner.sh"),
        ("sh lib/outer.sh", "lib/outer.sh"),
        ("sh lib/outer.sh", "lib/runner.sh"),
        ("sh lib/outer.sh", "lib/common.sh"),
        ("make test", "config.mk"),
        ("make -C sub test", "sub/Makefile"),
        ("cd sub && make test", "sub/Makefile"),
        ("pytest -c cfg/p.ini", "cfg/p.ini"),
        ("python3 -m pytest -q --config-file=cfg/p.ini", "cfg/p.ini"),
        ("pytest -p myplug tests", "myplug.py"),
        ("pytest -pmyplug", "myplug.py"),
        ("python manage.py test", "manage.py"),
        ("python3 -m tool", "tool/__main__.py"),
        ("node web/gate.mjs", "web/gate.mjs"),
    ],
)
def test_what_a_command_runs_to_check_stays(command: str, path: str) -> None:
    assert found({path: "exit 0\n"}, BASE, commands=[command]) == {path: "changed"}
    assert found({path: None}, BASE, commands=[command]) == {path: "deleted"}
    assert found({path: ""}, BASE, commands=["pytest tests"]) == {}, "only where a command runs it"
    assert found({path: ""}, BASE, commands=[command], may_change=[path]) == {}


@pytest.mark.parametrize("path", ["local.mk", ".env", "conf/x.mk", "GNUmakefile"])
def test_what_a_makefile_would_include_is_not_added(path: str) -> None:
    assert found({path: "SHELL = /bin/true\n"}, BASE, commands=["make test"]) == {path: "shadow"}
    assert found({path: ""}, BASE, commands=["pytest"]) == {}
    assert [p for p, _ in rules_of(BASE, commands=["make test"]).shadows([(".env", False)])] == []


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("python3 app.py --self-test", "app.py"),
        ("./build.sh && ./greet", "build.sh"),
        ("./build.sh && ./greet", "tool.sh"),
        ("make test", "build.sh"),
        ("python3 scripts/plain.py", "scripts/plain.py"),
        ("npm start", "scripts/serve.js"),
    ],
)
def test_what_may_as_well_be_the_work_may_change_and_a_person_is_told(command: str, path: str) -> None:
    changed = {path: "other\n"}
    assert found(changed, BASE, commands=[command]) == {}
    [told] = rules_of(BASE, commands=[command]).reported(*changes_of(changed, BASE))
    assert told.startswith(f"{path} was changed")
    assert [*rules_of(BASE, commands=["pytest"]).reported(*changes_of(changed, BASE))] == []


def test_what_a_check_only_speaks_of_is_free() -> None:
    changed = dict.fromkeys(["app.py", "scripts/serve.js", "lib/common.sh", "myplug.py"], "other\n")
    for command in ("python3 scripts/two.py", "make test", "pip install -r cfg/p.ini && pytest app.py"):
        assert found(changed, BASE, commands=[command]) == {}, command


def test_cycles_and_hostile_texts_are_read_to_an_end() -> None:
    base = {"a.sh": "sh b.sh\n", "b.sh": "sh a.sh\npytest '\n", "c.py": '"' * 5_000 + "[" * 5_000}
    assert found({"a.sh": "", "b.sh": "", "c.py": ""}, base, commands=["sh a.sh", "python c.py", "'"]).keys() == {
        "a.sh",
        "b.sh",
    }


def test_a_runner_that_a_command_starts_by_its_path_stays() -> None:
    base = {"bin/rspec": "load 'x'\n", "spec/a_spec.rb": ""}
    assert found({"bin/rspec": "exit 0\n"}, base, commands=["bin/rspec -q"]) == {"bin/rspec": "changed"}
    assert found({"vendor/bin/phpunit": "exit 0\n"}, base, commands=["./vendor/bin/phpunit"]) == {
        "vendor/bin/phpunit": "shadow"
    }
    assert found({"bin/app": "exit 0\n", "vendor/bin/other": ""}, base, commands=["bin/app"]) == {}
