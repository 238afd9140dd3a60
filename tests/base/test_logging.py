"""No log line shows a secret, whoever logs it and however."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from overnight.base.telemetry import configure_logging
from tests.planted import KINDS, leak, planted, value_of

SEED = 31
KNOWN = "what-only-the-worker-knows-77"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["json", "console", "colours"])
def out(request: pytest.FixtureRequest) -> io.StringIO:
    stream = Terminal() if request.param == "colours" else io.StringIO()
    log_format = "json" if request.param == "json" else "console"
    configure_logging(Settings(log_format=log_format, log_level="debug"), stream, Redactor.of([KNOWN]))
    return stream


class Broken:
    def __str__(self) -> str:
        raise ValueError(KNOWN)


def test_no_kind_of_secret_in_any_part_of_a_line(out: io.StringIO) -> None:
    log = structlog.get_logger("ours")
    library = logging.getLogger("a.library")
    for kind, fake in planted(SEED).items():
        log.info(fake, detail=fake, nested={"list": [fake]})
        library.warning("said: %s", fake, extra={"more": fake})
        try:
            raise ValueError(fake)
        except ValueError:
            log.exception("ours failed")
            library.exception("theirs failed")
        assert leak(kind, SEED, fake), "the fake does not hold its value"
    text = out.getvalue()
    assert text.count("ValueError") >= 2 * len(KINDS)
    assert [kind for kind in KINDS if leak(kind, SEED, text)] == []


def test_known_values_and_names_of_fields(out: io.StringIO) -> None:
    key = value_of("header api key", SEED)
    structlog.get_logger("ours").info("connected", api_key=key, note=f"with {KNOWN}")
    text = out.getvalue()
    assert key not in text
    assert KNOWN not in text
    assert "connected" in text


def test_a_wrong_log_call_does_not_print_its_arguments(out: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if getattr(handler, "stream", None) is out]  # not pytest's
    logging.getLogger("a.library").warning("%d tries", KNOWN)
    logging.getLogger("a.library").warning("%s", Broken())
    assert out.getvalue().count("a log call failed in a.library") == 2
    assert KNOWN not in out.getvalue() + capsys.readouterr().err


def test_lines_stay_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", KNOWN)
    out = io.StringIO()
    configure_logging(Settings(log_format="json"), out)
    structlog.get_logger("ours").info("started", nested={"token": KNOWN}, fake=planted(SEED)["json in json"])
    line = json.loads(out.getvalue())
    assert line["nested"] == {"token": "<redacted:known-value>"}
    assert leak("json in json", SEED, line["fake"]) is None
