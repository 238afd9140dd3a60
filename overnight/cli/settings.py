"""The settings of this process, with what is wrong with them in words."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from overnight.base.settings import Settings
from overnight.cli.trouble import CliError


def load() -> Settings:
    """Settings from ``OVERNIGHT_*``. Raises ``CliError`` that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise CliError(
            "; ".join(
                _told(problem["loc"], problem["msg"], problem.get("input"))
                for problem in error.errors(include_url=False)
            )
        ) from None
    except SettingsError as error:
        raise CliError(f"{_named(str(error))}: it must be JSON") from None
    except RuntimeError as error:  # no home folder to put ~ in
        raise CliError(f"OVERNIGHT_HOME: {error}") from None


def _told(where: tuple[int | str, ...], what: str, given: object) -> str:
    name = f"OVERNIGHT_{str(where[0]).upper()}" if where else "settings"
    return f"{name}: {what[0].lower()}{what[1:]} (given: {str(given)[:80]!r})"


def _named(text: str) -> str:
    """pydantic-settings says: error parsing value for field "models" from source ..."""
    parts = text.split('"')
    return f"OVERNIGHT_{parts[1].upper()}" if len(parts) > 2 else text
