"""What counts as a test and as a setting of what runs tests: by the names that tools themselves go by."""

from __future__ import annotations

import re
import sys
from pathlib import PurePosixPath

_TEST_FOLDERS = frozenset(
    {"test", "tests", "Test", "Tests", "__tests__", "__snapshots__", "__fixtures__", "__mocks__"}
    | {"e2e", "testdata", "cypress", "testFixtures"}
)
_TEST_FOLDER = re.compile(r"[\w.]+\.(?:Unit|Integration)?Tests?|[a-z]\w*Test|[^/]+-snapshots|\w+_SUITE_data")
"""Folders of .NET, of Gradle's source sets, of Playwright's snapshots, and of Erlang's suites."""
_DOCUMENTS = frozenset({".md", ".rst", ".adoc"})
_JS = r"\.[cm]?[jt]sx?"
_TEST_NAMES = re.compile(
    # unittest collects `test*.py`, pytest `test_*.py` and `*_test.py`; a `testing.py` is mostly a library's help.
    r"(?:test(?!ing\.py)[^/]*|[^/]*_tests?|conftest)\.py"
    # node --test, Deno, Bun, Jest, Vitest, AVA, Jasmine.
    rf"|(?:[^/]*[._-])?(?:test|spec|cy|e2e)s?{_JS}|test-[^/]*{_JS}|[^/]*[a-z0-9](?:Spec|Test){_JS}"
    r"|(?:[^/]*_)?tests?\.rs"
    r"|[^/]*_(?:unit|integration)?_?tests?\.(?:go|c|cc|cpp|cxx|exs|dart|ml|clj[cs]?|rb|jl|lua|zig|sh|bash|php|pl|erl)"
    r"|test_[^/]*\.(?:c|cc|cpp|cxx|jl|lua|zig|R|r|rb|php|ml|pl)|test-[^/]*\.[Rr]|runtests\.jl"
    # Shell has no runner of its own: whatever says that it tests.
    r"|(?:[^/]*[_-])?tests?\.(?:sh|bash)|test[_-][^/]*\.(?:sh|bash)|[^/]*\.bats|[^/]*\.Tests\.ps1"
    r"|[^/]*_spec\.(?:rb|lua|cr)|(?:spec|rails|test)_helper\.rb"
    # Surefire, Failsafe, JUnit's and XCTest's habits, PHPUnit, Spock, Kotest.
    r"|[^/]*(?:Tests?|TestCase|Specs?|IT|ITCase)\.(?:java|kts?|cs|fs|vb|php|swift|scala|groovy)"
    r"|(?:Test|IT)[A-Z0-9_][^/]*\.(?:java|kts?|scala|groovy)"
    # hspec, Common Test, prove, Robot Framework, Cucumber and behave.
    r"|[^/]*(?:Spec|Test)\.hs|[^/]*_SUITE\.erl|[^/]*\.(?:t|robot|feature)"
)
_SOURCES = frozenset({"src", "lib", "app", "pkg", "internal"})
_PLACES = (
    # RSpec, Jasmine and Busted; a folder of this name may hold a specification as well.
    (frozenset({"spec", "specs"}), re.compile(
        rf"(?:.*/)?(?:support|fixtures|helpers|factories|shared|mocks|cassettes)/.*|.*(?:\.(?:rb|lua|cr)|{_JS})")),
    (frozenset({"features"}), re.compile(r"(?:steps|step_definitions|support|fixtures)/.*|environment\.py")),
    (frozenset({"t"}), re.compile(r"(?:lib|data|fixtures)/.*|.*\.p[lm]")),
)  # fmt: skip
"""Folders that are tests only outside of sources, and what of them is."""
_LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"), "javascript"),
    ".go": "go",
    ".rs": "rust",
    ".rb": "ruby",
    ".php": "php",
}

WHOLE_SETTINGS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), language, tool)
    for pattern, language, tool in (
        (r"\.?pytest\.(?:ini|toml)|conftest\.py|\.coveragerc", "python", ""),
        (r"(?:jest|vitest|ava|playwright|cypress|wdio)\.config\.\w+(?:\.\w+)?", "javascript", ""),
        (r"vitest\.workspace\.\w+|\.mocharc(?:\.\w+)?|karma\.conf\.\w+|\.taprc|\.nycrc(?:\.\w+)?|\.c8rc(?:\.\w+)?",
         "javascript", ""),
        (r"\.rspec", "ruby", ""),
        (r"phpunit\.xml(?:\.dist)?", "php", ""),
        (r"CTestCustom\.cmake", "", ""),
        (r"gradlew(?:\.bat)?|gradle-wrapper\.\w+", "", "gradlew"),
        (r"mvnw(?:\.cmd)?|maven-wrapper\.\w+", "", "mvnw"),
        (r"\.mvn/.*", "", ""),
        (r"nextest\.toml", "rust", ""),
        (r"\.eslintrc(?:\.\w+)?|eslint\.config\.\w+|\.eslintignore", "javascript", "eslint"),
        (r"\.?mypy\.ini", "python", "mypy"),
        (r"\.?ruff\.toml", "python", "ruff"),
        (r"\.flake8", "python", "flake8"),
        (r"\.golangci\.\w+", "go", "golangci-lint"),
    )
)  # fmt: skip
"""Files that are settings as a whole: name, language of the tests that they steer, and the tool whose check they are
(empty: what runs tests). An empty language is any."""

RUN_BY: dict[str, frozenset[str]] = {
    "make": frozenset({"GNUmakefile", "makefile", "Makefile"}),
    "gmake": frozenset({"GNUmakefile", "makefile", "Makefile"}),
    "just": frozenset({"justfile", "Justfile", ".justfile"}),
    "task": frozenset({"Taskfile.yml", "Taskfile.yaml", "Taskfile.dist.yml"}),
    "nox": frozenset({"noxfile.py"}),
    "rake": frozenset({"Rakefile", "rakefile", "Rakefile.rb"}),
}
"""Files of the root that say what a program in a frozen command does."""

_NOT_SHADOWING = frozenset({"test", "this", "antigravity", "idlelib", "turtledemo", "lib2to3", "__future__"})
RUNNER_MODULES = frozenset(
    {
        "sitecustomize",
        "usercustomize",
        "unittest",
        "pytest",
        "_pytest",
        "py",
        "pluggy",
        "iniconfig",
        "nose",
        "nose2",
        "coverage",
    }
    | {"hypothesis", "pytest_cov", "pytest_asyncio", "xdist", "tox", "nox", "mypy", "ruff", "flake8", "pylint"}
)
ANYWHERE_MODULES = frozenset(
    {"sitecustomize", "usercustomize", "unittest", "pytest", "_pytest", "pluggy", "iniconfig", "nose", "nose2"}
)
"""Modules of which nobody means another one by the name: there is no honest one, in whatever folder."""
RUNNER_PROGRAMS = RUNNER_MODULES | {"py.test", "python", "python3", "node", "npm", "make", "sh", "bash"}
"""Programs whose place nothing that is installed from the project may take."""
METADATA = re.compile(r".+\.(?:dist-info|egg-info)", re.IGNORECASE)
"""Folders, or files, from which Python learns what is installed: it looks for them wherever it looks for modules."""
STDLIB_MODULES = sys.stdlib_module_names - _NOT_SHADOWING
JS_RUNNERS = frozenset(
    {".bin", "jest", "jest-cli", "@jest", "vitest", "@vitest", "mocha", "ava", "jasmine", "tap", "karma", "playwright"}
    | {"@playwright", "cypress", "tsx", "ts-node", "c8", "nyc", "eslint", "typescript"}
)


def is_test(path: str) -> bool:
    """Whether a path is a test, or belongs to tests: by its name, or by a folder that it lies in."""
    where = PurePosixPath(path)
    if where.suffix in _DOCUMENTS:
        return False
    if _TEST_NAMES.fullmatch(where.name) is not None:
        return True
    folders = where.parts[:-1]
    return any(name in _TEST_FOLDERS or _TEST_FOLDER.fullmatch(name) for name in folders) or _in_place(where.parts)


def _in_place(parts: tuple[str, ...]) -> bool:
    for n, name in enumerate(parts[:-1]):
        if name in _SOURCES:
            return False
        below = "/".join(parts[n + 1 :])
        if any(name in names and wanted.fullmatch(below) for names, wanted in _PLACES):
            return True
    return False


def is_test_file(path: str) -> bool:
    """Whether a path is a file of tests by its own name."""
    name = PurePosixPath(path).name
    return name != "conftest.py" and _TEST_NAMES.fullmatch(name) is not None


def language(path: str) -> str:
    """The language of a file by its suffix; empty for others."""
    return _LANGUAGES.get(PurePosixPath(path).suffix, "")


def shadowed_module(path: str, folder: str, *, is_link: bool) -> str | None:
    """The module of a test runner or of the standard library whose place ``path`` takes for imports from ``folder``."""
    inside = path.removeprefix(f"{folder}/") if folder != "." else path
    first, _, rest = inside.partition("/")
    name, _, suffix = first.partition(".")
    if name not in RUNNER_MODULES and name not in STDLIB_MODULES:
        return None
    if not rest:
        return name if suffix.endswith(("py", "pyc", "so")) or (is_link and not suffix) else None
    stem, _, kind = rest.partition(".")
    return name if not suffix and stem in ("__init__", "__main__") and kind.endswith(("py", "pyc", "so")) else None
