"""The tamper guard's rules: what of a commit is not as the base has it, though it decides success."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from activities.validation import assertions
from activities.validation.additions import identifiers, only_adds
from activities.validation.conventions import (
    ANYWHERE_MODULES,
    JS_RUNNERS,
    METADATA,
    RUNNER_MODULES,
    is_test,
    is_test_file,
    shadowed_module,
)
from activities.validation.deciding import differing, has_part, in_doubt, loads_plugins, says_other, steers
from activities.validation.ground import Ground, folder_of, folder_steered
from activities.validation.source import spelled
from activities.validation.standing_in import (
    imported_by,
    is_data,
    is_dependency,
    patched,
)
from activities.workspace import TreeChange, TreeEntry
from workflows.contracts.evidence import Tampering
from workflows.policy.globs import any_matches, is_literal

LINK = "120000"
_STEERS_GO = re.compile(rb"^\s*func\s+TestMain\s*\(", re.MULTILINE)
_LOADS = re.compile(r"\bload_tests\b")
_STAR = re.compile(r"\bimport\s*\(?\s*\*")
_UNDER_A_NAME = re.compile(r"\b(?:__getattr__|__dict__|globals|vars|locals|setattr|exec|eval)\b|\bsys\s*\.\s*modules\b")
_GROWS = ("conftest.py", ".snap", ".rs", "akefile")
_READ = (*_GROWS, ".py")
_CONTENT_TELLS = ("__init__.py", "_test.go")
_MAX_ASKED = 200
_MAX_TOLD = 3
_ADD = "; new tests beside the old ones are welcome, changes of old ones are not"


Blobs = Mapping[str, bytes]
"""Contents by blob; what is too large or no file is not in it."""


class Rules(Ground):
    """What the session may not change. Everything is judged against the tree of the base commit."""

    def reads(self, change: TreeChange) -> bool:
        """Whether the contents of this change matter."""
        path = change.path
        return is_test_file(path) or has_part(path) or in_doubt(path) or path.endswith(_READ)

    def conftests(self, changes: Iterable[TreeChange]) -> Iterator[TreeEntry]:
        """Files of the base from which tests that changed may get fixtures."""
        above = {place for c in changes if c.before and c.after for place in _places_of_fixtures(c.path)}
        yield from (self._base[path] for path in sorted(above) if path in self._base)

    def asks(self, changes: Iterable[TreeChange]) -> list[str]:
        """Of which words it matters whether files of the base have them in their text: at most some hundred."""
        words: set[str] = set()
        for change in changes:
            if change.before is not None and is_data(change.path):
                words.add(PurePosixPath(change.path).name.lower())
            elif change.before is None and (module := self._new_module(change.path)):
                words.update(word.lower() for word in imported_by(module))
        return sorted(words)[:_MAX_ASKED]

    def knowing(self, named: Mapping[str, frozenset[str]]) -> Rules:
        """These rules, with what they asked for."""
        return Rules(self._guard, self._base, self._texts, named)

    def found(self, changes: Iterable[TreeChange], blobs: Blobs) -> Iterator[tuple[str, Tampering]]:
        """Each path that is to be as the base has it, and why."""
        for change in changes:
            if (tampering := self._judge(change, blobs)) is not None:
                yield change.path, tampering

    def shadows(
        self, paths: Iterable[tuple[str, bool]], read: Callable[[str], bytes] = lambda _: b""
    ) -> Iterator[tuple[str, Tampering]]:
        """Those of these files of a checkout (path, whether it is a link) that are in no commit and steer its tests.

        ``read`` gives the contents of one; it is asked only where the name does not decide.
        """
        for path, is_link in paths:
            if self.may_change(path):
                continue
            entry = TreeEntry(LINK if is_link else "100644", "")
            if any(METADATA.fullmatch(part) for part in path.split("/")):
                # Installing the project itself leaves such a folder, which is well unless it brings a plugin along.
                plugs = not self._has_plugins and loads_plugins(read(path).decode("utf-8", "replace"))
                why = "it has pytest load what the project does not bring" if plugs else None
            else:
                why = self._shadow(path, entry, {"": read(path)} if path.endswith(_CONTENT_TELLS) else {})
            if why:
                yield path, _tampering("shadow", path, why)

    def lost_assertions(self, changes: Iterable[TreeChange], blobs: Blobs) -> list[Tampering]:
        """Assertions that went from tests that may change, though the tests did not go."""
        before: dict[str, assertions.Counted] = {}
        after: dict[str, assertions.Counted] = {}
        for change in changes:
            path = change.path
            if not is_test_file(path):
                continue
            was, now = (_counted(path, entry, blobs) for entry in (change.before, change.after))
            if was is None or now is None:
                continue
            if change.before is not None:
                before[path] = was
            if change.after is not None:
                after[path] = now
        return assertions.lost(before, after) if before else []

    def reported(self, changes: Iterable[TreeChange], blobs: Blobs) -> Iterator[str]:
        """What changed and may as well be the work as part of a check: in words, for a person to judge."""
        for change in changes:
            path = change.path
            if self.may_change(path) or any_matches(self._guard.protected, path):
                continue
            if change.before is not None and path in self._reach.run and not self._whole(path):
                yield f"{path} was changed, and a frozen command runs it: see that it still checks what it did"
                continue
            sides = [_raw(entry, blobs) for entry in (change.before, change.after)]
            if path.endswith(".py") and (names := patched(*sides)):
                yield f"{path} changes what tests are made with: {', '.join(names[:_MAX_TOLD])}"
            if change.before is None and (module := self._new_module(path)) and self._tests_import(module):
                yield f"{path} is new, and tests that were there import {module}: see that it is the work itself"
            if change.before is not None and is_data(path) and self._namers(path) and not is_test(path):
                yield f"{path} was changed, and tests that were there name it: see that they still test what they did"
            if in_doubt(path) and self._tests_below(folder_of(path), "") and says_other(path, *sides):
                yield f"{path} was changed, and may say how tests run: see that they run as they did"

    # ------------------------------------------------------------------ one change

    def _judge(self, change: TreeChange, blobs: Blobs) -> Tampering | None:
        path = change.path
        if any_matches(self._guard.protected, path):
            if change.before is not None:
                return _differs(change, "the person who gave the goal protects it")
            if any(is_literal(pattern) and path == pattern.removeprefix("./") for pattern in self._guard.protected):
                return _tampering("shadow", path, "the person who gave the goal wants nothing there")
        elif self.may_change(path):
            return None
        if change.before is None:
            why = self._shadow(path, change.after, blobs) if change.after else None
            if not why and any_matches(self._reach.included, path):
                # One that lies loose in a checkout is the setup's doing, or gone in the clean clone.
                why = "a file that a frozen command runs would include it"
            return _tampering("shadow", path, why) if why else self._part(change, blobs)
        if why := self._whole(path):
            return None if self._only_added(change, blobs) else _differs(change, why)
        if self._is_test_data(path):
            return _differs(change, "tests that were there before the work name it, and nothing else does")
        if why := self._loads(path, change.before, change.after, blobs):
            return _differs(change, why)
        return self._part(change, blobs)

    def lets_tests_go(self, path: str) -> bool:
        """Whether tests in this file may vanish: it may change, or the plan names a source of Rust for its tests."""
        planned = path.endswith(".rs") and any_matches(self._guard.planned, path)
        return self.may_change(path) or (planned and not any_matches(self._guard.protected, path))

    def may_change(self, path: str) -> bool:
        """Whether a person lets it change, or the plan does a test of the base: never what runs tests."""
        if any_matches(self._guard.protected, path):
            return False
        return any_matches(self._guard.may_change, path) or (
            path in self._base
            and (is_test(path) or self._is_test_data(path))
            and any_matches(self._guard.planned, path)
            and not (self._setting(path) or has_part(path) or path in self.runs)
        )

    def _whole(self, path: str) -> str | None:
        """Why a file of the base is to stay as it is, whole."""
        if is_test(path):
            return f"a test, or part of tests, that was there before the work{_ADD}"
        if any_matches(self._guard.check_files, path):
            return "the plan named it among what decides the checks"
        if self._setting(path) is not None:
            return "settings of what runs the checks"
        if path in self._run_files:
            return "it says what a frozen command runs"
        if path in self._reach.steers:
            return "a check that a frozen command runs, or part of one"
        if _is_installed_runner(path):
            return "an installed package that runs the checks"
        return None

    def _only_added(self, change: TreeChange, blobs: Blobs) -> bool:
        before, after = change.before, change.after
        if before is None or after is None or before.mode != after.mode or before.mode == LINK:
            return False
        # Lines more in a file of expected results are other expectations, in a file of tests they are more tests.
        takes_more = is_test_file(change.path) or change.path.endswith(_GROWS)
        if not takes_more or not (before.blob in blobs and after.blob in blobs):
            return False
        above = (self._base[path] for path in _places_of_fixtures(change.path) if path in self._base)
        fixtures = {name for entry in above for name in identifiers(blobs.get(entry.blob, b""))}
        return only_adds(change.path, blobs[before.blob], blobs[after.blob], fixtures)

    def _part(self, change: TreeChange, blobs: Blobs) -> Tampering | None:
        """A file of which a part decides: absent, unreadable, or with another part than before."""
        if not has_part(change.path):
            return None
        raws: list[bytes | None] = []
        for entry in (change.before, change.after):
            readable = entry is not None and entry.mode != LINK
            # What is too large to be read is content that nobody can compare.
            raws.append(blobs.get(entry.blob, b"\xff") if entry and readable else b"\xff" if entry else None)
        steered = steers(change.path)
        has_tests, anywhere = self._tests_below(folder_steered(change.path), steered), self._tests_below("", steered)
        name = differing(change.path, raws[0], raws[1], self._runs, has_tests=has_tests, anywhere=anywhere)
        if name is None:
            return None
        detail = f"{name} decides what the checks run; the rest of the file may change"
        return _tampering("settings", change.path, detail)

    # ------------------------------------------------------------------ new files

    def _shadow(self, path: str, entry: TreeEntry | None, blobs: Blobs) -> str | None:
        """Why a new file would decide checks that are there already, wherever it comes from."""
        where, folder = PurePosixPath(path), folder_of(path)
        is_link = entry is not None and entry.mode == LINK
        if (setting := self._setting(path)) is not None and self._tests_below(folder_steered(path), setting):
            return "new settings above tests that were there: keep yours beside your own tests, in a folder of theirs"
        if self._runs.starts_runner(path):
            return "it takes the place of a program that a frozen command starts"
        if path in self._run_places and self._run_files:
            return "it takes the place of the file that a frozen command reads"
        if "node_modules" in where.parts[:-1]:
            is_runner = _is_installed_runner(path)
            return "installed packages are not committed: ignore node_modules" if is_runner else None
        if "site-packages" in where.parts[:-1]:
            return "installed packages are not committed: ignore the folder of the environment"
        if any(METADATA.fullmatch(part) for part in where.parts) and self._tests_below("", "python"):
            return "it speaks for a package that is not installed: Python would load what it names into the checks"
        for root in (str(parent) for parent in where.parents):
            module = shadowed_module(path, root, is_link=is_link)
            # Before there are tests, a calendar.py may well be the work; a pytest.py never is.
            by_name = module in ANYWHERE_MODULES or (module in RUNNER_MODULES and root == ".")
            if module and (by_name or (root in self._import_roots and self._tests_below("", "python"))):
                return f"it takes the place of the Python module {module} in the checks: give it another name"
        module = self._new_module(path)
        if module and self._tests_import(module) and is_dependency(module, self._manifests()):
            return f"tests that were there import {module} from what is installed: give it another name"
        raw = _raw(entry, blobs)
        if path.endswith("_test.go") and self._tests_in(folder, "go") and _STEERS_GO.search(raw):
            return "its TestMain decides about tests that were there"
        return self._loads(path, None, entry, blobs)

    def _loads(self, path: str, before: TreeEntry | None, after: TreeEntry | None, blobs: Blobs) -> str | None:
        """Why a module would choose which of the tests of the base unittest runs."""
        if not path.endswith(".py") or is_test_file(path) or not self._tests_below("", "python"):
            return None
        folder = folder_of(path)
        is_package = path.endswith("__init__.py") and self._tests_below(folder, "python")
        if is_package and after is not None and (after.mode == LINK or after.blob not in blobs):
            return "what it says cannot be read, and it may choose which of the tests that were there run"
        was, now = (spelled(_raw(entry, blobs)) for entry in (before, after))
        if now is None:
            return None if was is None else "its encoding hides what it says from whoever reads it: take another one"

        def more(pattern: re.Pattern[str]) -> bool:
            return len(pattern.findall(now)) > len(pattern.findall(was or ""))

        if more(_LOADS):
            return "its load_tests decides about tests that were there"
        if not is_package:
            return None
        if more(_STAR):
            return "a star import may bring a load_tests, which decides about tests that were there: import by name"
        if more(_UNDER_A_NAME) and self._tests_in(folder, "python"):
            return "names that it makes up, beside tests that were there, may be those that unittest asks for"
        return None


def _is_installed_runner(path: str) -> bool:
    """Whether a file belongs to a package that runs tests, where packages are installed."""
    parts = PurePosixPath(path).parts
    folders = (("node_modules", JS_RUNNERS), ("site-packages", RUNNER_MODULES))
    return any(
        parts[n + 1].partition(".py")[0] in names
        for folder, names in folders
        for n, part in enumerate(parts[:-1])
        if part == folder
    )


def _places_of_fixtures(path: str) -> list[str]:
    """Where pytest looks for fixtures of a file of tests, beside itself."""
    if not path.endswith(".py") or not is_test_file(path):
        return []
    return [str(folder / "conftest.py") for folder in PurePosixPath(path).parents]


def _counted(path: str, entry: TreeEntry | None, blobs: Blobs) -> assertions.Counted | None:
    if entry is not None and entry.blob not in blobs:
        return None
    return assertions.count(path, blobs[entry.blob] if entry else None)


def _raw(entry: TreeEntry | None, blobs: Blobs) -> bytes:
    return blobs.get(entry.blob, b"") if entry is not None and entry.mode != LINK else b""


def _differs(change: TreeChange, why: str) -> Tampering:
    before, after = change.before, change.after
    if after is None or before is None:
        return _tampering("deleted", change.path, f"it was deleted: {why}")
    if LINK in (before.mode, after.mode) and before.mode != after.mode:
        return _tampering("replaced", change.path, f"something else took its place: {why}")
    if before.blob == after.blob:
        return _tampering("mode", change.path, f"its mode was changed: {why}")
    return _tampering("changed", change.path, f"its content was changed: {why}")


def _tampering(kind: str, path: str, detail: str) -> Tampering:
    shown = path.encode("utf-8", "replace").decode()
    return Tampering.model_validate({"kind": kind, "path": shown, "detail": detail})
