"""Python source as Python itself reads it: in the encoding that it names, with names as they are normalised."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import unicodedata
import warnings

_PLAIN = re.compile(
    r"utf-8(?:-sig)?|ascii|iso8859-\d+|cp125\d|koi8-[rut]|shift_jis|euc_jp|euc_kr|gbk|gb2312|gb18030|big5"
)
"""Encodings in which what looks like a comment is one; in others, such as UTF-7, it may be code."""


def parsed(raw: bytes) -> ast.Module:
    """The tree of a Python file.

    Raises ``SyntaxError``, ``ValueError``, ``RecursionError``, ``MemoryError``.
    """
    if not _PLAIN.fullmatch(found := _encoding(raw)):
        raise ValueError(f"its encoding is {found}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(raw)


def spelled(raw: bytes) -> str | None:
    """The source with each name in the one spelling that counts; None where its encoding hides what it says."""
    try:
        encoding = _encoding(raw)
    except SyntaxError:
        # Python does not load it either.
        return ""
    return unicodedata.normalize("NFKC", raw.decode(encoding, "replace")) if _PLAIN.fullmatch(encoding) else None


def _encoding(raw: bytes) -> str:
    return codecs.lookup(tokenize.detect_encoding(io.BytesIO(raw).readline)[0]).name
