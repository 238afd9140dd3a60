"""Redacting whole objects: models, dataclasses and collections of strings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from .redactor import Redactor


def redacted(value: Any, redactor: Redactor, name: str = "") -> Any:
    """The value with every string in it redacted; the same object when there was nothing to redact.

    ``name`` is what the value is called where it stands: it tells a password from a word. A model is copied without
    validation: text never grows, so that it keeps to its limits.
    """
    if type(value) is str:
        return redactor.named(name, value) if name else redactor.text(value)
    if isinstance(value, BaseModel):
        fields = {**{field: getattr(value, field) for field in type(value).model_fields}, **(value.model_extra or {})}
        changed = _changed(fields, redactor)
        return value.model_copy(update=changed) if changed else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = _changed({f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}, redactor)
        return dataclasses.replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        return _mapping(value, redactor)
    if isinstance(value, list | tuple | set | frozenset):
        return _collection(value, redactor, name)
    if type(value) is bytes:
        text = value.decode("utf-8", "surrogateescape")
        clean = redactor.text(text)
        return value if clean == text else clean.encode("utf-8", "surrogateescape")
    return value


def _changed(fields: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    after = {name: redacted(value, redactor, name) for name, value in fields.items()}
    return {name: value for name, value in after.items() if value is not fields[name] and value != fields[name]}


def _mapping(value: Mapping[Any, Any], redactor: Redactor) -> Any:
    after = {
        redacted(key, redactor): redacted(item, redactor, key if type(key) is str else "")
        for key, item in value.items()
    }
    return value if after == value else after


def _collection(value: Any, redactor: Redactor, name: str) -> Any:
    after = [redacted(item, redactor, name) for item in value]
    if all(new is old or new == old for new, old in zip(after, value, strict=True)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*after)
    return next(kind(after) for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
