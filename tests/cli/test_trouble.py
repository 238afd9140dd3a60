"""What a person sees when something is broken: words, an exit code, a way out."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from overnight.base.settings import Settings
from overnight.stack import down, find
from tests.cli.conftest import Finished
from tests.cli.support import Cli, eventually, read_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def elsewhere(cli: Cli, home: Path, **more: str) -> Cli:
    return Cli({**cli.environment, "OVERNIGHT_HOME": str(home), **more}, cli.cwd)


@pytest.mark.parametrize("command", ["status", "watch", "events", "report", "diff", "checkout", "pause", "cancel"])
def test_an_unknown_id_ends_with_3_and_names_the_newest(cli: Cli, finished: Finished, command: str) -> None:
    done = cli(command, "no-such-session", *(["--yes"] if command == "cancel" else []))
    assert done.code == 3
    assert "there is no session 'no-such-session'; the newest are: " in done.err
    assert finished.id in done.err or done.err.count("(") >= 5


def test_an_unknown_id_as_json(cli: Cli) -> None:
    told = cli("status", "no-such-session", "--json")
    assert (told.code, told.json["code"], told.err) == (3, 3, "")


def test_a_worker_that_does_not_answer(cli: Cli, home: Path, slow: str) -> None:
    eventually(lambda: cli("status", slow, "--json").json["phase"] == "execute")
    stack = find(Settings(home=home))
    assert stack is not None
    assert stack.worker is not None
    worker = psutil.Process(stack.worker.pid)
    worker.suspend()
    try:
        began = time.monotonic()
        assert cli("diff", slow, tries=1).code == 4
        assert time.monotonic() - began < 15, "a worker that took the question, and says nothing, is not waited for"
        known = cli("status", slow, "--json").json
        assert (known["worker"], known["session_id"]) == ("offline", slow)
        assert slow in cli("list").out
        assert cli("report", slow).code == 4
        raised = cli.on_terminal("limits", slow, "--max-iterations", "40")
        assert raised.code == 4
        assert "no worker answers" in " ".join(raised.out.split())
        watching = cli.start("watch", slow)
        read_until(watching, "worker offline")
        worker.resume()
        back = read_until(watching, "running")
        assert "offline" not in back[-1]
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=120)
        assert watching.returncode == 130
    finally:
        worker.resume()


def test_a_temporal_that_is_silent_is_told_within_seconds(cli: Cli, home: Path, slow: str) -> None:
    stack = find(Settings(home=home))
    assert stack is not None
    assert stack.server is not None
    server = psutil.Process(stack.server.pid)
    watching = cli.start("watch", slow)
    try:
        read_until(watching, "running")
        began = time.monotonic()
        server.suspend()
        (*_, told) = read_until(watching, "Temporal does not answer")
        assert time.monotonic() - began < 8, "a call's 2 s, and room for a busy machine"
        assert "overnight up" in told
    finally:
        server.resume()
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=120)


async def test_a_temporal_that_goes_away_leaves_nothing_but_json(cli: Cli, home: Path, slow: str) -> None:
    stack = find(Settings(home=home))
    assert stack is not None
    host, _, port = stack.address.rpartition(":")
    ends: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        with suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, back), pump(further, writer))

    between = await asyncio.start_server(link, "127.0.0.1", 0)
    address = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
    away = Cli({**cli.environment, "TEMPORAL_ADDRESS": address}, cli.cwd)
    watching = away.start("watch", slow, "--json")
    try:
        seen = await asyncio.to_thread(read_until, watching, '"status"')
        between.close()
        for end in ends:
            end.close()
        for _ in range(3):
            seen += await asyncio.to_thread(read_until, watching, "Temporal does not answer")
        assert [json.loads(line)["type"] for line in seen][-3:] == ["trouble"] * 3
    finally:
        watching.send_signal(signal.SIGINT)
        _, told = await asyncio.to_thread(watching.communicate, timeout=120)
    assert told == ""


def test_a_port_in_use(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = elsewhere(cli, tmp_path / "home", OVERNIGHT_PORT=port)("run", "x", "--detach")
    assert done.code == 4
    assert f"Port {port} (OVERNIGHT_PORT) is in use" in done.err
    assert find(Settings(home=tmp_path / "home")) is None


def test_a_damaged_database(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "temporal.db").write_bytes(b"no database at all\n" * 500)
    broken = elsewhere(cli, home)
    try:
        done = broken("list")
        assert done.code == 4
        assert "Move" in done.err
        assert str(home / "temporal.db") in done.err
        seen = broken("doctor", "--offline", "--json")
        assert seen.code == 6
        (stack,) = [finding for finding in seen.json["findings"] if finding["name"] == "stack"]
        assert str(home / "temporal.db") in stack["fix"]
    finally:
        down(Settings(home=home, grace_seconds=0))


def test_a_home_that_is_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    broken = elsewhere(cli, tmp_path / "home", OVERNIGHT_CLAUDE_PATH="/bin/false")
    done = broken("run", "x")
    assert done.code == 4
    assert "set OVERNIGHT_HOME" in done.err
    seen = broken("doctor", "--offline", "--json")
    assert seen.code == 6
    red = {finding["name"]: finding["fix"] for finding in seen.json["findings"] if finding["state"] == "red"}
    assert "OVERNIGHT_HOME" in red["home"]
    assert "OVERNIGHT_CLAUDE_PATH" in red["Claude Code"]
    assert broken("down").code == 0


def test_a_home_that_cannot_be_written(cli: Cli) -> None:
    broken = elsewhere(cli, Path("/proc/overnight"))  # not even root may
    seen = broken("doctor", "--offline", "--json")
    assert seen.code == 6
    assert {"name": "home", "state": "red"}.items() <= seen.json["findings"][2].items()


def test_a_claude_that_is_none_pauses_the_session_and_says_so(cli: Cli, tmp_path: Path) -> None:
    other = elsewhere(cli, tmp_path / "home", OVERNIGHT_CLAUDE_PATH="/bin/false")
    try:
        done = other("run", "x", "--validate", "true", "--wait", "--json")
        assert done.code == 5
        assert done.lines[-1]["status"]["reason"]
    finally:
        down(Settings(home=tmp_path / "home", grace_seconds=0))


def test_another_credential_than_the_worker_s(cli: Cli, finished: Finished) -> None:
    other = Cli({**cli.environment, "ANTHROPIC_API_KEY": "another"}, cli.cwd)
    done = other("run", "x", "--detach")
    assert done.code == 6
    assert "overnight down && overnight up" in done.err
    (worker,) = [f for f in other("doctor", "--offline", "--json").json["findings"] if f["name"] == "worker"]
    assert worker["state"] == "yellow"


def test_a_temporal_of_one_s_own_that_is_not_there(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    away = Cli({**cli.environment, "TEMPORAL_ADDRESS": address}, cli.cwd)
    refused = away("list")
    assert refused.code == 4
    assert f"{address}: nothing listens there" in refused.err
    assert "tonic" not in refused.err
    seen = away("doctor", "--offline", "--json")
    assert seen.code == 6
    assert [f["state"] for f in seen.json["findings"] if f["name"] == "Temporal server"] == ["red"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TEMPORAL_CONFIG_FILE", "/no/such/file", "no address is named there; set TEMPORAL_ADDRESS"),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/no/such/file", "/no/such/file cannot be read: No such file or directory"),
        ("TEMPORAL_NAMESPACE", "no-such-namespace", "Temporal says no (Namespace no-such-namespace is not found)"),
    ],
)
def test_settings_of_temporal_s_own_that_lead_nowhere(
    cli: Cli, finished: Finished, home: Path, name: str, value: str, words: str
) -> None:
    stack = find(Settings(home=home))
    assert stack is not None
    address = {} if name == "TEMPORAL_CONFIG_FILE" else {"TEMPORAL_ADDRESS": stack.address}
    told = Cli({**cli.environment, **address, name: value}, cli.cwd)("list")
    assert (told.code, told.out) == (4, "")
    assert words in told.err


def test_an_address_that_is_a_url_is_told_as_such(cli: Cli) -> None:
    told = Cli({**cli.environment, "TEMPORAL_ADDRESS": "http://127.0.0.1:7233"}, cli.cwd)("list")
    assert told.code == 4
    assert "http://127.0.0.1:7233: an address is host:port" in told.err
    assert "Warning" not in told.err
