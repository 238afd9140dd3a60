"""What a block that is added to a file of JavaScript or TypeScript tests does while the file is loaded."""

from __future__ import annotations

import re

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?(?:\*/|\Z))+", re.DOTALL)
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_REGEX = re.compile(r"/(?![*/])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_WORD = re.compile(r"[\w$]+")
_GROUPS = "describe|context|suite"
_HEAD = re.compile(rf"(?:{_GROUPS})(?:\.\w+)*\s*\(")
_KNOWN = re.compile(
    rf"\b(?:{_GROUPS}|it|test|specify|bench|require|import|jest\.setTimeout|new (?:Map|Set|Date|URL|Error))"
    r"(?:\s*\.\s*(?:each|skip|todo|concurrent|failing|fails|for|runIf|skipIf|sequential))*"
    r"(?:\s*\([^()]*\)(?=\s*\()|\s*``(?=\s*\())?\s*\("
    r"|\b(?:for|of|if|in|catch|switch)\s*(?:await\s*)?\("
)
_CALLS = re.compile(r"[\w$\])}`]\s*(?:\?\.\s*)?\(|[\w$\])]\s*`")
_ASSIGNS = re.compile(r"(?:[-+*/%&|^?<>]{0,3})(?<![=!<>])=(?![=>])|\+\+|--|\bdelete\b|\bdefineProperty\b")
_HIDDEN_CALLS = re.compile(
    r"\bget\s+[\w$\[#]|@\s*\w|\bextends\b[^{\n]{0,200}[({]\}|\bSymbol\b|\b(?:then|toString|valueOf|toJSON|__proto__)\b"
)
"""What runs code without a call that can be seen: getters, decorators, conversions, promises."""
_DECLARES = re.compile(
    r"\b(?:const|let|var)\s+(?:[\w$]+|\{[\w$\s,:]*\}|\[[\w$\s,]*\])\s*(?::[^=;\n]{1,200})?=(?!=)|\btype\s+\w+(?:<[^=]{0,200}>)?\s*=(?!=)"
)
_BINDS = re.compile(
    r"\bimport\s+([^;()]*?)\bfrom\b|\b(?:function\b\s*\*?|class|enum|namespace|module|import)\s+([\w$]+)"
    r"|\b(?:const|let|var)\s+([\w$]+(?:\s*,\s*[\w$]+)*|[{\[].*?[}\]](?=\s*(?::[^=;]{1,200})?(?:=|of\b|in\b)))",
    re.DOTALL,
)
_SYNTAX = frozenset({"as", "async", "default", "from", "import", "type", "0"})
_QUOTED = re.compile(rf"{_STRING.pattern}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TYPED = re.compile(r"\)\s*:\s*[\w$<>\[\]|. ]+$")
_BLOCKS = frozenset({"if", "for", "while", "switch", "catch", "with", "await"})
_MAX_PARAMETERS = 400
_MAX_TEXT = 40_000
"""Characters above which nobody follows what an addition does."""
_OPEN, _CLOSE = "([{", ")]}"


def reaches_back(text: str) -> bool:
    """Whether loading this code assigns to anything or calls what is not known to be harmless.

    Bodies of functions are not looked into, for they run with the tests, except those of groups of tests.
    """
    if len(text) > _MAX_TEXT:
        return True
    try:
        loaded = _without_bodies(text)
    except (IndexError, ValueError):
        return True
    left = _KNOWN.sub(" ", loaded)
    if _HIDDEN_CALLS.search(loaded) or "\\" in loaded:
        return True
    return _CALLS.search(left) is not None or _ASSIGNS.search(_DECLARES.sub(" ", loaded)) is not None


def words_of_code(text: str) -> set[str]:
    """Words of a file that stand neither between quotes nor in comments."""
    return set(_WORD.findall(_QUOTED.sub(" ", text)))


def bound_by(text: str) -> set[str]:
    """Names that this code binds or imports while it is loaded: whatever is in the file then means them.

    Where something is imported or unpacked under another name, both are told. Raises ``ValueError``.
    """
    try:
        loaded = _without_bodies(text)
    except IndexError as error:
        raise ValueError("a bracket is never closed") from error
    clauses = (clause for found in _BINDS.findall(loaded) for clause in found)
    return {word for clause in clauses for word in _WORD.findall(clause)} - _SYNTAX


def _without_bodies(text: str) -> str:
    """The code that runs when the file is loaded: no strings, no comments, no parameters and bodies of functions."""
    kept: list[str] = []
    here = 0
    while here < len(text):
        if space := _SPACE.match(text, here):
            kept.append("\n" if "\n" in space[0] else " ")
            here = space.end()
        elif text[here] == "{" and _drop_parameters(kept, arrow=False):
            here = _past(text, here)
            kept.append("{}")
        elif text.startswith("=>", here):
            _drop_parameters(kept, arrow=True)
            here = _past_arrow(text, here + 2, kept)
        else:
            here = _token(text, here, kept)
    return "".join(kept)


def _drop_parameters(kept: list[str], *, arrow: bool) -> bool:
    """Whether the code so far ends with the parameters of a function, which are taken away: they run when it does."""
    depth = 0
    end = len(kept)
    while end and (kept[end - 1] == " " or (arrow and kept[end - 1] == "\n")):
        end -= 1
    if not arrow and (typed := _TYPED.search("".join(kept[max(0, end - 12) : end]))):
        while end and kept[end - 1] != ")" and typed:
            end -= 1
    if not end or kept[end - 1] != ")":
        return False
    for n in range(end - 1, max(-1, end - _MAX_PARAMETERS), -1):
        depth += (kept[n] == ")") - (kept[n] == "(")
        if depth == 0:
            before = "".join(kept[max(0, n - 8) : n]).split()
            if not arrow and before and before[-1].rpartition(";")[2] in _BLOCKS:
                return False
            if not arrow and re.search(r"\bextends\b[^{}]*$", "".join(kept[max(0, n - 20) : n])):
                return False
            named = not arrow and before and before[-1] == "function"
            del kept[n:]
            kept.append(" " if named else "")
            return True
    return False


def _token(text: str, here: int, kept: list[str]) -> int:
    """Take one token over, literals without what they say, and return where it ends."""
    if (string := _STRING.match(text, here)) is not None:
        kept.append("0")
        return string.end()
    if text[here] == "`":
        end = _past_template(text, here)
        # What a template computes is computed here and now.
        inner = re.findall(r"\$\{([^}]*)\}", text[here:end])
        kept.append("``" + "".join(f" ({one}) " if "(" in one or "=" in one else "" for one in inner))
        return end
    if (
        text[here] == "/"
        and (regex := _REGEX.match(text, here))
        and re.search(r"(?:^|[=(,:\[!&|?{};]|return)\s*$", "".join(kept[-20:]))
    ):
        kept.append("0")
        return regex.end()
    if (word := _WORD.match(text, here)) is not None:
        kept.append(word[0])
        return word.end()
    kept.append(text[here])
    return here + 1


def _past_arrow(text: str, here: int, kept: list[str]) -> int:
    """Past the body of an arrow function; into it where it is the body of a group of tests."""
    space = _SPACE.match(text, here)
    here = space.end() if space else here
    if text[here : here + 1] == "{":
        line = "".join(kept[-_MAX_PARAMETERS:]).rpartition("\n")[2]
        if _HEAD.match(line.strip()):
            kept.append(" {")
            return here + 1
        kept.append(" {}")
        return _past(text, here)
    kept.append(" {}")
    depth = 0
    while here < len(text):
        sign = text[here]
        if depth == 0 and (sign in _CLOSE or sign in ",;"):
            return here
        depth += (sign in _OPEN) - (sign in _CLOSE)
        here = _token(text, here, [])
        if space := _SPACE.match(text, here):
            here = space.end()
    return here


def _past(text: str, here: int) -> int:
    """Past what the bracket at ``here`` encloses. Raises ``IndexError`` where it is never closed."""
    depth = 0
    while True:
        sign = text[here]
        if space := _SPACE.match(text, here):
            here = space.end()
            continue
        depth += (sign in _OPEN) - (sign in _CLOSE)
        here = _token(text, here, [])
        if depth == 0:
            return here


def _past_template(text: str, here: int) -> int:
    here += 1
    while text[here] != "`":
        if text[here] == "\\":
            here += 2
        elif text.startswith("${", here):
            here = _past(text, here + 1)
        else:
            here += 1
    return here + 1
