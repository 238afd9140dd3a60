"""A command as steps: what a top-level ``&&`` joins, where running them one by one means the same."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from workflows.contracts.evidence import MAX_STEPS

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_SETS_THE_STAGE = {"cd", "pushd", "export", "source", ".", "set", "umask", "ulimit"}
"""Change the shell for what comes after them, and run no tests."""
_KEEPS_STATE = _SETS_THE_STAGE | {
    "alias", "builtin", "command", "coproc", "declare", "dirs", "enable", "eval", "exec", "exit", "getopts", "hash",
    "let", "local", "mapfile", "popd", "read", "readarray", "readonly", "return", "shift", "shopt", "trap", "typeset",
    "unalias", "unset", "wait",
}  # fmt: skip
_COMPOUND = {
    "{", "}", "[[", "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "select", "function",
}  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """A command, and what of it can be run on its own."""

    parts: list[str]
    """Each for a shell of its own, in order; the whole command alone where it cannot be taken apart."""
    nothing_after: bool
    """Whether no part has anything that is left out when its tests fail, as far as the shell can tell."""


def steps_of(command: str) -> Steps:
    """``command`` as steps. Whatever is not certain stays whole."""
    whole = Steps([command], nothing_after=False)
    try:
        parts = _split(command)
        words = [shlex.split(part) for part in parts]
    except ValueError:
        return whole
    kinds = [_first_word(some) for some in words]
    if any(not some or kind in _COMPOUND for some, kind in zip(words, kinds, strict=True)):
        return whole
    stages = next((n for n, kind in enumerate(kinds) if kind and kind not in _SETS_THE_STAGE), len(kinds))
    if any(kind in _KEEPS_STATE or not kind for kind in kinds[stages:]):
        return whole
    if stages:
        return Steps([command], nothing_after=len(parts) == stages + 1)
    return Steps(parts, nothing_after=True) if len(parts) <= MAX_STEPS else whole


def _first_word(words: list[str]) -> str:
    """The program that a simple command starts; empty when it only assigns."""
    return next((word for word in words if not _ASSIGNMENT.match(word) and word not in ("!", "time")), "")


def _split(command: str) -> list[str]:
    """The parts between top-level ``&&``. Raises ``ValueError`` for whatever is more than commands, pipes and these."""
    parts: list[str] = []
    start, at, quote = 0, 0, ""
    while at < len(command):
        here, two = command[at], command[at : at + 2]
        if here == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if here == quote else quote
        elif here in "'\"":
            quote = here
        elif two == "&&":
            parts.append(command[start:at].strip())
            start = at + 2
            at += 1
        elif _is_more(command, at):
            raise ValueError(two)
        if quote != "'" and (here == "`" or two == "$("):
            raise ValueError(two)
        at += 1
    if quote:
        raise ValueError("a quote stays open")
    return [*parts, command[start:].strip()]


def _is_more(command: str, at: int) -> bool:
    """Whether a list, a group, a subshell, a job, a heredoc or a comment is at this place, outside of quotes."""
    here, before, after = command[at], command[at - 1 : at], command[at + 1 : at + 2]
    if here in ";()\n\r":
        return True
    if here == "&":
        return before not in ("<", ">") and after != ">"
    if here == "|":
        return after in ("|", "&")
    if here == "<":
        return after == "<"
    if here == "#":
        return before in ("", " ", "\t")
    return here == "$" and after in ("'", '"')
