"""The settings of this process, with what is wrong with them in words."""

from __future__ import annotations

import os

from pydantic import TypeAdapter, ValidationError

from overnight.base import chosen, sanity
from overnight.base.destinations import problem_of
from overnight.base.settings import AbsolutePath, Settings
from overnight.cli.trouble import CliError


def load() -> Settings:
    """Settings from ``OVERNIGHT_*``. Raises ``CliError`` that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise CliError("; ".join(chosen.problems(error))) from None


def load_to_stop() -> Settings:
    """Settings for stopping what runs: whatever is wrong with the others, the home alone says what that is.

    Raises ``CliError`` where the home itself is wrong.
    """
    try:
        return load()
    except CliError as error:
        home = os.environ.get(chosen.variable("home")) or Settings.model_fields["home"].default
        try:
            # As it would be read: what is only constructed is taken as it stands, its ~ too.
            return Settings.model_construct(home=TypeAdapter(AbsolutePath).validate_python(home))
        except ValidationError:
            raise error from None


def load_for_work() -> tuple[Settings, list[str]]:
    """Settings for starting a worker or a session, and notes on those that do nothing or leave too little.

    Raises ``CliError`` for those that no worker may run with, too.
    """
    settings = load()
    named = chosen.variable("egress_exceptions")
    odd = [f"{named}: {problem}" for text in settings.egress_exceptions if (problem := problem_of(text))]
    if wrong := [*odd, *sanity.exposing(settings), *sanity.missing(settings)]:
        raise CliError("; ".join(wrong))
    return settings, [*chosen.unknown(os.environ), *sanity.tight(settings)]
