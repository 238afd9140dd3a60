"""Words of others in our errors: what pydantic says of a value, in our own; what programs printed, marked as theirs."""

from __future__ import annotations

import re

_SESSION_ID = "must be 3 to 64 characters long, of lower-case letters, digits and dashes, such as fix-login-2"
_ENTRY_ID = "must be 4 to 64 of 0-9 and a-f; `overnight knowledge list` shows them"
_TABLE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(said, re.IGNORECASE), words)
    for said, words in (
        (r"string should match pattern '\^\[a-z0-9\]\[a-z0-9-\]\{2,63\}\$'", _SESSION_ID),
        (r"string should match pattern '\^\[0-9a-f\]\{4,64\}\$'", _ENTRY_ID),
        (r"string should match pattern '[^']*'", "has a character or a form that it must not have"),
        (r"string should have at least 1 character\b", "must not be empty"),
        (r"string should have at (least|most) (\d+) characters?", r"must have at \1 \2 characters"),
        (r"(?:list|dictionary|value) should have at (least|most) (\d+) items?( after validation, not \d+)?",
         r"must have at \1 \2 entries"),
        (r"input should be greater than or equal to ([-\d.]+)", r"must be at least \1"),
        (r"input should be less than or equal to ([-\d.]+)", r"must be at most \1"),
        (r"input should be greater than ([-\d.]+)", r"must be more than \1"),
        (r"input should be less than ([-\d.]+)", r"must be less than \1"),
        (r"input should be a finite number", "must be a number"),
        (r"input should be a valid integer, unable to parse string as an integer[^;(]*", "must be a whole number"),
        (r"input should be a valid string, unable to parse raw data as a unicode string", "must be text in UTF-8"),
        (r"value error, ", ""),
        (r"input should be a valid integer, got a number with a fractional part", "must be a whole number"),
        (r"input should be a valid number, unable to parse string as a number", "must be a number"),
        (r"input should be a valid boolean, unable to interpret input", "must be 1 or 0"),
        (r"input should be a valid integer", "must be a whole number"),
        (r"input should be a valid number", "must be a number"),
        (r"input should be a valid boolean", "must be true or false"),
        (r"input should be a valid string", "must be text"),
        (r"input should be a valid (list|dictionary)", r"must be a \1"),
        (r"input should be a valid dictionary or instance of \w+", "must be an object"),
        (r"input should be ('[^']*'(?:(?:, | or )'[^']*')+)", r"must be one of \1"),
        (r"extra inputs are not permitted", "is not known"),
        (r"field required", "is missing"),
    )
)  # fmt: skip


def reworded(text: str) -> str:
    """``text`` with pydantic's phrases in our words, wherever in it they stand; everything else as it is."""
    for said, words in _TABLE:
        text = said.sub(words, text)
    return text


_QUOTED = "  | "
_LINE_LENGTH = 400


def quoted(printed: str) -> str:
    """What a program printed, as lines that anybody can tell from ours: people want to read it, models must not."""
    return "\n".join(f"{_QUOTED}{line[:_LINE_LENGTH]}" for line in printed.splitlines() if line.strip())


def unquoted(text: str) -> str:
    """``text`` without what is quoted in it."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(_QUOTED))
