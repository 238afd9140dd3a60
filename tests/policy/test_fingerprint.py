"""Fingerprints: the same failure is recognised, two failures are told apart, and nothing hostile takes long."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.policy.fingerprint import fingerprint

OUTPUTS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "errors" / "outputs.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("held_out", [False, True], ids=["in sight", "held out"])
def test_the_same_failure_elsewhere_has_the_same_fingerprint(held_out: bool) -> None:
    pairs = [pair for pair in OUTPUTS if pair["held_out"] is held_out]
    assert len(pairs) >= (20 if held_out else 44)
    assert [p["name"] for p in pairs if fingerprint(p["first"]) != fingerprint(p["second"])] == []


def test_different_failures_have_different_fingerprints() -> None:
    exact = {pair["name"]: fingerprint(pair["first"]).exact for pair in OUTPUTS}
    assert [(a, b) for a, b in combinations(exact, 2) if exact[a] == exact[b]] == []


@pytest.mark.parametrize(
    ("one", "other", "levels"),
    [
        ("ModuleNotFoundError: No module named 'a'", "ModuleNotFoundError: No module named 'b'", "template kind"),
        ("KeyError: 'price'", "KeyError: 'name'", "template kind"),
        ("ValueError: too small", "ValueError: too big", "kind"),
        ("a.ts(1,2): error TS2322: Type 'a'.", "a.ts(9,2): error TS2322: Type 'a'.", "exact template kind"),
        (
            "connect to 127.0.0.1:4711 failed after 1.5s",
            "connect to 127.0.0.1:99 failed after 3s",
            "exact template kind",
        ),
        ("2 failed in 0.98s at 0xdead", "1 failed in 0.98s at 0xdead", "kind"),
        ("\x1b[31mTypeError: x\x1b[0m", "TypeError: x", "exact template kind"),
    ],
)
def test_what_counts_at_which_level(one: str, other: str, levels: str) -> None:
    a, b = fingerprint(one), fingerprint(other)
    assert [name for name in ("exact", "template", "kind") if getattr(a, name) == getattr(b, name)] == levels.split()


def test_each_level_says_its_version() -> None:
    found = fingerprint("KeyError: 'price'")
    assert found.exact.startswith("v1:exact:")
    assert found.template.startswith("v1:template:")
    assert found.kind == "v1:class:KeyError"


folders = st.from_regex(r"/[a-z]{1,9}/tmp[a-z0-9]{6}", fullmatch=True)
lines = st.integers(1, 99_999)


@given(folders, lines, folders, lines)
def test_neither_folder_nor_line_counts(folder: str, line: int, other: str, moved: int) -> None:
    said = "File \"{0}/app.py\", line {1}\nFileNotFoundError: [Errno 2] No such file: '{0}/a.toml' ({0}:{1})\n"
    assert fingerprint(said.format(folder, line)) == fingerprint(said.format(other, moved))


@given(st.text(max_size=2_000))
def test_whatever_is_printed_has_one(printed: str) -> None:
    found = fingerprint(printed)
    assert found == fingerprint(printed)
    assert len(found.model_dump_json()) < 256


HOSTILE: list[Callable[[int], str]] = [
    lambda n: "a" * n,
    lambda n: "/a" * (n // 2),
    lambda n: "'" * n,
    lambda n: ("E   " + "f" * 390 + "\n") * (n // 395),
    lambda n: "thread '" * (n // 8),
    lambda n: ("error" + "0" * 390 + "x\n") * (n // 395),
    lambda n: "\n" * n,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_hostile_output_takes_no_longer_than_its_length(make: Callable[[int], str]) -> None:
    began = time.process_time()
    fingerprint(make(64_000))
    assert time.process_time() - began < 2


def test_it_is_quick() -> None:
    began = time.process_time()
    for pair in OUTPUTS:
        fingerprint(pair["first"])
    assert (time.process_time() - began) / len(OUTPUTS) < 0.01, "seconds of processor time per output"
