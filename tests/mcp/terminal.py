"""A program on a terminal of its own, read as a person reads it: the screen as it stands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pexpect
import pyte

COLUMNS, ROWS = 130, 50


class Terminal:
    """Starts the program. ``close`` ends it."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._process = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(cwd),
            env={**env, "TERM": "xterm-256color"},
            dimensions=(ROWS, COLUMNS),
            timeout=None,
        )
        self._ended = False

    @property
    def screen(self) -> str:
        """What is to be seen now."""
        self._read()
        lines = [line.replace("\N{NO-BREAK SPACE}", " ").rstrip() for line in self._screen.display]
        return "\n".join(lines).strip("\n")

    async def until(self, *words: str, seconds: float = 120) -> str:
        """The screen as soon as it shows all the words."""
        try:
            async with asyncio.timeout(seconds):
                while not all(word in (seen := self.screen) for word in words):
                    assert not self._ended, f"the program has ended:\n{seen}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{words} did not show:\n{self.screen}") from None
        return seen

    async def press(self, key: str, *, shows: str = "", hides: str = "", seconds: float = 120) -> str:
        """The screen after ``key``, pressed as often as it takes: a program may be deaf while it draws."""
        async with asyncio.timeout(seconds):
            while True:
                self.type(key)
                for _ in range(20):
                    await asyncio.sleep(0.05)
                    seen = self.screen
                    if shows in seen and not (hides and hides in seen):
                        return seen

    def type(self, keys: str) -> None:
        """Press keys."""
        self._process.send(keys)

    async def ended(self, seconds: float = 120) -> None:
        """Returns when the program has ended by itself."""
        try:
            async with asyncio.timeout(seconds):
                while not self._ended:
                    self._read()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"the program goes on:\n{self.screen}") from None
        self._process.wait()

    def close(self) -> None:
        """End the program, if it is still there."""
        if self._process.isalive():
            self._process.kill(signal.SIGKILL)
            self._process.wait()
        self._process.close()

    def _read(self) -> None:
        try:
            while not self._ended:
                self._stream.feed(self._process.read_nonblocking(65_536, timeout=0))
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self._ended = True
