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
(?:[bfru]{{1,2}}(?=["']))?
(?: \\{{0,3}}"(?P<dq>[^{_BARE}"\\]{{6,400}}+)
  | \\{{0,3}}'(?P<sq>[^{_BARE}'\\]{{6,400}}+)
  | \\{{0,3}}`(?P<bq>[^{_BARE}`\\]{{6,400}}+)
  | (?P<uq>[^{_BARE}"'`\\]{{6,400}}+)
)"""
"""A name that ends in one of these words, however it goes on, and a value: quoted or not, escaped, coloured."""

_NAME = ascii_letters + digits + "_.-"
_OTHER_TOKENS = re.compile(
    r"(?:next|prev|page|continu(?:e|ation)|task|sync|cancel(?:lation)?|cursor|fenc(?:e|ing)|idempoten(?:t|cy)|resume"
    r"|watch|public|design|lex(?:er)?|pars(?:e|er)|syntax|stop|start|end|pad|mask|special|bos|eos|unk|max|min|num|total"
    r"|count|input|output|prompt|completion|cache|usage|non|by)[_. -]?\Z",
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
_NEXT_FIELD = re.compile(r"&(?:amp;)?[A-Za-z_][\w.-]*=", re.ASCII)


def assigned(match: re.Match[str]) -> Hit | None:
    """The value that is given to a name such as ``password``, ``api_key``, ``CLIENT_SECRET``."""
    head = _name_before(match)
    word = match["word"].lower()
    if not _names_a_secret(head, word, match["tail"]) or (match["flag"] and not head.startswith("-")):
        return None
    group = match.lastgroup or "uq"
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
    plain = _PLAIN.match(value)
    if plain is None or is_code(value) or value[plain.end() : plain.end() + 1] in set("([{<|"):
        return ""
    if match["sep"] == ":" and not match["gap"] and not match["closed"] and plain[0] != whole:
        return ""  # a minified object
    return plain[0]


def _in_environment(match: re.Match[str], head: str) -> bool:
    """Whether this reads ``NAME=value``, as in a shell."""
    name = head + match["word"] + match["tail"]
    return match["sep"] == "=" and not match["gap"] and _ENVIRONMENT.fullmatch(name) is not None
