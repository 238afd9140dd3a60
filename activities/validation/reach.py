"""What the frozen commands run of the project itself: scripts, what those run in turn, and what they include."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from activities.validation.commands import ENDS, RUNNERS, Runs, folders_in, is_check, words_of
from activities.validation.conventions import is_test

_MAX_TEXT = 100_000
"""Characters of a file that are read for what it runs."""
_SHELLS = re.compile(r"(?:ba|da|z|k|a)?sh")
_INTERPRETERS = re.compile(
    r"(?:ba|da|z|k|a)?sh|source|\.|python[\d.]*|pypy3?|node|nodejs|tsx|ts-node|deno|bun|ruby|perl|php|lua|Rscript|pwsh"
)
_BEFORE = frozenset(
    {"env", "exec", "time", "nice", "nohup", "command", "sudo", "timeout", "xvfb-run", "xargs", "cross-env", "dotenv"}
    | {"if", "then", "else", "elif", "do", "while", "until", "!", "npx", "bunx", "pnpx", "run", "coverage"}
    | {"uv", "poetry", "pipenv", "pdm", "hatch", "rye", "bundle"}
)
"""What stands before the program that a command is about."""
_SKIPPED = re.compile(r"-.*|\w+=.*|\d[\d.]*[smhd]?")
_LONG = re.compile(
    r"--(?:config|config-file|configFile|rcfile|conf|require|import|loader|experimental-loader|bootstrap|file|makefile"
    r"|justfile|noxfile|runner|reporter|globalSetup|setupFiles|environment|preload|init-script|settings-file)"
)
_SHORT: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("pytest", "py.test"), frozenset({"-c", "-p"})),
    **dict.fromkeys(("make", "gmake", "just", "rake", "nox", "ninja"), frozenset({"-f"})),
    **dict.fromkeys(("jest", "vitest", "tox", "playwright", "eslint", "phpunit", "karma"), frozenset({"-c"})),
    **dict.fromkeys(("mocha", "rspec", "ava", "node", "tsx", "ts-node", "ruby"), frozenset({"-r", "-O"})),
    "cypress": frozenset({"-C"}),
}
"""Options of one letter with which runners take a file or module that steers them."""
_BUILDERS = frozenset(
    {"go", "cargo", "npm", "yarn", "pnpm", "bun", "deno", "node", "dotnet", "mix", "swift", "sbt", "stack", "cabal"}
    | {"mvn", "mvnw", "gradle", "gradlew", "make", "gmake", "just", "task", "rake", "composer", "flutter", "dart"}
    | {"zig", "lein", "meson", "bazel", "ninja", "cmake", "xcodebuild", "rails", "artisan"}
)
_TESTING = re.compile(r"-*(?:t|test|tests|check|verify|lint|nextest|vet|clippy)(?:[:_.-].*)?")
_IN_PROGRAMS = re.compile(
    r"\b(?:pytest|unittest|nose2?)\.(?:main|run)\b|\bTextTestRunner\b|\bTestLoader\b|\bdoctest\.(?:testmod|testfile)\b"
    r"|\bexecute_from_command_line\b|\brunCLI\b|\bnew Mocha\b|\bnode:test\b"
)
_INCLUDES = re.compile(r"^\s*[-s]?include\s+([^#\n]+)", re.MULTILINE)
_STARTS = re.compile(r"^\s*[@+-]*\s*(?:-?\s*(?:cmd|run|sh)\s*:\s*)?")
_LEADS_HERE = re.compile(r"(?:\$(?:\{[^}]{0,200}\}|\([^)]{0,200}\)|\w+)|`[^`]{0,200}`)/")
_STRING = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'")
_WORD = re.compile(r"[\w./-]+")
_BETWEEN = re.compile(r"[\s,\[(]*")
_PROGRAMS = frozenset({".py", ".js", ".mjs", ".cjs", ".ts", ".mts", ".rb", ".php", ".pl"})
_SCRIPTS = _PROGRAMS | {".sh", ".bash", ".zsh", ".ksh", ".mk"}

_How = Literal["program", "module", "setting", "plugin", "include"]
_STEERING: frozenset[_How] = frozenset({"setting", "plugin", "include"})


@dataclass(frozen=True)
class Reach:
    """Files of the base that frozen commands reach, and names that they would include if they were there."""

    steers: frozenset[str]
    """They run checks, steer what does, or are part of what does: none of them is the work."""
    run: frozenset[str]
    """They are run, and may as well be the work: what they are for cannot be told."""
    included: frozenset[str]
    """Paths and patterns that a file of ``steers`` reads when it is there."""

    @classmethod
    def of(
        cls, commands: Iterable[str], base: Container[str], texts: Mapping[str, bytes], roots: frozenset[str]
    ) -> Reach:
        """``roots`` are files of which it is known that they say what commands run. Of others ``texts`` must tell."""
        told = {path: raw.decode("utf-8", "replace")[:_MAX_TEXT] for path, raw in texts.items()}
        runs = Runs.of(commands, told.values())
        folders = {folder for text in [*commands, *told.values()] for folder in folders_in(text)}
        named = {path: _Named.by(path, text, runs) for path, text in told.items()}
        sources = {"": _Named.by("", "\n".join(commands), runs), **named}

        def there(where: str, name: str, how: _How) -> set[str]:
            starts = {"", posixpath.dirname(where), *folders}
            paths = {posixpath.normpath(posixpath.join(start, name)) for start in starts}
            if how in ("module", "plugin"):
                stems = {path.replace(".", "/").removesuffix("/") for path in paths | {f"src/{name}"}}
                paths = {f"{stem}{end}" for stem in stems for end in (".py", "/__main__.py", "/__init__.py")}
            return {path for path in paths if path in base}

        edges = {
            path: {(found, how) for name, how in of.names for found in there(path, name, how)}
            for path, of in sources.items()
        }
        reached = {found for found_all in edges.values() for found, _ in found_all}
        steers = {path for path in reached if is_check(path) or (path in named and named[path].checks(base))}
        steers |= {path for path in reached if posixpath.basename(path) in RUNNERS}
        steers |= roots
        # Who runs a check is one; and what a check includes is part of it.
        for _ in range(len(sources)):
            more = {
                path for path in reached if any(f in steers and how not in _STEERING for f, how in edges.get(path, ()))
            }
            tell = ("", "package.json", *steers)
            more |= {f for path in tell for f, how in edges.get(path, ()) if how in _STEERING}
            if more <= steers:
                break
            steers |= more
        included = {
            posixpath.normpath(posixpath.join(start, name))
            for path in (*steers, "")
            if path in sources
            for name, how in sources[path].names
            if how == "include"
            for start in {"", posixpath.dirname(path), *folders}
        }
        return cls(frozenset(steers), frozenset(reached - steers), frozenset(included))

    @property
    def all(self) -> frozenset[str]:
        return self.steers | self.run


@dataclass(frozen=True)
class _Named:
    """What one file, or the commands themselves, name."""

    path: str
    text: str
    names: frozenset[tuple[str, _How]]
    tests: bool
    """Whether it calls a program that runs tests, or any other checks."""

    @classmethod
    def by(cls, path: str, text: str, runs: Runs) -> _Named:
        commands = [*_commands(path, text, runs)]
        names = {named for words in commands for named in _named(words)}
        if path and PurePosixPath(path).suffix not in _PROGRAMS:
            names |= {(name, "include") for line in _INCLUDES.findall(text) for name in line.split() if "$" not in name}
        tests = any(_runs_tests(words) for words in commands) or _IN_PROGRAMS.search(text) is not None
        return cls(path, text, frozenset(names), tests)

    def checks(self, base: Container[str]) -> bool:
        """Whether it runs tests, or names some of those that are there."""
        return self.tests or any(word in base and is_test(word) for word in _WORD.findall(self.text))


def _commands(path: str, text: str, runs: Runs) -> Iterator[list[str]]:
    """The words of every simple command in a file, as far as they can be told."""
    name = PurePosixPath(path)
    if name.name == "package.json":
        yield from _of_package(text, runs)
    elif name.suffix == ".json" or name.suffix == ".toml":
        return
    elif name.suffix in _PROGRAMS:
        for words in _strings(text):
            yield words
            for word in words:
                if " " in word:
                    yield from _simple(word)
    else:
        yield from _simple(text)


def _of_package(text: str, runs: Runs) -> Iterator[list[str]]:
    try:
        package = json.loads(text)
    except (ValueError, RecursionError):
        return
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return
    for name in runs.package_scripts(scripts):
        for script in (f"pre{name}", name, f"post{name}"):
            if isinstance(scripts.get(script), str):
                yield from _simple(scripts[script])


def _simple(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("#"):
            continue
        one: list[str] = []
        for word in (*words_of(_LEADS_HERE.sub("./", _STARTS.sub("", line))), ";"):
            if word in ENDS:
                if one:
                    yield one
                one = []
            else:
                one.append(word)


def _strings(text: str) -> Iterator[list[str]]:
    """Literals of a program that stand beside each other, as the words of a command do."""
    one: list[str] = []
    end = 0
    for found in _STRING.finditer(text):
        if one and not _BETWEEN.fullmatch(text[end : found.start()]):
            yield one
            one = []
        one.append(found[1] if found[1] is not None else found[2])
        end = found.end()
    if one:
        yield one


def _program(words: list[str]) -> list[str]:
    """The command from its program on."""
    here = 0
    while here < len(words) and (words[here] in _BEFORE or _SKIPPED.fullmatch(words[here])):
        if words[here] == "-m":
            break
        here += 1
    return words[here:]


def _named(words: list[str], depth: int = 3) -> Iterator[tuple[str, _How]]:
    """What a command runs or is steered by, by name."""
    rest = _program(words)
    if not rest or not depth:
        return
    program = posixpath.basename(rest[0])
    if "/" in rest[0] or PurePosixPath(rest[0]).suffix in _SCRIPTS:
        yield rest[0], "program"
    if program == "-m" or _INTERPRETERS.fullmatch(program):
        yield from _interpreted(program, rest[1:], depth)
    short = _SHORT.get(program, frozenset())
    for n, word in enumerate(rest[1:], 1):
        option, sign, value = word.partition("=")
        value = value if sign else "".join(rest[n + 1 : n + 2])
        if _LONG.fullmatch(option) or option in short:
            yield value, "plugin" if option == "-p" else "setting"
        elif short and not word.startswith("--") and word[:2] in short and len(word) > 2:
            yield word[2:], "plugin" if word[:2] == "-p" else "setting"


def _interpreted(program: str, rest: list[str], depth: int) -> Iterator[tuple[str, _How]]:
    if program == "-m":
        rest = ["-m", *rest]
    for n, word in enumerate(rest):
        if word == "-m":
            yield from ((name, "module") for name in rest[n + 1 : n + 2])
            yield from _named(rest[n + 1 :], depth - 1)
            return
        if re.fullmatch(r"-\w*c", word) and _SHELLS.fullmatch(program):
            for words in _simple("".join(rest[n + 1 : n + 2])):
                yield from _named(words, depth - 1)
            return
        if word == "-c":
            return
        if not word.startswith("-"):
            yield word, "include" if program in (".", "source") else "program"
            # The first of them is run, the others are what it is given; but options may take words as well.
            if "." in word or "/" in word:
                return


def _runs_tests(words: list[str]) -> bool:
    rest = [word for word in _program(words) if word != "-m"]
    if rest and re.fullmatch(r"python[\d.]*|pypy3?", posixpath.basename(rest[0])):
        rest = [word for word in rest[1:] if not word.startswith("-")]
    if not rest:
        return False
    program = posixpath.basename(rest[0])
    return program in RUNNERS or (program in _BUILDERS and any(_TESTING.fullmatch(word) for word in rest[1:]))
