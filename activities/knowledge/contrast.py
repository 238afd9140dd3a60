"""What likeness of meaning does not see: texts that differ in the one word that matters.

"Build it in React" and "Build it in Vue", "import" and "export", "from A to B" and "from B to A" are near neighbours
for every embedding, and nearer still by their words. What is known of one is a hint for the other, not advice.
"""

from __future__ import annotations

import re

_ALTERNATIVES = (
    "python|javascript|js|typescript|ts|rust|golang|java|kotlin|c#|c++|ruby|php|swift|elixir|haskell|scala|perl|lua|zig",
    "react|vue|angular|svelte|solidjs|ember|htmx",
    "django|flask|fastapi|rails|express|spring|laravel|nestjs|phoenix",
    "postgresql=postgres|mysql=mariadb|sqlite|mongodb=mongo|cassandra|oracle|dynamodb|duckdb",
    "aws=lambda|azure|gcp|heroku|cloudflare",
    "github|gitlab|bitbucket|jenkins|circleci",
    "slack|discord|telegram|mattermost|whatsapp",
    "stripe|paypal|adyen|klarna",
    "windows|macos=mac|linux",
    "android|ios=iphone",
    "json|yaml=yml|xml|csv|toml|protobuf|ini",
    "png|jpeg=jpg|webp|avif|gif|svg",
    "kafka|rabbitmq|nats|sqs",
    "pytest|unittest|jest|vitest|mocha|playwright|cypress|selenium",
    "npm|yarn|pnpm|bun",
    "pip|poetry|uv|conda",
    "rest|graphql|grpc|soap",
    "german|french|spanish|italian|japanese|chinese|portuguese|dutch|polish|russian|arabic",
    "webpack|vite|rollup|esbuild|parcel",
    "redis|memcached",
    "tabs|spaces",
    "ascending|descending",
    "synchronous=sync|asynchronous=async",
)
"""Of each line, a text is about one; ``=`` joins names of the same thing."""
_OPPOSITES = (
    ("add|introduce|create|install", "remove|delete|drop|uninstall"),
    ("enable|turn on|allow", "disable|turn off|forbid"),
    ("import", "export"),
    ("upload", "download"),
    ("encrypt", "decrypt"),
    ("compress", "decompress"),
    ("encode", "decode"),
    ("lock", "unlock"),
    ("show|display", "hide"),
    ("increase|raise", "decrease|lower|reduce"),
    ("merge|combine|join", "split|separate"),
    ("start", "stop"),
    ("subscribe", "unsubscribe"),
    ("serialize", "deserialize"),
    ("upgrade", "downgrade"),
    ("follow", "unfollow"),
)
_NAME: list[dict[str, str]] = [
    {spelling: group.split("=")[0] for group in line.split("|") for spelling in group.split("=")}
    for line in _ALTERNATIVES
]
_GO = re.compile(r"\b(?:in|to|from|with|using) Go\b")
_WORD = re.compile(r"[a-z][a-z0-9]*(?:#|\+\+)?")
_FROM_TO = re.compile(r"\bfrom (\S+) to (\S+?)[.,;:]?(?:\s|$)|\breplace (\S+) (?:with|by) (\S+?)[.,;:]?(?:\s|$)")
_OPENING_WORDS = 6
"""The action of a goal is among its first words; later ones may speak of anything."""
_LOOKED_AT = 2_000


class Gist:
    """What a text says of things that exclude each other. Made once for each text that is compared."""

    def __init__(self, text: str) -> None:
        text = _GO.sub(lambda found: f"{found[0][:-2]}golang", text[:_LOOKED_AT])
        lower = text.lower()
        words = _WORD.findall(lower)
        told = set(words)
        self._chosen = [{names[word] for word in told & names.keys()} for names in _NAME]
        opening = f" {' '.join(words[:_OPENING_WORDS])} "
        self._acts = [
            tuple(any(f" {act} " in opening for act in side.split("|")) for side in pair) for pair in _OPPOSITES
        ]
        self._ways = {tuple(part for part in found.groups() if part) for found in _FROM_TO.finditer(lower)}

    def contrary(self, other: Gist) -> bool:
        """Whether the two exclude each other: another tool for the same, the opposite act, the way back."""
        if any(mine and theirs and not mine & theirs for mine, theirs in zip(self._chosen, other._chosen, strict=True)):
            return True
        if any(way[::-1] in other._ways for way in self._ways):
            return True
        return any(
            mine in ((True, False), (False, True)) and theirs == mine[::-1]
            for mine, theirs in zip(self._acts, other._acts, strict=True)
        )
