"""A command is taken apart only where its parts, one by one, mean what they mean together."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.validation import Steps, steps_of


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("pytest -q", ["pytest -q"]),
        ("ruff check . && pytest -q", ["ruff check .", "pytest -q"]),
        ("npm ci && npm test && npm run lint", ["npm ci", "npm test", "npm run lint"]),
        ('echo "a && b" && pytest', ['echo "a && b"', "pytest"]),
        ("echo 'a && $(b)' && pytest", ["echo 'a && $(b)'", "pytest"]),
        (r"echo a \&\& b && pytest", [r"echo a \&\& b", "pytest"]),
        ("pytest 2>&1 | tee log && make lint &> out", ["pytest 2>&1 | tee log", "make lint &> out"]),
        ("CI=1 npm test && ! grep -r TODO src", ["CI=1 npm test", "! grep -r TODO src"]),
        ("pytest -k 'a or b' && cat x#y", ["pytest -k 'a or b'", "cat x#y"]),
        ('sh -c "cd sub && pytest; true" && make', ['sh -c "cd sub && pytest; true"', "make"]),
        ("pytest \\\n  -q && make", ["pytest \\\n  -q", "make"]),
    ],
)
def test_what_and_joins_is_taken_apart(command: str, parts: list[str]) -> None:
    assert steps_of(command) == Steps(parts, nothing_after=True)


@pytest.mark.parametrize(
    "command",
    [
        "pytest; make lint", "pytest || true", "pytest && make || true", "(cd a && pytest) && make", "pytest & make",
        "pytest &", "pytest\nmake", "if true; then pytest; fi", "if pytest && make", "cat <<E && pytest",
        "cat <<< x; y",
        "a && export X=1 && pytest", "X=1 && pytest && make", "cd sub && pytest && make", "pytest && cd sub && make",
        "pytest && exit 0", "for f in a b && pytest", "pytest $(git ls-files) && make", "pytest `cat list` && make",
        'pytest "$(cat list)" && make', "pytest && # a comment", "[[ -f a && -f b ]]", "{ pytest && make",
        "eval x && y",
        "pytest 'a", "pytest && ", "&& pytest", "pytest |& tee log", "echo $'a' && b", "trap x EXIT && pytest",
        " && ".join(["true"] * 9), "f() && g", "source env && a && b", "coproc a && b", "a &&& b", "a\r&& b",
    ],
)  # fmt: skip
def test_whatever_is_more_stays_whole_and_speaks_only_by_its_exit_code(command: str) -> None:
    assert steps_of(command) == Steps([command], nothing_after=False)


@pytest.mark.parametrize(
    "command",
    ["cd sub && pytest", ". .venv/bin/activate && pytest", "export A=1 && cd b && make test", "A=1 && make test"],
)
def test_one_step_after_the_stage_is_set_stays_whole_with_nothing_after_it(command: str) -> None:
    assert steps_of(command) == Steps([command], nothing_after=True)


words = st.sampled_from(["true", "false", "echo", "a", "&&", "'", '"', "\\", "|", "x=1", ">o", "2>&1", "#", " ", "$x"])


@given(st.lists(words, min_size=1, max_size=9))
def test_parts_are_the_command_without_what_joins_them(pieces: list[str]) -> None:
    command = " ".join(pieces)
    steps = steps_of(command)
    if len(steps.parts) > 1:
        assert " && ".join(steps.parts).split() == command.split()
        for part in steps.parts:
            checked = subprocess.run(["bash", "-n", "-c", part], capture_output=True, check=False)
            whole = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
            assert checked.returncode == 0 or whole.returncode != 0, "a part that is right in the whole is right alone"
