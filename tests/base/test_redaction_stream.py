"""Redacting what does not fit into memory: a secret is found wherever reading parts it."""

from __future__ import annotations

import io
import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.base.redaction import Redactor
from tests.innocent import innocent
from tests.planted import KINDS, leak, planted, value_of

REDACTOR = Redactor()
BEFORE = innocent(11, 150_000)
AFTER = innocent(12, 45_000)
relaxed = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


class Trickle(io.RawIOBase):
    """A pipe that gives as little at a time as it likes."""

    def __init__(self, content: bytes, seed: int) -> None:
        self._rest = io.BytesIO(content)
        self._random = Random(seed)  # noqa: S311

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(min(size, self._random.choice([1, 7, 500, 60_000])))


def copied(content: bytes, redactor: Redactor = REDACTOR, block: int = 2**19) -> bytes:
    target = io.BytesIO()
    redactor.copy(io.BytesIO(content), target, block=block)
    return target.getvalue()


@relaxed
@given(st.integers(0, 99), st.integers(0, 140_000), st.sampled_from([16_000, 30_000, 65_536]), st.integers(0, 9))
def test_no_fake_survives_any_boundary(seed: int, place: int, block: int, tricky: int) -> None:
    fakes = planted(seed)
    kind = sorted(fakes)[seed * 7 % len(fakes)]
    start = BEFORE[place : place + 60_000].partition("\n")[2]
    text = f"{start}\n{fakes[kind]}\n{AFTER}"
    target = io.BytesIO()
    REDACTOR.copy(Trickle(text.encode(), tricky), target, block=block)  # type: ignore[arg-type]
    clean = target.getvalue().decode()
    assert leak(kind, seed, clean) is None
    assert clean == REDACTOR.text(text)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", ["private key", "gcp service account", "env password", "anthropic", "url password"])
def test_every_place_at_a_boundary(kind: str) -> None:
    """The end of what is decided on is moved over the secret."""
    text, block = planted(2)[kind], 8192
    for shift in range(0, len(text) + 60, 1 + len(text) // 12):
        # What is decided on first ends 40,000 characters before the end of what was read.
        ahead = ("innocent words " * 4000)[: block * 2 - shift]
        whole = f"{ahead}\n{text}\n{'more words ' * 6000}"
        assert leak(kind, 2, copied(whole.encode(), block=block).decode()) is None, shift


def test_a_large_key_is_found_across_blocks() -> None:
    name = "PRIVATE" + " KEY"
    random = Random(3)  # noqa: S311
    rows = ["".join(random.choice("ABCDEFGHabcdefgh0123456789+/") for _ in range(64)) for _ in range(240)]
    block = f"-----BEGIN {name}-----\n" + "\n".join(rows) + f"\n-----END {name}-----\n"
    assert 15_000 < len(block) < 16_384
    for place in range(0, 60_000, 4999):
        clean = copied(("x" * 79 + "\n").encode() * (place // 80) + block.encode() + AFTER.encode(), block=10_000)
        assert not any(row.encode() in clean for row in rows), place


def test_known_values_are_found_across_blocks() -> None:
    value = "Zoë's " + value_of("env token", 1)
    redactor = Redactor.of([value])
    for place in range(39_900, 40_100, 7):
        text = "y" * place + value + "z" * 50_000
        clean = copied(text.encode(), redactor, block=20_000)
        assert clean == redactor.text(text).encode()
        assert value.encode() not in clean


def test_what_was_read_before_still_counts() -> None:
    """The name of a page's token, cut in two, is no secret's name; nor may a chain of secrets be cut."""
    row = "next_page_to" + "ken=CAEQAhgBIiQKIGZvbzEyMzQ1Njc4OTAx\n"
    text = f"{row * 4000}"
    assert copied(text.encode(), block=5003) == text.encode()
    redactor = Redactor.of(["alpha-beta-1", "beta-1-gamma", "gamma-alpha-"])
    chain = "alpha-beta-1-gamma-" * 6000
    assert b"a-b" not in copied(chain.encode(), redactor, block=5003)


def test_bytes_that_are_no_text_survive() -> None:
    content = Random(4).randbytes(300_000) + bytes(range(256)) * 10  # noqa: S311
    assert copied(content) == content
    secret = planted(5)["github classic"].encode()
    assert copied(b"\xff\xfe\x00" + secret + b"\x80\x00") == b"\xff\xfe\x00using <redacted:github-pat> for this\x80\x00"
    assert copied(b"") == b""


@pytest.mark.chaos
def test_memory_is_bounded() -> None:
    class Endless(io.RawIOBase):
        left = 10 * 2**20
        line = innocent(13, 2**16).encode()

        def read(self, size: int = -1) -> bytes:
            part = self.line[: min(size, self.left)]
            self.left -= len(part)
            return part

    class Nowhere(io.RawIOBase):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            return len(content)

    tracemalloc.start()
    REDACTOR.copy(Endless(), Nowhere())  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 2**20


def test_all_kinds_at_once() -> None:
    fakes = planted(8)
    text = "\n".join(f"{innocent(i, 30_000)}{fake}" for i, fake in enumerate(fakes.values()))
    clean = copied(text.encode(), block=50_000).decode()
    assert not [kind for kind in KINDS if leak(kind, 8, clean)]
