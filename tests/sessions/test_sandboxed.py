"""What a person sees of the sandbox: secrets taken out and told, connections blocked and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.demo.reply import Text
from tests.planted import planted, value_of
from tests.sessions.conftest import Shop, git
from tests.sessions.plays import RIGHT, TEST, Script, by_iteration, play, shell, write
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

KIND = "github classic"
RULE = "github-pat"
SECRET_LINE = f"TOKEN = {value_of(KIND, 7)!r}\n"


def blobs(vault: Path) -> bytes:
    """Every object of the vault, as one."""
    names = git(vault, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    return b"".join(git(vault, "cat-file", "-p", name).encode() for name in names)


async def test_a_secret_stops_delivery_until_it_is_mended(shop: Shop) -> None:
    """It is told with file and line, gets into no commit, and the session completes when the code needs it no more."""
    leaks: Script = [
        write("greet.py", RIGHT + SECRET_LINE),
        write("test_greet.py", TEST),
        Text(f"Done, with {planted(8)[KIND]}."),
    ]
    mends: Script = [write("greet.py", RIGHT), Text("Taken out.")]
    known = await shop.run(play(by_iteration(leaks, mends)), session_id="leaky")
    assert (known.status, known.iteration) == (Status.COMPLETED, 2)
    told = [event.text for event in (await shop.sessions.events("leaky")).events]
    assert any("greet.py:3" in text and RULE in text and "taken out" in text for text in told), told
    assert any("delivery stopped" in text and "greet.py:3" in text for text in told), told

    branch = await shop.sessions.branch("leaky")
    kept = blobs(Path(branch.vault))
    for seed in (7, 8):
        assert value_of(KIND, seed).encode() not in kept
        assert value_of(KIND, seed) not in await shop.history("leaky")
        assert value_of(KIND, seed) not in await shop.sessions.report("leaky")
    assert all(value_of(KIND, 7) not in request.prompt for request in shop.asked("leaky", "diagnose"))


async def test_what_was_blocked_is_in_the_events(shop: Shop) -> None:
    port = shop.http_address.rpartition(":")[2]
    tries: Script = [
        write("greet.py", RIGHT),
        write("test_greet.py", TEST),
        shell(f"curl -s --noproxy '' http://127.0.0.1:{port}/; curl -s http://169.254.169.254/; true"),
        Text("Done."),
    ]
    known = await shop.run(play(by_iteration(tries)))
    assert known.status is Status.COMPLETED
    told = [event.text for event in (await shop.sessions.events(known.session_id)).events]
    assert any(f"blocked 127.0.0.1:{port}" in text for text in told), told
    assert any("blocked 169.254.169.254:80" in text and "metadata" in text for text in told), told


async def test_the_status_names_the_sandbox(shop: Shop) -> None:
    script: Script = [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]
    known = await shop.run(play(by_iteration(script)), egress="none")
    assert known.status is Status.COMPLETED
    assert known.sandbox == "bubblewrap, network: none"
