"""Which credential a process holds for the model: found in its environment or in the Claude login, never logged."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

DEFAULT_UPSTREAM = "https://api.anthropic.com"

HOW_TO_GET_ONE = (
    "No credential for a model. Set one of ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN (with ANTHROPIC_BASE_URL for a "
    "gateway) or CLAUDE_CODE_OAUTH_TOKEN (made by `claude setup-token`), or log in once with `claude` and /login. "
    "To see Overnight work without any, run `overnight demo`."
)

Kind = Literal["api_key", "auth_token", "oauth_token", "claude_login"]


class Credential(BaseModel):
    """A secret for the model's service, and where it came from."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    secret: SecretStr
    source: str
    """Where it was found, for people: a variable's name or a file."""
    upstream: str = DEFAULT_UPSTREAM
    """Base URL of the service that takes it."""
    expires_at: datetime | None = None
    """When a Claude login ends, unless Claude Code renews it before; None for what does not end by itself."""

    @property
    def fingerprint(self) -> str:
        """Tells two credentials apart without telling either: kind and a short hash of secret and service."""
        text = f"{self.upstream} {self.secret.get_secret_value()}"
        return f"{self.kind}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def is_oauth(self) -> bool:
        """Whether Claude Code must speak as a subscription, not as an API key."""
        return self.kind in {"oauth_token", "claude_login"}


def find_credential(env: Mapping[str, str] | None = None, home: Path | None = None) -> Credential | None:
    """The credential that Claude Code itself would use: API key, gateway token, OAuth token, then the Claude login."""
    env = os.environ if env is None else env
    upstream = (env.get("ANTHROPIC_BASE_URL") or DEFAULT_UPSTREAM).rstrip("/")
    named: tuple[tuple[str, Kind], ...] = (
        ("ANTHROPIC_AUTH_TOKEN", "auth_token"),
        ("ANTHROPIC_API_KEY", "api_key"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "oauth_token"),
    )
    for variable, kind in named:
        if secret := env.get(variable, "").strip():
            return Credential(kind=kind, secret=SecretStr(secret), source=variable, upstream=upstream)
    return _claude_login(env, home or Path.home(), upstream)


def _claude_login(env: Mapping[str, str], home: Path, upstream: str) -> Credential | None:
    folder = Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    path = folder / ".credentials.json"
    try:
        login = json.loads(path.read_text())["claudeAiOauth"]
        token, until = login["accessToken"], login.get("expiresAt")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(token, str) or not token:
        return None
    ends = datetime.fromtimestamp(until / 1000, UTC) if isinstance(until, int | float) else None
    return Credential(
        kind="claude_login", secret=SecretStr(token), source=str(path), upstream=upstream, expires_at=ends
    )
