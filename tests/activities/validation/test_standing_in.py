"""Nothing takes the place of what tests of the base were made with: their libraries, their data, their framework."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from activities.validation import Rules
from activities.validation.standing_in import is_dependency, patched
from tests.activities.validation.test_guard import TEST, changes_of, rules_of

USES = f"import hamcrest\nfrom Widgets.core import x\nimport shop\nCASES = 'tests_of/cases.json'\n{TEST}"
BASE = {
    "test_app.py": USES,
    "app.py": "import json\nPRICES = json.load(open('prices.json'))\n",
    "cases.json": "[1]",
    "prices.json": "[2]",
    "other.json": "[3]",
    "test_prices.py": "import prices\nopen('prices.json')\n",
    "requirements.txt": "py-widgets>=2  # more\nPyYAML\n",
    "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["Widgets[all]>=1"]\n',
    "README.md": "cases.json\n",
}


def knowing(changed: Mapping[str, str | None], **guard: object) -> Rules:
    """The rules, with what they ask of the base's texts."""
    rules = rules_of(BASE, **guard)
    words = rules.asks(changes_of(changed, BASE)[0])
    return rules.knowing({w: frozenset(p for p, text in BASE.items() if w in text.lower()) for w in words})


def judged(changed: Mapping[str, str | None], **guard: object) -> tuple[dict[str, str], list[str]]:
    """Path to kind of what is found, and the paths of what is told."""
    rules = knowing(changed, **guard)
    changes, blobs = changes_of(changed, BASE)
    told = [line.partition(" ")[0] for line in rules.reported(changes, blobs)]
    return {path: t.kind for path, t in rules.found(changes, blobs)}, told


@pytest.mark.parametrize("path", ["hamcrest.py", "hamcrest/__init__.py", "Widgets/__init__.py"])
def test_a_library_that_tests_import_is_not_made_up(path: str) -> None:
    assert judged({path: ""})[0] == {path: "shadow"}
    assert judged({path: ""}, may_change=[path])[0] == {}
    assert judged({path: ""}, planned=[path])[0] == {path: "shadow"}


def test_a_module_that_tests_wait_for_is_the_work_and_is_told() -> None:
    waited = {"shop.py": "", "prices/__init__.py": "", "else.py": "", "deep/down/shop.py": ""}
    assert judged(waited) == ({}, ["shop.py", "prices/__init__.py"])
    assert judged({"app.py": "", "lib/hamcrest_like.py": ""}) == ({}, [])


def test_data_of_tests_stays_and_data_of_the_program_is_told() -> None:
    assert judged({"cases.json": "[9]"})[0] == {"cases.json": "changed"}
    assert judged({"cases.json": None})[0] == {"cases.json": "deleted"}
    assert judged({"cases.json": "[9]"}, planned=["cases.json"])[0] == {}
    assert judged({"prices.json": "[9]", "other.json": "[9]"}) == ({}, ["prices.json"])
    assert judged({"requirements.txt": "x\n", "README.md": "", "new.json": ""})[0] == {}


@pytest.mark.parametrize(
    ("path", "text", "there"),
    [
        ("requirements-dev.txt", "PyHamcrest2==1\nwidgets~=3\n", True),
        ("requirements.txt", "# widgets\n-r widgets\n", False),
        ("pyproject.toml", '[project]\nname = "widgets"\n', False),
        ("pyproject.toml", '[dependency-groups]\ndev = ["widgets"]\n', True),
        ("pyproject.toml", '[project.optional-dependencies]\ntest = ["python_widgets>1"]\n', True),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\nwidgets = "^1"\n', True),
        ("Pipfile", '[dev-packages]\nwidgets = "*"\n', True),
        ("setup.cfg", "[metadata]\nname = widgets\n[options]\ninstall_requires =\n  a\n  widgets>1\n", True),
        ("setup.cfg", "[metadata]\nname = widgets\n", False),
        ("pyproject.toml", "[", False),
    ],
)
def test_what_is_to_be_installed_is_read_where_it_is_listed(path: str, text: str, there: bool) -> None:
    assert is_dependency("widgets", [(path, text.encode())]) is there


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import unittest\nunittest.TestCase.assertEqual = None", ["unittest.TestCase.assertEqual"]),
        ("from unittest import TestCase as T\nsetattr(T, 'assertEqual', None)", ["T"]),
        ("import _pytest.assertion as a\na.rewrite.x += 1", ["a.rewrite.x"]),
        ("import pytest\ndef f():\n    del pytest.raises", ["pytest.raises"]),
        ("import unittest\nclass A(unittest.TestCase):\n    x = 1\nA.x = 2\nunittest = 3", []),
        ("import json\njson.loads = None", []),
        ("(" * 10_000, []),
        ("\0", []),
    ],
)
def test_changes_of_a_test_framework_are_told(code: str, names: list[str]) -> None:
    assert patched(b"", code.encode()) == names
    assert patched(code.encode(), code.encode()) == []
    told = "".join(rules_of(BASE).reported(*changes_of({"app.py": code}, BASE)))
    assert ("app.py changes what tests are made with" in told) is bool(names)
