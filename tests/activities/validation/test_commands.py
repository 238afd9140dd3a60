"""What the words of commands tell of what they run."""

from __future__ import annotations

import pytest

from activities.validation.commands import folders_in


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("cd app && python3 -m unittest discover", {"app"}),
        ("(cd ./app/; make)", {"app"}),
        ("make -C sub test && make -Cother", {"sub", "other"}),
        ("pytest --rootdir=app", {"app"}),
        ("PYTHONPATH=src:lib python3 -m pytest tests", {"src", "lib"}),
        ('export PYTHONPATH="$PWD/src:$PYTHONPATH"', {"src"}),
        ("PYTHONPATH := $(CURDIR)/src", {"src"}),
        ('pythonpath = ["src", "lib"]', {"src", "lib"}),
        ("[pytest]\npythonpath = src lib\naddopts = -q\n", {"src", "lib"}),
        ("python3 -m unittest discover -v -s app", {"app"}),
        ("cd .. && cd /tmp && cd - && cd . && PYTHONPATH=. pytest", set()),
    ],
)
def test_folders_that_commands_go_to_or_import_from(text: str, folders: set[str]) -> None:
    assert folders_in(text) == folders
