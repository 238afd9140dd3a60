"""`overnight mcp install` and `overnight mcp token`: what is written, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overnight.cli.mcp_install import CLIENTS, changed, difference, entry, install, place
from overnight.cli.trouble import CliError
from tests.cli.support import Cli, clean_environment

URL = "http://127.0.0.1:8808/mcp"


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home and a folder that they work in, with nothing in them."""
    home = tmp_path / "person"
    (home / "work").mkdir(parents=True)
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "OVERNIGHT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    return home


def installed(client: str, **options: Any) -> int:
    """Install without asking."""
    chosen = {"scope": None, "url": None, "token_env": None, "name": "overnight", "dry_run": False, "json": False}
    return install(client, **{**chosen, "yes": True, **options})


@pytest.mark.parametrize(
    ("client", "scope", "file", "key"),
    [
        ("claude-code", None, ".claude.json", "mcpServers"),
        ("claude-code", "project", "work/.mcp.json", "mcpServers"),
        ("claude-desktop", "user", ".config/Claude/claude_desktop_config.json", "mcpServers"),
        ("cursor", None, ".cursor/mcp.json", "mcpServers"),
        ("cursor", "project", "work/.cursor/mcp.json", "mcpServers"),
        ("vscode", None, ".config/Code/User/mcp.json", "servers"),
        ("vscode", "project", "work/.vscode/mcp.json", "servers"),
    ],
)
def test_each_client_has_its_place(person: Path, client: str, scope: str | None, file: str, key: str) -> None:
    assert installed(client, scope=scope) == 0
    written = json.loads((person / file).read_text())
    assert list(written) == [key]
    one = written[key]["overnight"]
    assert Path(one["command"]).is_absolute()
    assert one["args"][-1] == "mcp"
    assert [str(p.relative_to(person)) for p in person.rglob("*") if p.is_file()] == [file]


@pytest.mark.parametrize(("home", "written"), [("../h", "work/../h"), ("~/h", "h"), ("/srv/h", "/srv/h")])
def test_a_home_is_written_whole_since_clients_start_servers_elsewhere(
    person: Path, monkeypatch: pytest.MonkeyPatch, home: str, written: str
) -> None:
    monkeypatch.setenv("OVERNIGHT_HOME", home)
    assert installed("cursor") == 0
    servers = json.loads((person / ".cursor" / "mcp.json").read_text())["mcpServers"]
    assert servers["overnight"]["env"] == {"OVERNIGHT_HOME": str(person / written)}


def test_a_folder_that_is_gone_stops_only_what_is_written_into_it(person: Path) -> None:
    (person / "work").rmdir()
    assert installed("cursor") == 0
    with pytest.raises(CliError, match="not there any more"):
        installed("cursor", scope="project")


def test_a_server_that_runs_is_named_by_url_and_its_token_by_variable(person: Path) -> None:
    for client, reference in (("claude-code", "${TOK}"), ("cursor", "${env:TOK}"), ("vscode", "${env:TOK}")):
        assert installed(client, scope="project", url=URL, token_env="TOK") == 0
        one = entry(client, place(client, "project"), url=URL, token_env="TOK")
        assert (one["url"], one["headers"]) == (URL, {"Authorization": f"Bearer {reference}"})
    with pytest.raises(CliError, match="takes no servers over HTTP"):
        installed("claude-desktop", url=URL)
    for wrong in ("ovn_" + "A1b2-" * 8, "a b", "$TOK"):
        with pytest.raises(CliError, match="the token itself never goes into the file") as caught:
            installed("cursor", url=URL, token_env=wrong)
        assert wrong not in str(caught.value)
    with pytest.raises(CliError, match="goes with --http"):
        installed("cursor", token_env="TOK")
    for url in ("127.0.0.1:8808", "ftp://x/mcp", "http://", "http://x/a b", "http://x:99999/"):
        with pytest.raises(CliError, match="it takes the URL of a server"):
            installed("cursor", url=url)
    with pytest.raises(CliError, match="no user or password") as caught:
        installed("cursor", url="http://ada:hunter2@x/mcp")
    assert "hunter2" not in str(caught.value)


FOREIGN = {
    "numStartups": 12,
    "ümlaut": "näh \u2028",
    "mcpServers": {"other": {"command": "x", "env": {"KEY": "sk-1"}}},
    "projects": {"/a": {"history": [1.5, None, True, {}], "big": 12345678901234567890}},
}


@pytest.mark.parametrize("layout", [{"indent": 2}, {"indent": 4}, {"indent": "\t"}, {"separators": (",", ":")}])
def test_everything_else_in_the_file_stays(person: Path, layout: dict[str, Any]) -> None:
    file = person / ".claude.json"
    text = json.dumps(FOREIGN, ensure_ascii=False, **layout)
    file.write_text(text)
    file.chmod(0o640)
    assert installed("claude-code") == 0
    written = json.loads(file.read_text())
    assert list(written) == list(FOREIGN)
    assert written["mcpServers"].pop("overnight")["type"] == "stdio"
    assert written == FOREIGN
    assert file.stat().st_mode & 0o777 == 0o640
    kept = set(text.splitlines()) - set(file.read_text().splitlines())
    assert len(kept) <= 2, "lines that were not meant are written otherwise"
    before = file.read_text()
    assert installed("claude-code") == 0
    assert file.read_text() == before, "twice is once"
    assert [p.name for p in person.iterdir()] == ["work", ".claude.json"] or len(list(person.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "words"), [('{"a": "\\ud800"}', "half a character"), ('{"a": NaN}', "not valid JSON")]
)
def test_what_could_not_be_written_again_is_left_as_it_is(person: Path, text: str, words: str) -> None:
    file = person / "work" / ".mcp.json"
    file.write_text(text)
    with pytest.raises(CliError, match=words):
        installed("claude-code", scope="project")
    assert ([p.name for p in file.parent.iterdir()], file.read_text()) == ([".mcp.json"], text)


def test_whatever_stops_the_writing_nothing_is_left(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        installed("claude-code", scope="project")
    assert list((person / "work").iterdir()) == []


def test_a_repositorys_link_that_leads_out_of_it_is_not_followed(person: Path) -> None:
    theirs = person / "settings.json"
    theirs.write_text("{}")
    (person / "work" / ".mcp.json").symlink_to("../settings.json")
    (person / "work" / ".cursor").symlink_to(person)
    for client in ("claude-code", "cursor"):
        with pytest.raises(CliError, match="leads out of this folder"):
            installed(client, scope="project")
    assert (theirs.read_text(), sorted(p.name for p in person.iterdir())) == ("{}", ["settings.json", "work"])
    (person / "work" / ".mcp.json").unlink()
    (person / "work" / "kept.json").write_text("{}")
    (person / "work" / ".mcp.json").symlink_to("kept.json")
    assert installed("claude-code", scope="project") == 0
    assert "overnight" in (person / "work" / "kept.json").read_text()


def test_an_entry_that_differs_is_shown_and_keeps_what_others_set(
    person: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = person / "work" / ".mcp.json"
    old = {"command": "/old/overnight-mcp", "args": [], "timeout": 90_000, "env": {"HTTPS_PROXY": "http://p"}}
    file.write_text(json.dumps({"mcpServers": {"overnight": old}}, indent=2))
    installed("claude-code", scope="project", dry_run=True)
    shown = capsys.readouterr()
    assert '-      "command": "/old/overnight-mcp"' in shown.out
    assert "Nothing was written." in shown.err
    assert json.loads(file.read_text())["mcpServers"]["overnight"] == old
    installed("claude-code", scope="project")
    one = json.loads(file.read_text())["mcpServers"]["overnight"]
    assert (one["timeout"], one["env"]) == (90_000, {"HTTPS_PROXY": "http://p"})
    assert one["args"][-1] == "mcp"
    installed("claude-code", scope="project", url=URL)
    one = json.loads(file.read_text())["mcpServers"]["overnight"]
    assert one == {"type": "http", "url": URL, "timeout": 90_000}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  // mine\n  "servers": {}\n}', "has comments"),
        ('{"servers": {} /* mine */}', "has comments"),
        ('{"servers": {"a": {},}}', "commas at an end"),
        ("{", "is not valid JSON"),
        ("[]", "does not hold an object"),
        ('{"servers": []}', "servers is not an object"),
        ('{"servers": {"a": 1, "a": 2}}', "twice in one object"),
        ("[" * 100_000, "nested too deeply"),
        ("\ufeff{", "is not valid JSON"),
    ],
)
def test_a_file_that_writing_would_harm_is_left_alone(person: Path, text: str, words: str) -> None:
    file = person / "work" / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(CliError, match=words) as caught:
        installed("vscode", scope="project")
    assert str(file) in str(caught.value)
    assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_text_or_no_file_is_left_alone(person: Path) -> None:
    file = person / "work" / ".mcp.json"
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(CliError, match="is not UTF-8"):
        installed("claude-code", scope="project")
    file.unlink()
    file.mkdir()
    with pytest.raises(CliError, match="is not a file"):
        installed("claude-code", scope="project")
    file.rmdir()
    file.symlink_to(file)
    with pytest.raises(CliError, match=r"leads nowhere|cannot be read"):
        installed("claude-code", scope="project")


def test_a_symbolic_link_stays_one(person: Path) -> None:
    real = person / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}\n")
    (person / ".claude.json").symlink_to(real)
    assert installed("claude-code") == 0
    assert (person / ".claude.json").is_symlink()
    assert "overnight" in json.loads(real.read_text())["mcpServers"]
    dangling = person / "work" / ".mcp.json"
    dangling.symlink_to("project.json")
    assert installed("claude-code", scope="project") == 0
    assert dangling.is_symlink()
    assert "overnight" in json.loads((person / "work" / "project.json").read_text())["mcpServers"]


def test_an_empty_file_is_a_new_one(person: Path) -> None:
    where = place("cursor", None)
    for text in (None, "", " \n"):
        assert json.loads(changed(text, where, "mine", {"command": "x"})) == {"mcpServers": {"mine": {"command": "x"}}}


def test_keys_beside_the_entry_are_not_shown(person: Path) -> None:
    key = "sk-ant-api03-" + "A1b2C3d4" * 10
    text = json.dumps({"mcpServers": {"other": {"env": {"K": key}}}}, indent=2)
    after = changed(text, place("cursor", None), "overnight", {"command": "x"})
    assert key in after
    assert key not in "\n".join(difference(text, after, person / "x"))


def test_names_that_nobody_knows_are_refused(person: Path) -> None:
    with pytest.raises(CliError, match="did you mean cursor"):
        installed("cursr")
    with pytest.raises(CliError, match="there are: claude-code, claude-desktop, cursor, vscode"):
        installed("emacs")
    with pytest.raises(CliError, match="neither user nor project"):
        installed("cursor", scope="system")
    with pytest.raises(CliError, match="knows user only"):
        installed("claude-desktop", scope="project")
    with pytest.raises(CliError, match="--name"):
        installed("cursor", name="a b")
    assert [p.name for p in person.iterdir()] == ["work"]
    assert len(CLIENTS) == 4


def test_on_the_command_line_it_asks_first(person: Path) -> None:
    run = Cli(clean_environment(person / "home", HOME=str(person)), person / "work")
    nobody = run("mcp", "install", "claude-code")
    assert (nobody.code, "nobody can be asked here" in nobody.err) == (2, True)
    assert not (person / ".claude.json").exists()
    no = run.on_terminal("mcp", "install", "claude-code", answer="n\n")
    assert (no.code, "Write this to" in no.out, (person / ".claude.json").exists()) == (2, True, False)
    yes = run.on_terminal("mcp", "install", "claude-code", answer="y\n")
    assert (yes.code, '+    "overnight": {' in yes.out) == (0, True), yes.out
    one = json.loads((person / ".claude.json").read_text())["mcpServers"]["overnight"]
    assert one["env"] == {"OVERNIGHT_HOME": str(person / "home")}


def test_tokens_on_the_command_line(person: Path) -> None:
    run = Cli(clean_environment(person / "home", HOME=str(person)), person / "work")
    made = run("mcp", "token", "add", "ada", "--scope", "read,control", "--days", "7", "--note", "laptop")
    assert (made.code, len(made.out.split())) == (0, 1)
    assert "read, control, until " in made.err
    plain = made.out.strip()
    assert plain not in made.err
    (known,) = run("mcp", "token", "list", "--json").json
    assert (known["owner"], known["scopes"], known["expired"]) == ("ada", ["read", "control"], False)
    assert "sha256" not in known
    assert "laptop" in (shown := run("mcp", "token", "list")).out
    assert plain[4:] not in shown.out
    wrong = run("mcp", "token", "add", "ada", "--scope", "write")
    assert (wrong.code, "'write' is none of read, control, approve" in wrong.err) == (2, True)
    gone = run("mcp", "token", "revoke", "ada")
    assert (gone.code, gone.out) == (0, f"{known['id']} of ada opens nothing any more.\n")
    again = run("mcp", "token", "revoke", "ada")
    assert (again.code, "no token, and no owner, called 'ada'" in again.err) == (2, True)
    assert list((person / "home" / "logs").iterdir()) == []
