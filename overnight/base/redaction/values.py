"""What a value looks like: random as keys are, made up as in examples, or a piece of code that names a value."""

from __future__ import annotations

import re
from urllib.parse import unquote

_LOOKED_AT = 120
"""Characters by which a value is judged: what is hostile must not cost much."""

MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9!@#$%^&*?+=~])", re.ASCII | re.DOTALL)
"""A value with letters and with something else than letters, as passwords have it."""

_STANDS_FOR_ONE = re.compile(
    r"""\A[<\[({][\w .:|-]*[>\])}]\Z|\A&lt;|\A<[A-Za-z]              # <your-token>, {token}, [none]
    |\A\$[A-Za-z_]+\d?\Z|\A%[A-Z_]+%\Z|\A@[\w.]+@\Z              # $TOKEN, %TOKEN%, @token@
    |\$\{|\$\(|\{\{|\}\}|<%|%>|%\([a-z]|\A\{[A-Za-z_]|\A%[sdvr](?:\Z|:)    # ${TOKEN}, {{ token }}, %s
    |\(\?[:P=!<]|\[\^|A-Za-z|a-zA-Z|0-9a-z|a-z0-9|0-9A-Z            # a regular expression
    |example|placeholder|change.?me|redacted|replace.?(?:me|with)|insert.?(?:your|here)|x{5}|\*{4}|\.{3}""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_ONE_OF_MANY = re.compile(
    r"(?<![a-z0-9])(?:your|dummy|sample|fake|mock|todo|tbd|none|null|undefined|nil)(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
_WORDS = re.compile(
    r"""passphrase|p[a@4][s5$]{2}[_-]?w[o0]rd|passwort|passwd|pass|pwd
    |secret|s3cret|s3cr3t|token|api|key|credentials?|auth|bearer|basic
    |testing|tester|tests?|example|demo|dummy|default|sample|fake|mock|fixture|temp|trial
    |anonymous|anon|admin(?:istrator)?|proxy|root|users?(?:name)?|guest|login|signin|owner|member|client|server|service
    |account|postgres(?:ql)?|mysql|mariadb|redis|mongo(?:db)?|rabbitmq|minio|docker|localhost|local|database
    |development|develop|dev|production|prod|staging|stage
    |some|any|new|old|wrong|bad|good|invalid|valid|correct|incorrect|right|same|other|another|next|prev(?:ious)?
    |hello|world|(?<![a-z0-9])my(?![a-z0-9])|foobar|foo|bar|baz|qux|quux|hunter|letmein|qwerty|welcome|change|super|sup3r|very|strong|weak|safe
    |secured?|plain|text|hash(?:ed)?|value|string|field|input|here|with|your|the|not|for|this|that|bob|alice|abc|xyz""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_PUBLISHED = re.compile(
    "ad180jjd733k|2YotnFZFEjr1z|tGzv3JOkF0XG5|0685bd9184jf|kkk9d7dh3k39|9djdj82h48dj|jd93dh9dh39D|h480djs93hd8|mF_9.B5f-4.1|SlAV32hkKG"
    "|czZCaGRSa3F0M|gX1fBat3bV|8xLOxBtZp8|SplxlOBeZQQYb|7Fjfp0ZBr1K|bm90IG15IHJlYW"
)
"""Of the examples in the specifications of OAuth and the like, which a thousand projects repeat."""
_DIGEST = re.compile(r"(?:sha\d{1,3}|md5|arn:aws)[:-]|[0-9a-f]{2}(?::[0-9a-f]{2}){7}", re.IGNORECASE | re.ASCII)
_URL = re.compile(r"[a-z][a-z+.-]{1,20}://", re.ASCII)
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w.@+-]*[/.][\w./@+-]*|[A-Za-z]:\\.*|[\w.-]+(?:/[\w.-]+){2,}", re.ASCII)
_CHAIN = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|->|::|\?\.)[A-Za-z_$][\w$]*)+", re.ASCII)
_CODE = re.compile(r"=>|\|\||&&|[(){}\[\];,`]|\?[^/]*:|\$[A-Z_a-z{(]|%[sd(]|\{\{|<%|\\")
_HEX = re.compile(r"[0-9a-f]{24,}|[0-9A-F]{24,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# How much likelier two neighbours are in random characters than in a name, as logarithms: small letter (l), capital
# (u), digit (d), other (s). A separator parts words and tells nothing.
_WEIGHTS = {"lu": 0.6, "ld": 1.2, "ud": 1.2, "dl": 1.5, "du": 1.5, "dd": -0.3, "ss": 0.0}
_COMMON, _RARE, _OTHER = -1.36, 0.89, 1.0
_ENOUGH = 3.0
_KINDS = str.maketrans(
    {c: "l" if c.islower() else "u" if c.isupper() else "d" if c.isdigit() else "s" for c in map(chr, range(128))}
    | dict.fromkeys("_-./: \\", "-")
)
_PAIRS = (
    "er in re te on st at es le en ti or se de et nt co ar al ta ed li tr ro ra ri me ec an ge ng io it ma is nd ne lo"
    " pe ea ac to as el pa fi ns ct ca ve ce la ex si ch pr ic di il na un ss ad rs ol rt am ll ou ts th em no nc om po"
    " he da ab od ur op ut ha im ty ef rr mp sc sp id ag pl ep ck ke ot so fo us tt bl mo va"
)
"""The pairs of letters of which two thirds of all words in source code consist; of random ones a sixth does."""


def stands_for_another(value: str) -> bool:
    """Whether this names a value instead of being one: a placeholder, a variable, a mask, one repeated character."""
    seen = value[:_LOOKED_AT]
    if len(set(seen)) < 4 or _STANDS_FOR_ONE.search(seen) or _PUBLISHED.search(seen):
        return True
    return _ONE_OF_MANY.search(seen) is not None and _strangeness(seen, seen.translate(_KINDS)) < _ENOUGH


def is_made_up(value: str) -> bool:
    """Whether nothing is left of it without the words of tests and examples: ``test-password-123``, ``admin``."""
    if len(value) > _LOOKED_AT:
        return False
    rest, words = _WORDS.subn("", value)
    return words > 0 and sum(c.isalpha() for c in rest) < 3


def is_path(value: str) -> bool:
    """Whether the whole value is a path or a URL. Base64 has slashes, too."""
    if _URL.match(value):
        return True
    seen = value[:_LOOKED_AT]
    return _PATH.fullmatch(seen) is not None and ("." in seen or seen.count("/") > 3 or not looks_random(seen))


def is_code(value: str) -> bool:
    """Whether an unquoted value is an expression: a call, a template, ``settings.token``."""
    seen = value[:_LOOKED_AT]
    if _CODE.search(seen):
        return True
    chain = _CHAIN.fullmatch(seen)
    return chain is not None and not any(looks_random(part) for part in re.split(r"\.|->|::|\?\.", seen))


def looks_random(value: str) -> bool:
    """Whether its characters follow each other as in keys and generated passwords, not as in words and names."""
    seen = value[:_LOOKED_AT]
    seen = unquote(seen) if "%" in seen else seen
    size, distinct = len(seen), len(set(seen))
    if size < 8 or distinct < (6 if size < 16 else 8):
        return False
    kinds = seen.translate(_KINDS)
    # Two of every sort is more than a name has.
    enough = 0.0 if size >= 12 and min(map(kinds.count, "lud")) > 1 else _ENOUGH
    if not _is_mixed(set(kinds), size) or not (_HEX.fullmatch(seen) or _strangeness(seen, kinds) >= enough):
        return False
    if _is_a_row(seen, 1) or _is_a_row(seen, 2):
        return False
    return not (_DIGEST.match(seen) or stands_for_another(seen) or is_made_up(seen))


def _is_mixed(kinds: set[str], size: int) -> bool:
    letters = kinds & {"l", "u"}
    return bool(letters) and (bool(kinds & {"d", "s"}) or (len(letters) == 2 and size >= 16))


def _strangeness(value: str, kinds: str) -> float:
    score = 0.0
    for i in range(1, len(value)):
        pair = kinds[i - 1] + kinds[i]
        if pair in {"ll", "uu", "ul"}:
            score += _COMMON if value[i - 1 : i + 1].lower() in _PAIRS else _RARE
        elif "-" not in pair:
            score += _WEIGHTS.get(pair, _OTHER)
    return score


def _is_a_row(value: str, step: int) -> bool:
    """Whether many characters follow those before as in ``abc123def456``, or every second one as in ``a1b2c3d4``."""
    pairs = list(zip(value, value[step:], strict=False))
    return sum(ord(second) - ord(first) in (0, 1) for first, second in pairs) > 0.4 * len(pairs)
