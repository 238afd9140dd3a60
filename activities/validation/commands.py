"""What frozen commands run, as far as their words tell: programs, scripts of `package.json`, files they name."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENDS = frozenset({"&&", "||", ";", "|", "&", "(", ")", "|&", ";;", "{", "}", "!"})
_CHECKS = re.compile(
    r"(?:^|[_./-])(?:checks?|tests?|verify|validate|validation|lint|ci|smoke|acceptance|accept|e2e|audit|specs?)(?=[_./-]|$)"
)
_PATH = re.compile(r"[\w./-]+")
_HERE = re.compile(r"(?:\$(?:\{?\w+\}?|\(\w+\))|`pwd`)/")
_GOES_TO = re.compile(
    r"(?:\b(?:cd|pushd)\s+(?:--\s+)?|(?:^|\s)(?:-C|--directory|--cwd|--rootdir)(?:[\s=]+|(?=\w))"
    r"|\bdiscover\s+(?:-\w+\s+)*(?:-[st]\s+)?)[\"']?([\w./][\w./-]*)"
)
_IMPORTS_FROM = re.compile(
    r"\bPYTHONPATH[ :?+]*=[ \"']*([\w./:$-]+)|\b(?:pythonpath|python_paths)\s*=\s*\[?([\w./:\"', -]+)"
)
_MANAGERS = frozenset({"npm", "yarn", "pnpm", "bun"})
_MANAGED = re.compile(r"\b(?:npm|yarn|pnpm|bun|deno|composer)\b")
RUNNERS = frozenset(
    {"pytest", "py.test", "unittest", "nose", "nose2", "nosetests", "tox", "nox", "trial", "behave", "robot", "jest"}
    | {"vitest", "mocha", "ava", "karma", "jasmine", "tap", "cypress", "playwright", "wdio", "rspec", "cucumber"}
    | {"phpunit", "pest", "ctest", "bats", "prove", "busted", "gotestsum", "ginkgo", "shunit2", "shellspec", "stestr"}
    | {"mypy", "ruff", "flake8", "pylint", "eslint", "tsc", "shellcheck", "golangci-lint", "pre-commit"}
)
"""Programs that run tests or other checks, by name."""
_NO_SCRIPT = frozenset({"install", "i", "ci", "add", "exec", "x", "dlx", "init", "remove", "run", "run-script"})


@dataclass(frozen=True)
class Runs:
    """The words of all frozen commands, each command's in order."""

    words: tuple[tuple[str, ...], ...]
    told: tuple[tuple[str, ...], ...] = ()
    """Lines of files that the commands run: they may run scripts of a `package.json` as well."""

    @classmethod
    def of(cls, commands: Iterable[str], texts: Iterable[str] = ()) -> Runs:
        lines = (line for text in texts for line in text.splitlines() if _MANAGED.search(line))
        return cls(tuple(words_of(command) for command in commands), tuple(words_of(line) for line in lines))

    def names(self, program: str) -> bool:
        """Whether a command has this word."""
        return any(program in (word, word.rpartition("/")[2]) for words in self.words for word in words)

    def starts_runner(self, path: str) -> bool:
        """Whether a command names this very file as a program that runs tests or other checks."""
        words = {word.removeprefix("./") for words in (*self.words, *self.told) for word in words}
        return path in words and posixpath.basename(path) in RUNNERS

    def says(self, word: str) -> bool:
        """Whether a command, or a line that it runs, has this word."""
        return any(word in words for words in (*self.words, *self.told))

    def check_scripts(self) -> set[str]:
        """Paths that a command names and whose names say that they check."""
        return _check_scripts(word for words in self.words for word in words)

    def package_scripts(self, scripts: Mapping[str, Any]) -> set[str]:
        """Names in ``scripts`` of a `package.json` that run, those included that scripts run in turn."""
        found: set[str] = set()
        pending = [name for words in (*self.words, *self.told) for name in _scripts(words)]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                text = scripts.get(name)
                pending += _scripts(words_of(text)) if isinstance(text, str) else []
        return found


def check_scripts_in(text: str) -> set[str]:
    """Paths that a file (of scripts, say) names and whose names say that they check."""
    return _check_scripts(_PATH.findall(text))


def is_check(path: str) -> bool:
    """Whether a path says that it checks."""
    return _CHECKS.search(path) is not None


def folders_in(text: str) -> set[str]:
    """Folders that commands go to, or have Python import from, before anything else is looked for."""
    text = _HERE.sub("./", text)
    lists = (name for found in _IMPORTS_FROM.findall(text) for name in found)
    named = [*_GOES_TO.findall(text), *(path for many in lists for path in re.split(r"[:,\s\"']+", many))]
    paths = {posixpath.normpath(path) for path in named if path}
    return {path for path in paths if path != "." and not path.startswith(("/", "..", "$", "-"))}


def _check_scripts(words: Iterable[str]) -> set[str]:
    paths = (word.removeprefix("./") for word in words)
    return {path for path in paths if not path.startswith(("-", "/")) and is_check(path)}


def words_of(command: str) -> tuple[str, ...]:
    """The words of a command line, quotes taken off; what joins commands is a word as well."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return tuple(lexer)
    except ValueError:
        return tuple(command.split())


def _scripts(words: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for n, word in enumerate(words):
        if word not in _MANAGERS:
            continue
        rest: list[str] = []
        for after in words[n + 1 :]:
            if after in ENDS:
                break
            if not after.startswith("-"):
                rest.append(after)
        if rest[:1] and rest[0] in ("run", "run-script"):
            found += rest[1:2]
        elif rest[:1] and rest[0] in ("t", "tst"):
            found.append("test")
        elif rest[:1] and rest[0] not in _NO_SCRIPT:
            found += rest[:1]
    return found
