"""Which credential a process holds for the model: found in its environment or in the Claude login, never logged."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, SecretStr

DEFAULT_UPSTREAM = "https://api.anthropic.com"
OAUTH_BETA = "oauth-2025-04-20"

HOW_TO_GET_ONE = (
    "No credential for a model. Set one of ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN (with ANTHROPIC_BASE_URL for a "
    "gateway) or CLAUDE_CODE_OAUTH_TOKEN (made by `claude setup-token`), or log in once with `claude` and /login. "
    "Amazon Bedrock and Google Vertex AI work with the variables that Claude Code takes for them. "
    "To see Overnight work without any, run `overnight demo`."
)

Kind = Literal["api_key", "auth_token", "oauth_token", "claude_login", "bedrock", "vertex"]


class Credential(BaseModel):
    """A secret for the model's service, and where it came from."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    secret: SecretStr
    source: str
    """Where it was found, for people: a variable's name or a file."""
    upstream: str = DEFAULT_UPSTREAM
    """Base URL of the service that takes it, without a slash at its end."""
    expires_at: datetime | None = None
    """When a Claude login ends, unless Claude Code renews it before; None for what does not end by itself."""
    headers: dict[str, SecretStr] = {}
    """More headers that the service wants (``ANTHROPIC_CUSTOM_HEADERS``), by name in lower case."""
    passed: dict[str, SecretStr] = {}
    """Only when ``direct``: the variables that Claude Code itself needs."""
    files: dict[str, Path] = {}
    """Only when ``direct``: files of the host that Claude Code must read, by the variable that names each."""

    @property
    def fingerprint(self) -> str:
        """Tells two credentials apart without telling either: kind and a short hash of secrets and service."""
        parts = [self.upstream, self.secret.get_secret_value()]
        for name, value in sorted({**self.headers, **self.passed}.items()):
            parts.append(f"{name}={value.get_secret_value()}")
        parts.extend(f"{name}={path}" for name, path in sorted(self.files.items()))
        return f"{self.kind}:{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"

    @property
    def is_oauth(self) -> bool:
        """Whether Claude Code must speak as a subscription, not as an API key."""
        return self.kind in {"oauth_token", "claude_login"}

    @property
    def direct(self) -> bool:
        """Whether the gateway cannot carry it, so that it goes into the sandbox with Claude Code."""
        return self.kind in {"bedrock", "vertex"}

    @property
    def place(self) -> str:
        """``upstream`` as it may be shown: without a password in it."""
        try:
            parts = urlsplit(self.upstream)
        except ValueError:
            return "an address that is none"
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def secrets(self) -> frozenset[str]:
        """Every value in it that must be seen nowhere, in the clear: for those who look for them.

        What is shorter than any key is left out: a team's name in a header would be found everywhere.
        """
        passed = [value for name, value in self.passed.items() if name in _SECRET]
        found = {value.get_secret_value() for value in (self.secret, *self.headers.values(), *passed)}
        found |= {text.removeprefix("Bearer ") for text in found}
        return frozenset(text for text in found if len(text) >= _SHORTEST_SECRET)

    @property
    def exposes(self) -> str:
        """What a person must know who uses a ``direct`` one; empty for the others."""
        if not self.direct:
            return ""
        whose = "AWS" if self.kind == "bedrock" else "Google Cloud"
        return (
            f"the {whose} credential is inside the sandbox: what the agent runs can read it and use it for all that it"
            " allows; the gateway neither meters nor refuses: cost is what Claude Code itself reports, and a budget is"
            " kept by Claude Code's own limit per call"
        )

    def presented(self, betas: str = "") -> dict[str, str]:
        """The headers, by name in lower case, that carry it to ``upstream``, secrets in the clear.

        ``betas`` is the request's own ``anthropic-beta``, to which those are added that go with the credential.
        """
        secret = self.secret.get_secret_value()
        shown = {"x-api-key": secret} if self.kind == "api_key" else {"authorization": f"Bearer {secret}"}
        # As in Claude Code: what a person set for the service stands above what follows from the credential.
        shown |= {name: value.get_secret_value() for name, value in self.headers.items()}
        wanted = [betas, shown.get("anthropic-beta", ""), OAUTH_BETA if self.is_oauth else ""]
        named = dict.fromkeys(beta.strip() for text in wanted for beta in text.split(",") if beta.strip())
        return {**shown, "anthropic-beta": ",".join(named)} if named else shown

    def environment(self) -> dict[str, str]:
        """``passed`` in the clear, for the environment of Claude Code. Variables of ``files`` are not among them."""
        return {name: value.get_secret_value() for name, value in self.passed.items()}


class _UnusableError(Exception):
    """Something is set, but cannot be used; says what and why, never its value."""


def find_credential(env: Mapping[str, str] | None = None, home: Path | None = None) -> Credential | None:
    """The credential that Claude Code itself would use, or None.

    In this order: Bedrock or Vertex where chosen, ``ANTHROPIC_AUTH_TOKEN``, ``ANTHROPIC_API_KEY``,
    ``CLAUDE_CODE_OAUTH_TOKEN``, the Claude login of a subscription, the API key of a Console login. Reads files anew
    at every call.
    """
    try:
        return _find(os.environ if env is None else env, home or Path.home())
    except _UnusableError:
        return None


def why_none(env: Mapping[str, str] | None = None, home: Path | None = None) -> str:
    """Why ``find_credential`` finds none although something is there, in words; empty if nothing is."""
    try:
        _find(os.environ if env is None else env, home or Path.home())
    except _UnusableError as error:
        return str(error)
    return ""


def _find(env: Mapping[str, str], home: Path) -> Credential | None:
    for flag in _UNKNOWN_SERVICES:
        if _is_on(env, flag):
            raise _UnusableError(f"{flag} is set, a service that Overnight cannot use; unset it to use another")
    if _is_on(env, "CLAUDE_CODE_USE_BEDROCK"):
        return _bedrock(env, home)
    if _is_on(env, "CLAUDE_CODE_USE_VERTEX"):
        return _vertex(env, home)
    upstream = (env.get("ANTHROPIC_BASE_URL", "").strip() or DEFAULT_UPSTREAM).rstrip("/")
    named: tuple[tuple[str, Kind], ...] = (
        ("ANTHROPIC_AUTH_TOKEN", "auth_token"),
        ("ANTHROPIC_API_KEY", "api_key"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "oauth_token"),
    )
    found = next(
        (
            Credential(kind=kind, secret=_sendable(variable, secret), source=variable, upstream=upstream)
            for variable, kind in named
            if (secret := env.get(variable, "").strip())
        ),
        None,
    ) or _login(env, home, upstream)
    if found is None:
        return None
    headers = _custom_headers(env.get("ANTHROPIC_CUSTOM_HEADERS", ""))
    if found.kind == "auth_token" and (key := env.get("ANTHROPIC_API_KEY", "").strip()):
        # Claude Code sends both, and a gateway may want both.
        headers = {"x-api-key": _sendable("ANTHROPIC_API_KEY", key), **headers}
    return found.model_copy(update={"headers": headers})


def _sendable(name: str, secret: str) -> SecretStr:
    if not secret.isascii() or not secret.isprintable():
        raise _UnusableError(f"{name} holds characters that no HTTP header takes; was it copied whole?")
    return SecretStr(secret)


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS_ALONE = {"content-length", "transfer-encoding", "connection", "accept-encoding"}


def _custom_headers(text: str) -> dict[str, SecretStr]:
    """``Name: value`` by line, as Claude Code reads them: a line without a name is none."""
    headers: dict[str, SecretStr] = {}
    for line in re.split(r"\r?\n", text):
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name or name in _OURS_ALONE:
            continue
        if not _HEADER_NAME.fullmatch(name):
            raise _UnusableError("ANTHROPIC_CUSTOM_HEADERS has a line whose name is none; each line is `Name: value`")
        headers[name] = _sendable(f"ANTHROPIC_CUSTOM_HEADERS ({name})", value.strip())
    return headers


def _login(env: Mapping[str, str], home: Path, upstream: str) -> Credential | None:
    """What `claude` and /login left behind: the tokens of a subscription, or the API key of a Console account."""
    chosen = env.get("CLAUDE_CONFIG_DIR")
    path = (Path(chosen) if chosen else home / ".claude") / ".credentials.json"
    trouble = ""
    login = _json(path)
    if login is not None:
        oauth = login.get("claudeAiOauth")
        token = oauth.get("accessToken") if isinstance(oauth, dict) else None
        if isinstance(oauth, dict) and isinstance(token, str) and token:
            secret, ends = _sendable(str(path), token), _moment(oauth.get("expiresAt"))
            return Credential(kind="claude_login", secret=secret, source=str(path), upstream=upstream, expires_at=ends)
        trouble = f"{path} is there but holds no Claude login; log in again with `claude` and /login"
    managed = (Path(chosen) if chosen else home) / ".claude.json"
    key = (_json(managed) or {}).get("primaryApiKey")
    if isinstance(key, str) and key:
        return Credential(kind="api_key", secret=_sendable(str(managed), key), source=str(managed), upstream=upstream)
    if trouble:
        raise _UnusableError(trouble)
    return None


def _json(path: Path) -> dict[str, object] | None:
    """The object in a file, empty if it holds none; None if there is no file that we may read."""
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        return None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _moment(milliseconds: object) -> datetime | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


# Services that Claude Code speaks to by itself. The names are those of the bundled binary; a test asks it.

_UNKNOWN_SERVICES = (
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
)
_EITHER = (
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "DISABLE_PROMPT_CACHING",
)
_BEDROCK = (
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_BEDROCK_REGION_PREFIX",
    "ANTHROPIC_BEDROCK_SERVICE_TIER",
    "ANTHROPIC_SMALL_FAST_MODEL_AWS_REGION",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    *_EITHER,
)
_VERTEX = (
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_VERTEX_PROJECT_ID",
    "CLOUD_ML_REGION",
    "GOOGLE_CLOUD_PROJECT",
    "GCLOUD_PROJECT",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    *_EITHER,
)
_GATEWAY_TOKENS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
_SHORTEST_SECRET = 8
_SECRET = {
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
}


def _bedrock(env: Mapping[str, str], home: Path) -> Credential:
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
    names: tuple[str, ...]
    files: dict[str, Path] = {}
    if _is_on(env, "CLAUDE_CODE_SKIP_BEDROCK_AUTH"):
        names = _GATEWAY_TOKENS
    elif env.get("AWS_BEARER_TOKEN_BEDROCK"):
        names = ("AWS_BEARER_TOKEN_BEDROCK",)
    elif env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        names = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")
    else:
        names = ("", "AWS_PROFILE")
        usual = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
        places = {name: Path(env.get(name) or home / ".aws" / usual[name]) for name in usual}
        files = {name: path for name, path in places.items() if path.is_file()}
        if "AWS_SHARED_CREDENTIALS_FILE" not in files:
            raise _UnusableError(
                "CLAUDE_CODE_USE_BEDROCK is set, but no AWS credential that can go into the sandbox: set"
                " AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or have a profile with"
                " keys in ~/.aws/credentials; roles of an instance and single sign-on cannot be reached from inside"
            )
    return Credential(
        kind="bedrock",
        secret=SecretStr(env.get(names[0], "")),
        source=_origin("CLAUDE_CODE_USE_BEDROCK", env, names, files),
        upstream=(env.get("ANTHROPIC_BEDROCK_BASE_URL") or f"https://bedrock-runtime.{region}.amazonaws.com").rstrip(
            "/"
        ),
        passed=_taken(env, (*_BEDROCK, *names)),
        files=files,
    )


def _vertex(env: Mapping[str, str], home: Path) -> Credential:
    region = env.get("CLOUD_ML_REGION") or "us-east5"
    host = "aiplatform.googleapis.com" if region == "global" else f"{region}-aiplatform.googleapis.com"
    names: tuple[str, ...] = ()
    files: dict[str, Path] = {}
    if _is_on(env, "CLAUDE_CODE_SKIP_VERTEX_AUTH"):
        names = _GATEWAY_TOKENS
    else:
        folder = Path(env.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
        path = Path(env.get("GOOGLE_APPLICATION_CREDENTIALS") or folder / "application_default_credentials.json")
        if not path.is_file():
            raise _UnusableError(
                "CLAUDE_CODE_USE_VERTEX is set, but no Google Cloud credential that can go into the sandbox: set"
                " GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`"
            )
        files = {"GOOGLE_APPLICATION_CREDENTIALS": path}
    regions = tuple(name for name in env if name.startswith("VERTEX_REGION_CLAUDE_"))
    return Credential(
        kind="vertex",
        secret=SecretStr(env.get(names[0], "") if names else ""),
        source=_origin("CLAUDE_CODE_USE_VERTEX", env, names, files),
        upstream=(env.get("ANTHROPIC_VERTEX_BASE_URL") or f"https://{host}/v1").rstrip("/"),
        passed=_taken(env, (*_VERTEX, *regions, *names)),
        files=files,
    )


def _taken(env: Mapping[str, str], names: Iterable[str]) -> dict[str, SecretStr]:
    return {name: SecretStr(env[name]) for name in names if env.get(name)}


def _origin(flag: str, env: Mapping[str, str], names: Iterable[str], files: Mapping[str, Path]) -> str:
    parts = [name for name in names if env.get(name)] + [str(path) for path in files.values()]
    return f"{flag} with {', '.join(parts)}" if parts else flag


def _is_on(env: Mapping[str, str], name: str) -> bool:
    """Claude Code's own idea of a switch."""
    return env.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
