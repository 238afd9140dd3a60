"""``password = value`` and its kin: which name and which value together speak for a secret, and what is just code."""

from __future__ import annotations

import re
from string import ascii_letters, digits

from .judges import COLOURS, Hit
from .values import MIXED, is_code, is_made_up, is_path, looks_random, stands_for_another

_BARE = r"""\x00-\x20\x7f"""

ASSIGNMENT = rf"""
(?P<word>pass(?:word|wd|phrase|code)?|pwd|secret|token|credential|key)
(?P<tail>s?(?:(?:(?-i:(?<=[a-z])[A-Z])|[0-9_.-])[\w.-]{{0,40}}+)?)
(?P<closed>\\{{0,3}}["'`]\]?|\])?
{COLOURS}
(?:
    [ \t]{{0,20}}(?P<sep>=>|:=|[=!]==?|
        :[ \t]{{0,4}}[A-Za-z_][\w.\[\], |?]{{0,40}}?[ \t]{{0,4}}=(?![=>])|[=:]|(?<=["'`]),)
    (?P<gap>[ \t]{{0,8}})
  | (?P<flag>[ ]{{1,4}})
)
{COLOURS}
(?P<below>(?P<opened>[(\\]|[>|][+-]?)?[ \t]{{0,4}}\r?\n[ \t]{{1,40}})?
(?:[bfru]{{1,2}}(?=["']))?
(?: \\{{0,3}}"(?P<dq>[^{_BARE}"\\]{{6,400}}+)
  | \\{{0,3}}'(?P<sq>[^{_BARE}'\\]{{6,400}}+)
  | \\{{0,3}}`(?P<bq>[^{_BARE}`\\]{{6,400}}+)
  | (?P<uq>[^{_BARE}"'`\\]{{6,400}}+)
)"""
"""A name that ends in one of these words, however it goes on, and a value: quoted or not, escaped, coloured, below."""

PAIR = rf"""
value(?:\\{{0,3}}["'])?[ \t]{{0,4}}[:=][ \t]{{0,8}}
(?: \\{{0,3}}"(?P<dq>[^{_BARE}"\\]{{6,400}}+)
  | \\{{0,3}}'(?P<sq>[^{_BARE}'\\]{{6,400}}+)
  | (?P<uq>[^{_BARE}"'`\\<]{{6,400}}+)
)"""
"""What follows a name in a list of names and values, as containers get their environment."""

SQL = rf"""
(?:identified[ \t\r\n]{{1,8}}(?:with[ ][\w"'`]{{1,40}}[ ])?by|password)[ \t\r\n]{{1,8}}
(?:'(?P<sq>[^{_BARE}'\\]{{6,200}}+)'|"(?P<dq>[^{_BARE}"\\]{{6,200}}+)")"""
"""The password of a user, as SQL gives it."""

_NAME = ascii_letters + digits + "_.-"
_OTHER_TOKENS = re.compile(
    r"(?:next|prev|page|continu(?:e|ation)|task|sync|cancel(?:lation)?|cursor|fenc(?:e|ing)|idempoten(?:t|cy)|resume"
    r"|watch|public(?:[_. -]?key)?|client[_. -]?request|change|lock|lease|[cx]srf(?:[_. -]?middleware)?"
    r"|anti[_. -]?forgery|design|lex(?:er)?|pars(?:e|er)|syntax|stop|start|end|pad|mask|special|bos|eos|unk|max|min"
    r"|num|total|count|input|output|prompt|completion|cache|usage|non|by)[_. -]?\Z",
    re.IGNORECASE | re.ASCII,
)
_OTHER_TAILS = re.compile(
    r"(?:^|[_.-]|(?<=[a-z]))(?:ids?|types?|kind|names?|ur[li]|endpoint|host|files?|path|dir|folder|counts?|len|length"
    r"|limit|size|fields?|labels?|headers?|prefix|suffix|index|position|offset|expir(?:y|es|ation)|expires_in|ttl|policy"
    r"|rules?|hint|prompt|manager|provider|class|regex|pattern|format|usage|budget|status|version|refs?|arn|location"
    r"|mode|state|store|scopes?|checksum|digest|hash|salt|sha\d*|fingerprint|error|message|placeholder|alg(?:orithm)?"
    r"|issuer|audience|cached?|bytes|per_\w+|at|age|vault)\Z",
    re.IGNORECASE | re.ASCII,
)
_KEY_WORDS = re.compile(
    r"(?:api|app|access|secret|sign(?:ing)?|encrypt(?:ion)?|crypto|cipher|auth|master|account|service|client|storage"
    r"|shared|deploy|licen[cs]e|webhook|private|hmac|jwt|session|admin|root|user|subscription|registration|consumer)"
    r"[_. -]?\Z",
    re.IGNORECASE | re.ASCII,
)
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[{]", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9+/_.~!@#%^*&$?-]{6,}={0,3}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$.-]*", re.ASCII)
_TELLS = re.compile(
    r"(?P<head>.*)(?P<word>pass(?:word|wd|phrase|code)?|pwd|secret|token|credential|key)"
    r"(?P<tail>s?(?:(?:(?-i:(?<=[a-z])[A-Z])|[0-9_.-])[\w.-]*)?)",
    re.IGNORECASE | re.ASCII,
)
_NAMED = re.compile(
    r"""(?:name|key)(?:\\{0,3}["'])?[ \t]{0,4}[:=][ \t]{0,4}(?:\\{0,3}["'])?(?P<name>[\w.-]{3,100})(?:\\{0,3}["'])?,?
    (?:\s|\\n){1,60}(?:\\{0,3}["'])?\Z""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_DECLARED = re.compile(r"(?:^|\n|\\n)[ \t]*(?:ENV|ARG|setenv|env)[ \t]+\Z", re.ASCII)
_LINE_BEGIN = re.compile(r"""(?:\A|\n|\\n)[ \t]*(?:-[ \t]+)?["']?\Z""", re.ASCII)
_KEY_FOLLOWS = re.compile(r"""\\{0,3}["'`]?[ \t]*:""", re.ASCII)
_PUNCTUATED = re.compile(r"[$(){}\[\];,]")
_TWO_OPERATORS = re.compile(r"=>|\|\||&&|\?\.|\$[({A-Z]|\{\{|\(\)|[,;]\Z", re.ASCII)
_IN_ARN = re.compile(r"arn:[\w:*/.-]*\Z", re.ASCII)
_NEXT_FIELD = re.compile(r"&(?:amp;)?[A-Za-z_][\w.-]*=", re.ASCII)


def assigned(match: re.Match[str]) -> Hit | None:
    """The value that is given to a name such as ``password``, ``api_key``, ``CLIENT_SECRET``."""
    head = _name_before(match)
    word = match["word"].lower()
    if not _names_a_secret(head, word, match["tail"]):
        return None
    if match["flag"] and not (head.startswith("-") or _is_declared(match, head)):
        return None
    if match["sep"] == ":" and _IN_ARN.search(match.string, max(0, match.start() - 100), match.start()):
        return None
    group = match.lastgroup or "uq"
    if match["below"] and not _stands_below(match, group):
        return None
    value, (start, end) = match[group], match.span(group)
    listed = match["sep"] == ","
    if listed and (group == "uq" or (head[-1:].islower() and match["word"].islower())):
        return None  # a list of words
    if group == "uq":
        value = _unquoted(match, head)
        end = start + len(value)
    elif match.string[end : end + 1].isspace():
        return None  # prose
    if len(value) < 6 or is_path(value) or stands_for_another(value) or is_made_up(value):
        return None
    if looks_random(value):
        return Hit(start, end)
    if is_code(value) or (listed and len(value) < 12):
        return None
    if group == "uq" and _IDENTIFIER.fullmatch(value) and not _in_environment(match, head):
        return None  # another variable
    return Hit(start, end, sure=False) if word.startswith("p") and MIXED.match(value) else None


def paired(match: re.Match[str]) -> Hit | None:
    """The value in a pair whose name, right before it, tells what it is."""
    before = match.string[max(0, match.start() - 240) : match.start()]
    if not re.search("name|key", before, re.IGNORECASE):
        return None
    named = _NAMED.search(before)
    telling = _TELLS.fullmatch(named["name"]) if named else None
    if telling is None or not _names_a_secret(telling["head"], telling["word"].lower(), telling["tail"]):
        return None
    group = match.lastgroup or "uq"
    value, (start, end) = match[group], match.span(group)
    if group == "uq":
        value = value.rstrip(",;}])")
        end = start + len(value)
    if len(value) < 6 or is_path(value) or stands_for_another(value) or is_made_up(value):
        return None
    if looks_random(value):
        return Hit(start, end)
    mixed = telling["word"].lower().startswith("p") and MIXED.match(value) and not is_code(value)
    return Hit(start, end, sure=False) if mixed else None


def in_sql(match: re.Match[str]) -> Hit | None:
    """A password between quotes, where nothing but space stands before them."""
    group = match.lastgroup or "sq"
    value = match[group]
    if stands_for_another(value) or is_made_up(value) or is_path(value):
        return None
    random = looks_random(value)
    return Hit(*match.span(group), sure=random) if random or (MIXED.match(value) and not is_code(value)) else None


def element(match: re.Match[str]) -> Hit | None:
    """The text of an XML element with such a name."""
    value = match["v"]
    if _OTHER_TOKENS.search(_name_before(match)) or len(value) < 6 or is_path(value):
        return None
    if stands_for_another(value) or is_made_up(value):
        return None
    random = looks_random(value)
    return Hit(*match.span("v"), sure=random) if random or MIXED.match(value) else None


def _name_before(match: re.Match[str]) -> str:
    """What of the name stands before the word; a page's token may be two words."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    return before[len(before.rstrip(_NAME)) :] or ("page " if before.lower().endswith("page ") else "")


def _names_a_secret(head: str, word: str, tail: str) -> bool:
    if tail and _OTHER_TAILS.search(tail):
        return False
    if word == "key" and not _KEY_WORDS.search(head):
        return False
    return not (word in {"token", "key"} and _OTHER_TOKENS.search(head))


def _is_declared(match: re.Match[str], head: str) -> bool:
    """Whether a name and a value without a sign between them belong together, as in ``ENV NAME value``."""
    start = match.start() - len(head)
    return _DECLARED.search(match.string[max(0, start - 40) : start]) is not None


def _stands_below(match: re.Match[str], group: str) -> bool:
    """Whether a value on the next line is this name's: quoted, a block of YAML, after a line that goes on."""
    if match["sep"] == ",":
        return False
    if group == "uq":
        return match["opened"] is not None and match["opened"] != "("
    return match["flag"] is None and _KEY_FOLLOWS.match(match.string, match.end(group)) is None


def _is_scalar(match: re.Match[str], head: str) -> bool:
    """Whether a line consists of name, colon and this value, as in YAML."""
    if (
        match["sep"] != ":"
        or not match["gap"]
        or match["closed"]
        or match.string[match.end() : match.end() + 1] not in {"", "\n", "\r"}
    ):
        return False
    start = match.start() - len(head)
    return (
        _LINE_BEGIN.search(match.string[max(0, start - 60) : start] if start > 60 else match.string[:start]) is not None
    )


def _unquoted(match: re.Match[str], head: str) -> str:
    """The value without what belongs to the text around it; empty when it is code."""
    whole = match["uq"]
    field = _NEXT_FIELD.search(whole) if "&" in whole else None
    value = (whole[: field.start()] if field else whole).rstrip(",;")
    for opening, closing in ("()", "[]", "{}"):
        if value.endswith(closing) and opening not in value:
            value = value.rstrip(closing)
    if _in_environment(match, head):
        return "" if _CALL.match(value) else value
    if _PUNCTUATED.search(whole) and _is_scalar(match, head):
        return whole if looks_random(whole) and not (_CALL.match(whole) or _TWO_OPERATORS.search(whole)) else ""
    plain = _PLAIN.match(value)
    if plain is None or is_code(value) or value[plain.end() : plain.end() + 1] in set("([{<|"):
        return ""
    if match["sep"] == ":" and not match["gap"] and not match["closed"] and plain[0] != whole:
        return ""  # a minified object
    return plain[0]


def _in_environment(match: re.Match[str], head: str) -> bool:
    """Whether this reads ``NAME=value``, as in a shell, or ``NAME: value``, as containers are told of it."""
    if _ENVIRONMENT.fullmatch(head + match["word"] + match["tail"]) is None:
        return False
    return (match["sep"] == "=" and not match["gap"]) or _is_scalar(match, head)
