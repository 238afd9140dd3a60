"""Manifests of builds and packages: of what honest work edits in them, such as dependencies, nothing decides."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from activities.validation.commands import Runs
from activities.validation.origins import ORIGIN

Part = dict[str, Any]

_PLACE = ("tests/{name}.rs", "tests/{name}/main.rs")
_COMMENT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|,(?=\s*[}\]])")
_HOOK = re.compile(r"(?:pre|post)-.+")


def cargo(text: str, _: Runs) -> Part:
    """Of a `Cargo.toml`: which tests there are and how they run. Another target of tests may be named."""
    read = tomllib.loads(text)
    package, workspace, profile = (table(read, name) for name in ("package", "workspace", "profile"))
    part: Part = {f"package.{name}": package[name] for name in ("autotests", "autobenches") if name in package}
    part |= {f"workspace.{name}": workspace[name] for name in ("exclude", "default-members") if name in workspace}
    part |= {f"profile.{name}": profile[name] for name in ("test",) if name in profile}
    part |= {f"{ORIGIN}{name}": read[name] for name in ("patch", "replace") if name in read}
    library = table(read, "lib")
    part |= {f"lib.{name}": library[name] for name in ("test", "doctest", "harness") if name in library}
    for kind in ("test", "bin", "example"):
        for target in _tables(read.get(kind)):
            name = str(target.get("name", ""))
            steered: Part = {key: target[key] for key in ("test", "harness", "required-features") if key in target}
            if kind == "test" and target.get("path", _PLACE[0].format(name=name)) not in {
                place.format(name=name) for place in _PLACE
            }:
                steered["path"] = target.get("path")
            if steered:
                part[f"[[{kind}]] {name}"] = steered
            elif kind == "test":
                part[f"script {name}"] = ""
    return part


def toolchain(text: str, _: Runs) -> Part:
    """Of a `rust-toolchain`: whether the compiler comes from the project itself."""
    paths = re.findall(r"^\s*path\s*=\s*(.*)", text, re.MULTILINE)
    return {"toolchain.path": paths} if paths else {}


def bun(text: str, _: Runs) -> Part:
    """Of a `bunfig.toml`: how tests and scripts run."""
    return {name: value for name, value in tomllib.loads(text).items() if name in ("test", "preload", "run")}


def deno(text: str, runs: Runs) -> Part:
    """Of a `deno.json`: how tests run, and the tasks that commands name."""
    read = json.loads(_without_comments(text))
    if not isinstance(read, dict):
        raise ValueError("no object")
    return {name: read[name] for name in read.keys() & {"test"}} | _reached("task", table(read, "tasks"), runs)


def composer(text: str, runs: Runs) -> Part:
    """Of a `composer.json`: the scripts that commands name, and those of Composer's own events."""
    read = json.loads(text)
    if not isinstance(read, dict):
        raise ValueError("no object")
    scripts = table(read, "scripts")
    part: Part = {f"hook {n}": v for n, v in scripts.items() if _HOOK.fullmatch(n)}
    part |= {f"{ORIGIN}packages": read["repositories"]} if "repositories" in read else {}
    return part | _reached("script", scripts, runs)


def hatch(text: str, runs: Runs) -> Part:
    """Of a `hatch.toml`: what its environments run, where a command calls hatch."""
    if not runs.names("hatch"):
        return {}
    deciding = ("scripts", "env-vars", "extra-args", "randomize", "parallel", "default-args")
    envs = table(tomllib.loads(text), "envs")
    tables = {name: env for name, env in envs.items() if isinstance(env, dict)}
    return {f"envs.{name}.{key}": env[key] for name, env in tables.items() for key in deciding if key in env}


def table(read: Mapping[str, Any], name: str) -> Part:
    """The table of this name; empty where there is none."""
    found = read.get(name)
    return found if isinstance(found, dict) else {}


def _tables(found: object) -> Iterator[Part]:
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def _reached(kind: str, scripts: Part, runs: Runs) -> Part:
    """Scripts whose names commands say, and those whose names these say in turn."""
    found: Part = {}
    pending = [name for name in scripts if runs.says(name)]
    while pending:
        name = pending.pop()
        if f"script {kind} {name}" not in found:
            found[f"script {kind} {name}"] = scripts[name]
            said = set(re.findall(r"[\w:.-]+", json.dumps(scripts[name])))
            pending += [other for other in scripts if other in said]
    return found


def _without_comments(text: str) -> str:
    for pattern in (_COMMENT, _TRAILING):
        text = pattern.sub(lambda found: found[0] if found[0].startswith('"') else "", text)
    return text
