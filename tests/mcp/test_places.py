"""Places that callers name: nothing of this machine is told to those whose reach is bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from overnight.errors import InvalidRequestError
from overnight.mcp import arguments, callers
from overnight.reach import Reach


def refusal(reach: Reach, place: str) -> str:
    """What a caller with this reach is told of a place, as the tool hands it on."""
    with callers.calling(callers.Caller("ada", reach=reach)):
        located = arguments.located(place)
    with pytest.raises(InvalidRequestError) as told:
        reach.check(project=located)
    return str(told.value)


def test_a_place_out_of_reach_is_quoted_as_it_was_given_and_no_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder in (allowed / "project", secret):
        folder.mkdir(parents=True)
    (allowed / "link").symlink_to(secret)
    (tmp_path / "back").symlink_to(allowed)
    monkeypatch.setenv("HOME", str(secret))
    monkeypatch.chdir(secret)
    reach = Reach("ada", (str(allowed),))
    missing = refusal(reach, "/never/was")
    places = (
        *(".", "..", "../secret", "~", "~root", "~nobody-of-this-name", "/proc/self/cwd", "x" * 300),
        *(str(secret), f"{allowed}/link", f"{allowed}/link/below", f"{allowed}/../secret", f"{allowed}/project/.."),
        *(f"{tmp_path}/back/project", f"{tmp_path}/never/../secret", f"/{secret}"),
    )
    for place in places:
        assert refusal(reach, place) == missing.replace("'/never/was'", repr(place[:200])), place
    reach.check(project=str(allowed / "project"))
    reach.check(project=f"{allowed}/not-there-yet")


def test_a_root_that_is_a_link_is_named_either_way_and_its_sessions_are_found(tmp_path: Path) -> None:
    (tmp_path / "data" / "project").mkdir(parents=True)
    (tmp_path / "repos").symlink_to(tmp_path / "data")
    reach = Reach("ada", (f"{tmp_path}/repos/",))
    with callers.calling(callers.Caller("ada", reach=reach)):
        for root in ("repos", "data"):
            reach.check(project=f"{tmp_path}/{root}/project")
            assert arguments.sought(f"{tmp_path}/{root}/project/") == os.path.realpath(tmp_path / "data" / "project")
        assert arguments.sought("/proc/self/cwd") == "/proc/self/cwd"
        assert arguments.sought(".") == "."


@pytest.mark.parametrize("place", ["~nobody-of-this-name", "/" + "x" * 300, "x\0y"])
def test_a_bad_path_is_for_the_worker_to_word(place: str) -> None:
    assert arguments.located(place) == place
    assert arguments.located("~") == os.path.realpath(Path.home())
