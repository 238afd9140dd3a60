"""Prompts are product: versioned files beside this one, filled in strictly and kept within bounds."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent


@cache
def _template(name: str) -> Template:
    text = (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    if not head.startswith(f"<!-- {name} v"):
        raise ValueError(f"prompt {name}.md does not begin with its name and version")
    return Template(body.strip())


def render(name: str, **values: str) -> str:
    """The prompt ``name`` with its placeholders filled. Raises ``KeyError`` when one is missing."""
    filled = _template(name).substitute(values)
    lines = [line.rstrip() for line in filled.splitlines()]
    kept = [line for n, line in enumerate(lines) if line or (n > 0 and lines[n - 1])]
    return "\n".join(kept).strip()


def section(title: str, body: str) -> str:
    """A titled part of a prompt, or nothing when there is nothing to say."""
    return f"## {title}\n\n{body.strip()}\n" if body.strip() else ""


def bullets(items: list[str]) -> str:
    """Items as a list."""
    return "\n".join(f"- {item}" for item in items)


def fenced(kind: str, text: str) -> str:
    """``text`` between tags that nothing in it can close: whatever it says, it stays data."""
    tag = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"<{tag}>\n{text.strip()}\n</{tag}>"
