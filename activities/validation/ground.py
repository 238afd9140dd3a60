"""The base commit as the guard's rules see it: its tests, what runs them, and what they are made with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath

from activities.validation.commands import Runs, check_scripts_in, folders_in
from activities.validation.conventions import RUN_BY, WHOLE_SETTINGS, is_test, language
from activities.validation.deciding import has_part, loads_plugins
from activities.validation.reach import Reach
from activities.validation.standing_in import imported_by, is_data, tells_dependencies, top_module
from activities.workspace import TreeEntry
from workflows.contracts.tamper import Guard

MANIFESTS = frozenset(
    {"package.json", "pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini"}
)
"""Files of the root that are read for what they say of the checks."""
_DOCUMENTS = (".md", ".rst", ".adoc")


class Ground:
    """What is known of a base before anything changes."""

    def __init__(
        self,
        guard: Guard,
        base: Mapping[str, TreeEntry],
        texts: Mapping[str, bytes] | None = None,
        named: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """``texts`` are contents of the base, by path: what frozen commands run names more that they run.

        ``named`` says of what ``asks`` returns which files of the base have it in their text, in small letters.
        """
        self._named = named or {}
        self._guard = guard
        self._base = base
        self._texts = texts or {}
        told = {path: raw for path, raw in self._texts.items() if not _tells_no_script(path)}
        self._runs = Runs.of(guard.commands, (raw.decode("utf-8", "replace") for raw in told.values()))
        self._reach = Reach.of(guard.commands, base, told, self._run_files | self._check_scripts)

    @property
    def runs(self) -> frozenset[str]:
        """Files of the base that the frozen commands run, as far as their words and those of ``texts`` tell."""
        manifests = {path for path in self._base if path in MANIFESTS or tells_dependencies(path)}
        return self._reach.all | manifests

    def _namers(self, path: str) -> frozenset[str]:
        """Tests of the base that name this file of data."""
        named = self._named.get(PurePosixPath(path).name.lower(), frozenset())
        return frozenset(by for by in named if is_test(by) and not is_data(by))

    def _is_test_data(self, path: str) -> bool:
        """Whether a file of data is one of the tests': they name it, and no other code or setting does."""
        if not is_data(path) or has_part(path) or tells_dependencies(path) or path not in self._base:
            return False
        others = (by for by in self._named.get(PurePosixPath(path).name.lower(), ()) if by != path)
        return bool(self._namers(path)) and all(is_test(by) or by.endswith(_DOCUMENTS) for by in others)

    def _new_module(self, path: str) -> str | None:
        """The module that a new file is, where tests could import it and the base has none of that name."""
        if path in self._base or is_test(path) or (module := top_module(path)) is None:
            return None
        where = PurePosixPath(path).parent
        root = str(where.parent if path.endswith("__init__.py") else where)
        if root not in self._import_roots | {"src"}:
            return None
        places = {str(PurePosixPath(root, module)) for root in self._import_roots | {"src"}}
        there = places & self._folders or any(f"{place}.py" in self._base for place in places)
        return None if there else module

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(str(parent) for path in self._base for parent in PurePosixPath(path).parents)

    def _tests_import(self, module: str) -> bool:
        return any(is_test(by) for word in imported_by(module) for by in self._named.get(word.lower(), ()))

    def _manifests(self) -> list[tuple[str, bytes]]:
        return [(path, raw) for path, raw in self._texts.items() if tells_dependencies(path)]

    def _setting(self, path: str) -> str | None:
        """The language of the tests that this file steers by its name."""
        name = PurePosixPath(path).name
        if path.rpartition("/")[0].endswith(".mvn"):
            name = f".mvn/{name}"
        for pattern, steered, tool in WHOLE_SETTINGS:
            if pattern.fullmatch(name) and (not tool or self._runs.names(tool)):
                return steered
        return None

    @cached_property
    def _import_roots(self) -> frozenset[str]:
        """Folders from which Python may look for modules: the root, those above tests, and those that are named.

        Tests of a package are imported from above it: no folder of the package is looked in.
        """
        tests = [PurePosixPath(path) for path in self._base if is_test(path) and language(path) == "python"]
        above = {str(parent) for path in tests for parent in path.parents}
        named = {folder for text in self._told for folder in folders_in(text)}
        return frozenset({".", *(f for f in above if f"{f}/__init__.py" not in self._base), *named})

    @cached_property
    def _told(self) -> list[str]:
        """The commands, and the texts that say more of them."""
        return [*self._guard.commands, *(raw.decode("utf-8", "replace") for raw in self._texts.values())]

    @cached_property
    def _has_plugins(self) -> bool:
        """Whether the base is a project that brings plugins of pytest itself."""
        return any(loads_plugins(self._texts.get(path, b"").decode("utf-8", "replace")) for path in MANIFESTS)

    @cached_property
    def _run_by(self) -> list[frozenset[str]]:
        return [names for program, names in RUN_BY.items() if self._runs.names(program)]

    @cached_property
    def _run_files(self) -> frozenset[str]:
        return frozenset(path for path in self._run_places if path in self._base)

    @cached_property
    def _run_places(self) -> frozenset[str]:
        """Where programs of frozen commands look for what says what they do."""
        folders = ["", *(f"{folder}/" for text in self._guard.commands for folder in folders_in(text))]
        return frozenset(f"{folder}{name}" for names in self._run_by for name in names for folder in folders)

    @cached_property
    def _check_scripts(self) -> frozenset[str]:
        named = self._runs.check_scripts()
        for path, raw in self._texts.items():
            if _tells_no_script(path):
                continue
            named |= check_scripts_in(raw.decode("utf-8", "replace"))
        return frozenset(path for path in named if path in self._base)

    @cached_property
    def _tests(self) -> list[tuple[str, str]]:
        """Folder and language of every test of the base."""
        return [(folder_of(path), language(path)) for path in self._base if is_test(path)]

    @cached_property
    def _test_folders(self) -> frozenset[str]:
        return frozenset(folder for folder, _ in self._tests)

    def _tests_in(self, folder: str, wanted: str) -> bool:
        return (folder, wanted) in self._tests

    def _tests_below(self, folder: str, wanted: str) -> bool:
        return any(
            (spoken == wanted or not wanted) and (not folder or where == folder or where.startswith(f"{folder}/"))
            for where, spoken in self._tests
        )


def _tells_no_script(path: str) -> bool:
    return path in MANIFESTS - {"package.json"} or tells_dependencies(path)


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def folder_steered(path: str) -> str:
    """The folder that a file of settings is about: that of its own, or the one in which such a folder lies."""
    parts = folder_of(path).split("/")
    while parts and parts[-1].startswith("."):
        parts.pop()
    return "/".join(parts)
