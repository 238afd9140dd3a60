"""Tests that are only added to, and assertions that are counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.validation.additions import identifiers, only_adds
from activities.validation.assertions import Counted, count, lost

NAMES = st.sampled_from([f"test_{letter}" for letter in "abcdefgh"])
BODIES = st.sampled_from(["    assert f() == 1\n", "    x = f()\n    assert x\n", "    with raises(E):\n        f()\n"])
FILES = st.dictionaries(NAMES, BODIES, min_size=1, max_size=6)


def source(tests: dict[str, str]) -> bytes:
    return "\n\n".join(f"def {name}():\n{body}" for name, body in tests.items()).encode()


@settings(deadline=None)
@given(FILES, FILES)
def test_adding_tests_under_new_names_is_only_adding(old: dict[str, str], new: dict[str, str]) -> None:
    grown = {**old, **{f"{name}_more": body for name, body in new.items()}}
    assert only_adds("test_x.py", source(old), source(grown))


@settings(deadline=None)
@given(FILES, st.data())
def test_changing_or_dropping_or_hiding_any_test_is_not(old: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(old)))
    changed = {**old, name: "    assert True\n"}
    dropped = {n: body for n, body in old.items() if n != name}
    hidden = source(old) + f"\n\ndef {name}():\n    assert True\n".encode()
    for after in (source(changed), source(dropped), hidden, source(old) + f"\n\n{name} = None\n".encode()):
        assert not only_adds("test_x.py", source(old), after)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_text_that_is_no_program_is_judged_without_a_crash(before: str, after: str) -> None:
    for path in ("test_x.py", "x.test.js", "x.snap"):
        only_adds(path, before.encode(), after.encode())
        count(path, after.encode())


def test_snapshots_may_be_added_not_changed() -> None:
    one, two = "exports[`a 1`] = `x`;", "exports[`b 1`] = `y`;"
    assert only_adds("a.snap", one.encode(), f"{one}\n\n{two}\n".encode())
    assert not only_adds("a.snap", one.encode(), b"exports[`a 1`] = `z`;")
    assert not only_adds("a.snap", one.encode(), f"{one}\n\nexports[`a 1`] = `z`;\n".encode())


def test_deep_nesting_and_huge_files_count_as_changed() -> None:
    deep = b"x = " + b"(" * 100_000
    assert not only_adds("test_x.py", b"x = 1\n", deep)
    assert not only_adds("test_x.py", b"x = 1\n", b"x = 1\n" + b"-" * 60_000 + b"1\n")
    assert not only_adds("test_x.py", b"x = 1\n", b"x = 1\n# " + b"y" * 2_000_000)
    assert count("test_x.py", deep) is None


def test_assertions_are_counted_in_many_languages() -> None:
    python = b"class T:\n    def test_a(self):\n        self.assertEqual(1, f())\n        assert f()\n"
    python += b"        assert True\n"
    counted = count("test_a.py", python)
    assert counted == Counted(1, 2, {"T.test_a": 2})
    for path, text, tests, assertions in [
        ("a.test.ts", "it('x', () => {\n  expect(1).toBe(1);\n  // expect(2)\n  assert.equal(1, 1)\n})", 1, 2),
        ("a_test.go", 'func TestX(t *testing.T) {\n if x { t.Errorf("no") }\n require.Equal(t, 1, 1)\n}', 1, 2),
        ("a.rs", "#[test]\nfn x() { assert_eq!(1, f()); }\n", 1, 1),
        ("ATest.java", "@Test\nvoid x() { assertEquals(1, f()); assertThat(x).isTrue(); }", 1, 2),
    ]:
        found = count(path, text.encode())
        assert found is not None
        assert (found.tests, found.assertions) == (tests, assertions), path


def test_fewer_assertions_with_as_many_tests_are_found() -> None:
    before = {"a": Counted(2, 6), "b": Counted(1, 3)}
    assert lost(before, {"a": Counted(2, 6), "b": Counted(1, 3)}) == []
    assert lost(before, {"a": Counted(1, 3), "b": Counted(1, 3)}) == [], "a test went, and that is judged elsewhere"
    assert lost(before, {"a": Counted(2, 4), "b": Counted(1, 5)}) == [], "moved"
    assert [f.path for f in lost(before, {"a": Counted(2, 5), "b": Counted(1, 3)})] == ["a"]


def test_a_test_that_asserts_nothing_any_more_is_found_whatever_else_came() -> None:
    before = {"a": Counted(1, 2, {"test_x": 2})}
    after = {"a": Counted(2, 50, {"test_x": 0, "test_y": 50})}
    assert [f.path for f in lost(before, after)] == ["a: test_x"]
    assert lost(before, {"a": Counted(1, 50, {"test_y": 50})}) == []


def test_targets_may_be_added_to_a_makefile_not_changed() -> None:
    before = "PY = python3\ntest: build\n\t$(PY) -m unittest\nbuild:\n\ttrue\n"
    more = "\n# for people\n.PHONY: lint\nlint: src/a.py\n\truff check\n\techo done\n"
    assert only_adds("Makefile", before.encode(), f"{before}{more}".encode())
    for line in ("test:", "PY = true", "build: x", "\ttrue", "SHELL = /bin/true", "include x.mk", "%: ; true",
                 "lint: PY = true", "test lint:", "define x", "-include x", "test::", "Makefile: lint",
                 "GNUmakefile:", "lint makefile:"):  # fmt: skip
        assert not only_adds("Makefile", before.encode(), f"{before}{line}\n\ttrue\n".encode()), line
    computed = f"FOUND = $(wildcard tests/*.py)\ntest: $(FOUND)\n{before}"
    for text, is_well in ((before, True), (computed, False)):
        made = f"{text}tests/test_app.py: lint\n\techo > $@\nlint:\n\ttrue\n"
        assert only_adds("Makefile", text.encode(), made.encode()) is is_well
    assert not only_adds("Makefile", before.encode(), f"{more}{before}".encode())
    assert not only_adds("Makefile", f"{before}\ttrue \\\n".encode(), f"{before}\ttrue \\\nlint:\n".encode())


OLD = (
    "import json\nimport unittest\n\nimport pytest\n\n\ndef traced(f):\n    return f\n\n\n"
    "class Greeting(unittest.TestCase):\n    @traced\n    def test_name(self):\n        assert json\n"
)


@pytest.mark.parametrize(
    "added",
    [
        "_more = setattr(Greeting, 'test' + '_name', lambda self: None)",
        "_more: object = setattr(Greeting, 'x', 1)",
        "_more: setattr(Greeting, 'x', 1) = 1",
        "_more = [setattr(Greeting, 'x', 1) for _ in [1]]",
        "_more = [0 for Greeting.test_name in [None]]",
        "_more = [0 for json.__dict__['loads'] in [None]]",
        "_more = (Greeting := None)",
        "_more = f'{setattr(Greeting, 1, 2)}'",
        "_more = max([1], key=lambda _: setattr(Greeting, 'x', 1))",
        "_more = (lambda: setattr(Greeting, 'x', 1))()",
        "_more = lambda x=setattr(Greeting, 'x', 1): x",
        "_more = Greeting.mend()",
        "def test_more(x=setattr(Greeting, 'x', 1)): ...",
        "def test_more(*, x=setattr(Greeting, 'x', 1)): ...",
        "def test_more(x: setattr(Greeting, 'x', 1)): ...",
        "def test_more() -> setattr(Greeting, 'x', 1): ...",
        "@setattr(Greeting, 'x', 1)\ndef test_more(): ...",
        "@functools.partial(setattr, Greeting, 'test_name')\ndef test_more(): ...",
        "def given(f):\n    setattr(Greeting, 'x', f)\n\n\n@given\ndef test_more(): ...",
        "@pytest.mark.skipif(setattr(Greeting, 'x', 1))\ndef test_more(): ...",
        "class More(mend(Greeting)): ...",
        "class More(metaclass=Mends): ...",
        "class More(**{'metaclass': Mends}): ...",
        "class More:\n    def __init_subclass__(cls): Greeting.x = 1",
        "class More:\n    __class_getitem__ = mend",
        "class More:\n    x = setattr(Greeting, 'x', 1)",
        "class More:\n    setattr(Greeting, 'x', 1)",
        "class More:\n    if setattr(Greeting, 'x', 1): ...",
        "class More:\n    Greeting.x = 1",
        "class More:\n    class Inner:\n        x = mend()",
        "setattr(Greeting, 'x', 1)",
        "def str(x): Greeting.x = 1\n\n\n_more = str(1)",
    ],
)
def test_what_is_added_runs_nothing_that_reaches_back(added: str) -> None:
    assert not only_adds("test_x.py", OLD.encode(), f"{OLD}\n\n{added}\n".encode())


@pytest.mark.parametrize(
    "added",
    [
        "    def _getAssertEqualityFunc(self, *_):\n        return lambda *_, **__: None",
        "    def _callTestMethod(self, _): ...",
        "    async def asyncSetUp(self): ...",
        "    failureException = unittest.SkipTest",
        "    def _pre_setup(self): ...",
        "    if __name__ == '__main__':\n        raise SystemExit(0)",
    ],
)
def test_a_test_case_that_was_there_gets_nothing_by_which_test_cases_run(added: str) -> None:
    assert not only_adds("test_x.py", OLD.encode(), f"{OLD}\n{added}\n".encode())
    apart = f"{OLD}\n\nclass More(unittest.TestCase):\n{added}\n"
    assert only_adds("test_x.py", OLD.encode(), apart.encode()) is ("__main__" not in added)
    assert only_adds("test_x.py", OLD.encode(), f"{OLD}\n    maxDiff = None\n\n    def made(self): ...\n".encode())


FIXTURES = identifiers(b"import pytest\n\n\n@pytest.fixture\ndef client(app, tmp_path):\n    return app.client()\n")


@pytest.mark.parametrize(
    ("added", "is_one"),
    [
        ("@pytest.fixture\ndef app():\n    return Fake()", True),
        ("@pytest.fixture\nasync def tmp_path():\n    return Fake()", True),
        ("@pytest.fixture(name='app')\ndef other():\n    return Fake()", True),
        ("@pytest.fixture(name='traced')\ndef other():\n    return Fake()", True),
        ("@pytest.fixture(name=f'{1}')\ndef other():\n    return Fake()", True),
        ("@pytest.fixture(**{'name': 'app'})\ndef other():\n    return Fake()", True),
        ("@pytest.fixture\ndef other(app):\n    return app", False),
        ("@pytest.fixture(name='other')\ndef app_of_mine():\n    return 1", False),
        ("def app():\n    return 1", False),
    ],
)
def test_no_fixture_takes_the_place_of_one_that_tests_get_from_elsewhere(added: str, is_one: bool) -> None:
    assert only_adds("test_x.py", OLD.encode(), f"{OLD}\n\n{added}\n".encode(), FIXTURES) is not is_one


def test_what_ends_a_script_is_its_end() -> None:
    script, ends = (
        "from app import greet\n\nassert greet('a')\n",
        "if __name__ == '__main__':\n    raise SystemExit(0)\n",
    )
    assert only_adds("test_x.py", script.encode(), f"{script}\n\n{ends}".encode())
    assert not only_adds("test_x.py", script.encode(), f"{ends}\n\n{script}".encode())


@pytest.mark.parametrize(
    "hidden",
    [
        b"# coding: utf-7\n# x+AAo-import os+ADs- os._exit(0)\n",
        b"# -*- coding: unicode_escape -*-\n# x\\nimport os; os._exit(0)\n",
        b"# coding: no-such-thing\n",
        b"# coding: latin-1\n# \xe9\ntest_a = None\n",
    ],
)
def test_what_only_python_reads_is_no_comment(hidden: bytes) -> None:
    assert not only_adds(
        "test_x.py", source({"test_a": "    assert f()\n"}), hidden + source({"test_a": "    assert f()\n"})
    )
    assert count("test_x.py", b"# coding: utf-7\n") is None


def test_an_encoding_in_which_comments_are_comments_is_well() -> None:
    old = b"# coding: latin-1\n# \xe9\n" + source({"test_a": "    assert f()\n"})
    assert only_adds("test_x.py", old, old + source({"test_b": "    assert g()\n"}))


@pytest.mark.parametrize(
    "added",
    [
        "CASES = [('a', 1), ('b', -2)]",
        "CASES: dict[str, list[int]] = {'a': [1, 2], **{'b': [3]}}",
        "SQUARES = {n: n**2 for n in range(10) if n % 2}",
        "HERE = Path(__file__).resolve().parent / 'data'",
        "WORD = re.compile(r'\\w+', re.I)",
        "MARKED = [pytest.param(1, id='one', marks=pytest.mark.slow)]",
        "WHEN = datetime(2024, 1, 1, tzinfo=timezone.utc)",
        "TEXT = '\\n'.join(['a', 'b']).encode()",
        "NAMES = st.lists(st.text(min_size=1), max_size=3).map(tuple)",
        "KEY = lambda one: one.name()",
        "@pytest.mark.parametrize(('a', 'b'), [(1, 2), (len('ab'), 3)])\ndef test_more(a, b):\n    assert mend(a) == b",
        "@pytest.fixture(params=[1, 2])\ndef made(request) -> int:\n    return make(request.param)",
        "@traced\ndef test_more(x: int = 3, *, y: str | None = None) -> None:\n    setattr(x, 'a', 1)",
        "class More(unittest.TestCase):\n    'Words.'\n    x: int = 3\n\n    def setUp(self):\n        make()",
        "class More(T):\n    @unittest.skipIf(x == 2, 'no')\n    def test_more(self):\n        self.made.x = 1",
        "class Fake:\n    @property\n    def x(self): return self._x\n",
        "@dataclass(frozen=True)\nclass Case:\n    a: int = 1\n    b: list[int] = field\n",
        "@patch('app.greet')\n@mock.patch.object(json, 'loads')\ndef test_more(a, b):\n    assert a",
        "@given(st.integers())\n@settings(max_examples=5)\ndef test_more(n):\n    assert n",
        "async def test_more():\n    await make()",
    ],
)  # fmt: skip
def test_what_honest_tests_need_may_be_added(added: str) -> None:
    assert only_adds("test_x.py", OLD.encode(), f"{OLD}\n\n{added}\n".encode())


SCRIPT = (
    "const assert = require('node:assert');\nconst { greet } = require('./app');\n\n"
    "describe('a', () => {\n  it('greets', () => {\n    assert.equal(greet('a'), 'hello a');\n  });\n});\n"
)


@pytest.mark.parametrize(
    "added",
    [
        "assert.equal = () => {};",
        "assert['equal'] = () => {};",
        "const x = (assert.equal = () => {});",
        "const x = Object.assign(assert, { equal() {} });",
        "Object.defineProperty(assert, 'equal', { value() {} });",
        "function mend() { assert.equal = () => {}; }\nmend();",
        "(() => { assert.equal = () => {}; })();",
        "(function () { assert.equal = () => {}; })();",
        "!function () { assert.equal = () => {}; }();",
        "describe('b', () => { assert.equal = () => {}; });",
        "describe('b', () => {\n  assert.equal = () => {};\n  it('x', () => {});\n});",
        "describe('b', () => {\n  mend();\n});",
        "it(mend(), () => {});",
        "it(`a ${mend()}`, () => {});",
        "it('a', () => 1, mend());",
        "if (true) { assert.equal = () => {}; }",
        "for (const x of [1]) {\n  assert.equal = () => {};\n}",
        "mend`x`;",
        "expect.extend({ toBe() {} });",
        "delete assert.equal;",
        "({ set x(v) { assert.equal = v; } }).x = 1;",
        "it('a', () => { ",
        "const x = [1].map(mend);",
        "new Mender();",
        "greet++;",
        "const f = '\\'; assert.equal = 1; //';\nassert.equal = 1;",
        "class A extends mend() {}",
        "class A { static { assert.equal = 1; } }",
        "class A { x = mend(); }",
        "class A { static [mend()]() {} }",
        "mend()\n{ }",
        "const e = { get x() { assert.equal = 1; } };\nconst y = e.x;",
        "const e = { valueOf() { assert.equal = 1; } };\nconst y = +e;",
        "@mend\nclass A {}",
        "switch (mend()) {}",
        "const r = /[/]'/; assert.equal = 1; // '",
        "function greet() {\n  return 'hello a';\n}",
        "async function describe(name, does) {}",
        "const it = () => {};",
        "let made, greet;",
        "var { it, other = {} } = require('./fake');",
        "const { a: { greet } } = require('./fake');",
        "const [it] = [() => {}];",
        "class assert {}",
        "import { greet } from './fake';",
        "import {\n  other as greet,\n} from './fake';",
        "import other, { it } from './fake';",
        "import * as assert from './fake';",
        "import assert from './fake';",
        "enum assert { equal }",
        "function gr\\u0065et() {}",
    ],
)
def test_what_is_added_to_javascript_does_nothing_while_it_is_loaded(added: str) -> None:
    for path in ("a.test.js", "a.spec.ts", "test.mjs"):
        assert not only_adds(path, SCRIPT.encode(), f"{SCRIPT}\n{added}\n".encode())


@pytest.mark.parametrize(
    "added",
    [
        "it('b', () => {\n  const x = greet('b');\n  x.y = 1;\n  global.fetch = jest.fn();\n  assert(x);\n});",
        "it('b', () => assert.equal(greet('b'), 'hello b'));",
        "it('b', async function () {\n  await greet('b');\n});",
        "describe('b', () => {\n  const CASES = [['a', 1]];\n  it.each(CASES)('%s', (a) => {\n    mend(a);\n  });\n});",
        "describe('b', () => {\n  describe('c', () => {\n    it('x', () => {\n      greet();\n    });\n  });\n});",
        "const CASES = { a: 1, 'b (c)': \"d = e\" }; // (more) = x\nconst WORD = /a(b)='/g;\nlet made;",
        "for (const [a, b] of [['a', 1]]) {\n  it(`greets ${a}`, () => {\n    assert.equal(greet(a), b);\n  });\n}",
        "function make(a = 1) {\n  return greet(a);\n}\nconst other = (a, b = 2) => make(a);",
        "function make(a: string): Promise<void> {\n  greet(a);\n}\nclass A extends B {\n  go() {\n    x();\n  }\n}",
        "test.each`\n  a | b\n  1 | 2\n`('adds $a', ({ a, b }) => {\n  greet(a, b);\n});",
        "const { other } = require('./other');\ntype A = { b: string };\nconst x: A = { b: 'c' };",
        "import './styles.css'\nimport { other } from './other'\nimport type { A } from './types'",
        "// greets once more, as it does in describe\nconst { shout: loud } = { shout: 'greet' };",
    ],
)
def test_honest_javascript_tests_may_be_added(added: str) -> None:
    assert only_adds("a.test.ts", SCRIPT.encode(), f"{SCRIPT}\n{added}\n".encode())


def test_hostile_javascript_is_judged_soon() -> None:
    for text in (
        "(" * 50_000,
        "{" * 50_000,
        "`${" * 20_000,
        "/*" * 50_000,
        "=>" * 30_000,
        "'" * 50_001,
        "a=>(" * 20_000,
    ):
        only_adds("a.test.js", SCRIPT.encode(), f"{SCRIPT}\n{text}\n".encode())
