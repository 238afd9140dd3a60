"""The environment of every box: an allow-list of the host's, and what we set."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from activities.sandbox.mounts import HOME, SYSTEM, tool_chains
from overnight.base.settings import Settings

PROXY_PORT = 61_080
"""Where the way out is, on the box's own loopback; above the ports that a kernel hands out by itself."""
NOT_PROXIED = "localhost,127.0.0.1,::1"

_PASSED = (
    "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS", "PIP_CERT", "GIT_SSL_CAINFO", "PYENV_ROOT", "PYENV_VERSION", "RUSTUP_HOME", "NVM_DIR",
    "JAVA_HOME", "GOROOT", "VOLTA_HOME", "SDKMAN_DIR", "ASDF_DIR", "PIP_FIND_LINKS",
)  # fmt: skip
"""Environment of the host that a box gets: where tools and certificates are. Nothing that may hold a secret."""
_INDEXES = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY",
    "npm_config_registry", "GOPROXY", "GONOSUMDB", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
)  # fmt: skip
"""Where packages come from; passed unless there is a name or a password in it."""
_HOST_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def environment(settings: Settings, *, boxed: bool, private_network: bool) -> dict[str, str]:
    """Variables of a box; with ``private_network`` the proxy on its loopback is the way out."""
    passed = {k: os.environ[k] for k in _PASSED if k in os.environ}
    passed |= {k: v for k, v in os.environ.items() if k.startswith("LC_")}
    passed |= {k: v for k in _INDEXES if "@" not in (v := os.environ.get(k, "@"))}
    if private_network:
        passed |= _way_out()
    else:
        passed |= {k: v for k in _HOST_PROXIES if "@" not in (v := os.environ.get(k, "@"))}
    return {
        **passed,
        "PATH": os.pathsep.join(_path(settings, boxed=boxed)),
        "HOME": str(HOME),
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/bash",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CI": "1",
        "TMPDIR": "/tmp",  # noqa: S108 (the box's own)
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _way_out() -> dict[str, str]:
    """The proxy, said in the ways that package managers and tools understand."""
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    named = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy, "NO_PROXY": NOT_PROXIED}
    java = " ".join(f"-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={PROXY_PORT}" for scheme in ("http", "https"))
    return {
        **named,
        **{name.lower(): value for name, value in named.items()},
        # Node's own fetch looks at the variables above only when told to; the JVM's tools never do.
        "NODE_USE_ENV_PROXY": "1",
        "MAVEN_OPTS": java,
        "GRADLE_OPTS": java,
    }


def _path(settings: Settings, *, boxed: bool) -> list[str]:
    visible = [Path(p) for p in SYSTEM] + tool_chains(settings)
    entries = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p.startswith("/")]
    entries += [Path(p) for p in ("/usr/local/bin", "/usr/bin", "/bin")] + [Path(sys.base_prefix) / "bin"]
    if not boxed:
        return list(dict.fromkeys(str(e) for e in entries))
    return list(dict.fromkeys(str(e) for e in entries if any(e.is_relative_to(v) for v in visible)))
