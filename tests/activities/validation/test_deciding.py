"""Of files that honest work must edit, what decides checks is told apart from the rest."""

from __future__ import annotations

import pytest

from activities.validation.commands import Runs
from activities.validation.deciding import deciding, differing, has_part, in_doubt, says_other

RUNS = Runs.of(["npm test", "pytest -q"])


def changed(path: str, before: str | None, after: str | None, *, has_tests: bool = True, runs: Runs = RUNS) -> bool:
    """Whether what decides in the file is another one than before."""
    assert has_part(path)
    raws = [text if text is None else text.encode() for text in (before, after)]
    return differing(path, raws[0], raws[1], runs, has_tests=has_tests) is not None


@pytest.mark.parametrize(
    "line",
    [
        "script-shell=./sh.sh",
        '"script-shell"=./sh.sh',
        " 'script-shell' = ./sh.sh",
        "script-shell[]=./sh.sh",
        '"script-shell[]"=./sh.sh',
        '"script\\u002dshell"=./sh.sh',
        "script\\-shell=./sh.sh",
        "${NONE?}script-shell=./sh.sh",
        "node-options=--require ./x.js",
        "if-present",
    ],
)
def test_npm_settings_decide_however_they_are_spelled(line: str) -> None:
    assert changed(".npmrc", None, f"save-exact=true\n{line}\n")
    assert changed(".npmrc", "script-shell=sh\n", f"script-shell=sh\n{line}\n")
    assert not changed(".npmrc", f"{line}\n", f"{line}\nsave-exact=true\n")


def test_npm_settings_that_decide_nothing_are_free() -> None:
    assert not changed(".npmrc", None, '"save-exact"=true\nfund=false\nshell-emulator[]=x\n')


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("pyproject.toml", "[project.entry-points.pytest11]\nx = 'a'\n", "[project.entry-points.pytest11]\nx = 'b'\n"),
        ("pyproject.toml", "", "[tool.poetry.plugins.pytest11]\nx = 'b'\n"),
        ("pyproject.toml", "", "[tool.poetry.scripts]\npytest = 'b:main'\n"),
        ("setup.cfg", "[options.entry_points]\n", "[options.entry_points]\nconsole_scripts =\n  pytest = a:b\n"),
        ("setup.py", "E = {'pytest11': ['x = a']}\n", "E = {'pytest11': ['x = b']}\n"),
        ("setup.py", "", "E = dict(pytest11=['x = a'])\n"),
        ("setup.py", "", "E = '''\n[pytest11]\nx = a\n'''\n"),
        ("x.egg-info/entry_points.txt", "[console_scripts]\na = b:c\n", "[pytest11]\na = b\n"),
    ],
)
def test_plugins_of_pytest_decide_wherever_they_are_declared(path: str, before: str, after: str) -> None:
    assert changed(path, before, after)
    assert not changed(path, after, f"{after}# more\n")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("package.json", '{"devDependencies": {"jest": "file:./fake"}}'),
        ("package.json", '{"dependencies": {"@jest/core": "npm:other@1"}}'),
        ("package.json", '{"overrides": {"ts-jest": {"jest": "someone/fake"}}}'),
        ("package.json", '{"overrides": {"jest": {".": "link:fake"}}}'),
        ("package.json", '{"resolutions": {"**/jest@^29": "portal:./fake"}}'),
        ("package.json", '{"pnpm": {"overrides": {"a>vitest": "https://example.org/v.tgz"}}}'),
        ("package.json", '{"name": "jest"}'),
        ("package.json", '{"name": "a", "bin": {"vitest": "fake.js"}}'),
        ("pyproject.toml", '[project]\nname = "pytest"\n'),
        ("pyproject.toml", '[project.scripts]\npytest = "fake:main"\n'),
        ("pyproject.toml", '[project.optional-dependencies]\ndev = ["pytest @ file:///workspace/fake"]\n'),
        ("pyproject.toml", '[tool.uv.sources]\npytest = { path = "fake" }\n'),
        ("pyproject.toml", '[[tool.uv.sources.pytest]]\ngit = "https://example.org/x"\n'),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\npytest-cov = { git = "https://example.org/x" }\n'),
        ("Pipfile", '[dev-packages]\npytest = { editable = true, path = "fake" }\n'),
        ("requirements.txt", "pytest[all] @ file:///workspace/fake\n"),
        ("requirements-dev.txt", "-e ./vendor/pytest\n"),
        ("requirements/dev.txt", "wheels/pytest-99.0-py3-none-any.whl  # ours\n"),
        ("requirements.txt", "--find-links ./wheels\npytest\n"),
        ("go.mod", "module a\nreplace github.com/stretchr/testify v1.9.0 => ./fake\n"),
        ("go.work", "use .\nreplace (\n\tgotest.tools/v3 => ./fake\n)\n"),
        ("Gemfile", "group :test do\n  gem 'rspec-core', path: './fake'\nend\n"),
        ("Cargo.toml", "[patch.crates-io]\nproptest = { path = 'fake' }\n"),
        ("composer.json", '{"repositories": [{"type": "path", "url": "fake"}]}'),
    ],
)
def test_where_what_runs_the_checks_comes_from_decides(path: str, text: str) -> None:
    assert changed(path, None, text)
    assert changed(path, text, text.replace("fake", "mended") if "fake" in text else "{}" if "json" in path else "")
    assert not changed(path, text, text)
    other = f"packages/fake/{path}"
    assert differing(other, None, text.encode(), RUNS, has_tests=False, anywhere=True) is not None
    assert differing(other, None, text.encode(), RUNS, has_tests=False) is None, "no tests, nothing to steer"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "package.json",
            '{"name": "a", "devDependencies": {"jest": "^29 || ~30", "vitest": "catalog:", "b": "file:b"}}',
        ),
        ("package.json", '{"overrides": {"jest": {"ansi-styles": "npm:other@1"}}, "bin": "a.js"}'),
        ("pyproject.toml", '[project]\nname = "a"\ndependencies = ["b @ file:///b", "pytest>=8"]\n'),
        ("pyproject.toml", '[tool.uv.sources]\nb = { path = "b" }\n[dependency-groups]\ndev = ["pytest"]\n'),
        ("Pipfile", '[dev-packages]\npytest = "*"\nb = { path = "b" }\n'),
        ("go.mod", "module a\nrequire github.com/stretchr/testify v1.9.0\nreplace example.org/b => ../b\n"),
        ("Gemfile", "gem 'rspec', '~> 3'\ngem 'mine', path: '.'\n# gem 'rspec', path: 'x'\n"),
        ("requirements.txt", "-r base.txt\n-e .\npytest==8.0 --hash=sha256:1\nb @ https://example.org/b.whl\n"),
    ],
)
def test_versions_of_what_runs_the_checks_and_other_packages_are_free(path: str, text: str) -> None:
    assert not changed(path, None, text)


CARGO = '[package]\nname = "a"\n[dependencies]\nserde = "1"\n[[test]]\nname = "old"\n'
POM = (
    "<project><dependencies></dependencies><build><plugins><plugin><artifactId>maven-surefire-plugin</artifactId>"
    "<configuration><includes><include>**/*Test.java</include></includes></configuration></plugin></plugins>"
    "</build></project>"
)
MIX = 'def project do\n  [\n    app: :a,\n    version: "0.1.0",\n    aliases: aliases()\n  ]\nend\ndefp deps do\n  []\n'
CMAKE = "project(a)\nadd_executable(a a.c)\nenable_testing()\nadd_test(NAME old COMMAND a --check)\n"
HATCH = "[envs.default.scripts]\ntest = 'pytest'\n"
COMPOSER = '{"require": {}, "scripts": {"test": ["@unit"], "unit": "phpunit", "serve": "php -S"}}'
DENO = '{\n  // tasks\n  "tasks": {"check": "deno task unit", "unit": "deno test", "dev": "deno run a.ts"},'
DENO += '\n  "imports": {},\n}'


@pytest.mark.parametrize(
    ("path", "before", "after", "command"),
    [
        ("Cargo.toml", CARGO, CARGO.replace("name = \"a\"", "name = \"a\"\nautotests = false"), ""),
        ("Cargo.toml", CARGO, CARGO + "harness = false\n", ""),
        ("Cargo.toml", CARGO, CARGO.replace("[[test]]\nname = \"old\"\n", ""), ""),
        ("Cargo.toml", CARGO, CARGO + '[[test]]\nname = "b"\npath = "src/none.rs"\n', ""),
        ("Cargo.toml", CARGO, CARGO + "[lib]\ntest = false\n", ""),
        ("rust-toolchain.toml", None, '[toolchain]\npath = "./fake"\n', ""),
        ("bunfig.toml", None, '[test]\npreload = ["./x.ts"]\n', ""),
        ("bunfig.toml", 'preload = ["./a.ts"]\n', 'preload = ["./b.ts"]\n', ""),
        ("deno.json", DENO, DENO.replace('"deno test"', '"true"'), "deno task check"),
        ("deno.jsonc", DENO, DENO.replace('"imports"', '"test": {"include": []}, "imports"'), ""),
        ("composer.json", COMPOSER, COMPOSER.replace('"phpunit"', '"true"'), "composer test"),
        ("composer.json", COMPOSER, COMPOSER.replace('"serve"', '"post-install-cmd": "cp x", "s"'), ""),
        ("hatch.toml", HATCH, HATCH.replace("pytest", "true"), "hatch run test"),
        ("pom.xml", POM, POM.replace("*Test.java", "*None.java"), ""),
        ("pom.xml", POM, POM.replace("<build>", "<properties><skipTests>true</skipTests></properties><build>"), ""),
        ("pom.xml", POM, POM.replace("<plugin>", "<!-- <plugin>").replace("</plugin>", "</plugin> -->"), ""),
        ("mix.exs", MIX, MIX.replace("aliases: aliases()", "aliases: [test: \"run\"]"), ""),
        ("mix.exs", MIX, MIX.replace("app: :a,", "app: :a,\n  test_paths: [\"none\"],"), ""),
        ("CMakeLists.txt", CMAKE, CMAKE.replace("a --check", "true"), ""),
        ("CMakeLists.txt", CMAKE, CMAKE.replace("add_test", "# add_test"), ""),
        ("CMakeLists.txt", CMAKE, CMAKE + "set_tests_properties(old PROPERTIES WILL_FAIL TRUE)\n", ""),
        ("meson.build", "test('a', a)\n", "test('a', find_program('true'))\n", ""),
        ("Directory.Build.props", None, "<Project><IsTestProject>false</IsTestProject></Project>", ""),
        (".yarnrc.yml", "nodeLinker: pnp\n", "nodeLinker: pnp\nyarnPath: ./fake.cjs\n", ""),
        (".yarnrc", None, 'yarn-path "./fake.cjs"\n', ""),
    ],
)  # fmt: skip
def test_what_a_build_says_of_its_tests_stays(path: str, before: str | None, after: str, command: str) -> None:
    assert changed(path, before, after, runs=Runs.of([command]))


@pytest.mark.parametrize(
    ("path", "before", "after", "command"),
    [
        ("Cargo.toml", CARGO, CARGO.replace('"1"', '"2"\nrand = "1"'), ""),
        ("Cargo.toml", CARGO, CARGO + '[[test]]\nname = "b"\n[[bin]]\nname = "tool"\npath = "src/tool.rs"\n', ""),
        ("rust-toolchain.toml", '[toolchain]\nchannel = "1.80"\n', '[toolchain]\nchannel = "1.81"\n', ""),
        ("bunfig.toml", None, "[install]\nexact = true\n", ""),
        ("deno.json", DENO, DENO.replace('"imports": {}', '"imports": {"a": "jsr:a"}').replace("run a.ts", "run b.ts"),
         "deno task check"),
        ("composer.json", COMPOSER, COMPOSER.replace('"require": {}', '"require": {"a/b": "1"}').replace("php -S", "x"),
         "composer test"),
        ("hatch.toml", "[envs.default]\n", "[envs.default]\ndependencies = ['a']\n", "hatch run test"),
        ("pom.xml", POM, POM.replace("<dependencies>", "<dependencies><dependency>1</dependency>"), ""),
        ("mix.exs", MIX, MIX.replace("[]", '[{:jason, "~> 1.4"}, {:mox, "1", only: :test}]').replace("0.1", "2"), ""),
        ("CMakeLists.txt", CMAKE, CMAKE.replace("a a.c", "a a.c b.c") + "add_test(NAME new COMMAND a --more)\n", ""),
        ("meson.build", "test('a', a)\n", "# more\ntest('a', a)\ntest('b', b)\nexecutable('b', 'b.c')\n", ""),
        (".yarnrc.yml", "yarnPath: .yarn/a.cjs\n", "yarnPath: .yarn/a.cjs\nnodeLinker: node-modules\n", ""),
        ("Directory.Build.props", None, "<Project><LangVersion>12</LangVersion></Project>", ""),
    ],
)  # fmt: skip
def test_dependencies_and_the_rest_of_a_build_are_free(path: str, before: str | None, after: str, command: str) -> None:
    assert not changed(path, before, after, runs=Runs.of([command]))
    assert not changed(path, None, after, has_tests=False, runs=Runs.of([command]))


def test_texts_that_are_no_build_are_judged_without_a_crash() -> None:
    for path in ("Cargo.toml", "pom.xml", "deno.json", "composer.json", "mix.exs", "bunfig.toml", "hatch.toml"):
        for raw in (b"\xff", b"{" * 50_000, b"[" * 50_000, b"<plugin>" * 20_000, b"/*" * 50_000, b'"' * 50_001):
            differing(path, b"", raw, Runs.of(["hatch run x"]), has_tests=True)


def test_a_build_that_is_a_program_is_for_a_person_to_see() -> None:
    gradle = "dependencies {\n  testImplementation 'a:b:1'\n}\ntest {\n  useJUnitPlatform()\n}\n"
    assert in_doubt("app/build.gradle.kts")
    assert not says_other("build.gradle", gradle.encode(), gradle.replace("b:1", "b:2").encode())
    assert says_other(
        "build.gradle", gradle.encode(), gradle.replace("useJUnit", "ignoreFailures = true\nuseJUnit").encode()
    )
    for path in ("vite.config.ts", "babel.config.js", ".babelrc"):
        assert in_doubt(path)
        assert says_other(path, None, b"export default {}")
    assert not in_doubt("config.ts")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("path", "text"),
    [("go.mod", "assert" * 50_000), ("go.work", "replace assert " * 20_000), ("Gemfile", "gem 'rspec' " * 20_000)],
)
def test_an_endless_line_stops_nobody(path: str, text: str) -> None:
    """An agent writes these files, and the worker reads them between its heartbeats."""
    assert deciding(path, text.encode(), Runs.of([])) == {}
