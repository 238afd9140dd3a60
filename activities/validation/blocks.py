"""What a block that is added to tests in another language than Python and JavaScript does to those that were there.

Nobody parses these languages here: a block is judged by its lines, and what may be either is taken for the worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_RUN_WHEN_LOADED = re.compile(r"\.(?:rb|php|lua|[rR]|jl|exs)$")
_DONE_WHEN_LOADED = re.compile(
    r"\b(?:exit|die|quit|halt|abort)\b\s*(?:[!(;]|\d|$)"
    r"|\b(?:__send__|public_send|send|define_\w+|remove_const|const_set|instance_variable_set|method_missing|refine"
    r"|instance_exec|eval\w*|runkit\w*|set_error_handler|spl_autoload\w*|setmetatable|rawset|assignInNamespace"
    r"|ExUnit\.(?:configure|after_suite)|debug\.\w+)\b|\b_G\b|\$GLOBALS\b|\bENV\b\s*\["
)
"""Loading such a file runs it: these end the run as if all were well, or reach what is there under another name."""
_IN_C = re.compile(r"\.(?:c|cc|cpp|cxx|h|hpp)$")
_BEFORE_MAIN = re.compile(r"^\s*#\s*(?:define|undef|pragma)\b|__attribute__|\[\[\s*gnu|\b_?_?[eE]xit\b|\bquick_exit\b")
_STEERS = re.compile(
    r"@(?:Before|After|Disabled|Ignore|Rule|ClassRule|RegisterExtension|ExtendWith|RunWith|TestInstance)\w*"
    r"|\[\s*(?:SetUp|TearDown|OneTime\w+|(?:Test|Class|Assembly)(?:Initialize|Cleanup)|Ignore|Explicit)\b"
    r"|^\s*(?:setup|setup_all|teardown|before|after|around|beforeTest|afterTest)\b\s*(?:do\b|\(|\{|:\w|$)"
    r"|\binclude_context\b|\bpublic\s+\w*(?:Fixture|Dispose)\w*\s*\("
)
"""What runners do before and after every test of a class or group, or about it as a whole."""
_RUNS = re.compile(
    r"set_?up\w*|tear_?down\w*|run|runtest|runbare|run_one_method|invoketest\w*|onnotsuccessfultest|transformexception"
    r"|verifymockobjects|assertp(?:re|ost)conditions|capture_exceptions|failures?|passed\?|skipped\?|error\?|initialize"
    r"|dispose|deinit|init|__construct|__destruct",
    re.IGNORECASE,
)
"""Names by which classes of tests run, in whatever library."""
_COMMENT = re.compile(r"\s*(?://|#(?!\s*(?:define|undef|pragma|include)|!?\[)|\*|/\*|--)")
_TYPES = r"class|struct|interface|enum|object|trait|module|namespace|protocol|extension|typealias|macro_rules!|typedef"
_DEFINES = (
    re.compile(
        r"\b(?:def(?:macro|delegate|guard|module|p|macrop)?|function|sub|fn|func|fun)\s+(?:[\w<>]+\.)?(\w+[?!]?)"
    ),
    re.compile(rf"\b(?:{_TYPES})\s+([\w.]+)"),
    re.compile(r"^(\w+)\s*\(\)\s*\{?$"),
    # Constants and `let` of Ruby, functions of R and Julia, tables of Lua.
    re.compile(r"^\s*([A-Z]\w*)\s*=(?![=~>])|^\s*let!?\s*\(?\s*:(\w+)|^\s*(subject)\b|^(\w+)\s*<-|\b(\w+)\s*<<-"),
    re.compile(
        r"^\s*(\w+)\([^()]*\)\s*=(?![=~>])|^\s*(?!local\b)([\w.]+\.\w+)\s*=\s*function\b|^([a-z_]\w*)\s*=\s*function\b"
    ),
    # A function that begins with its type, as in C, Java and their kin.
    re.compile(
        r"^\s*(?!(?:return|new|else|throw|await|yield|case|assert|goto|delete|co_await)\b)"
        r"(?:[\w:<>\[\],.?&*@]+\s+)+[*&]?(\w+)\s*\([^;]{0,400}\)[^;()]{0,100}\{"
    ),
    re.compile(r"^\s*(?:(?:public|protected|private|internal|static|override|virtual|final)\s+)+[^=;(]*?(\w+)\s*\("),
)
_LONGEST = 2_000
"""Characters of a line that is read."""
_OF_IMPORTS = frozenset(
    {"import", "from", "use", "require", "static", "function", "const", "as", "crate", "self", "super", "type", "_"}
)


def steers(path: str, before: str, imports: Sequence[str], added: Sequence[str]) -> bool:
    """Whether lines that are ``added`` to a file, and those of them that are ``imports``, may change its tests."""
    if any(len(line) > _LONGEST for line in (*imports, *added)):
        return True  # what stands at its end would take too long to look for
    said = [line for line in added if not _COMMENT.match(line)]
    bad = [_STEERS]
    bad += [_DONE_WHEN_LOADED] if _RUN_WHEN_LOADED.search(path) else []
    bad += [_BEFORE_MAIN] if _IN_C.search(path) else []
    if any(pattern.search(line) for pattern in bad for line in said):
        return True
    taken = set(re.findall(r"\w+", before))
    new = {name for line in said for name in _defined(line)}
    new.update(name for line in imports for name in _imported(line))
    return not taken.isdisjoint(new) or any(_RUNS.fullmatch(name) for name in new)


def _defined(line: str) -> Iterator[str]:
    for pattern in _DEFINES:
        for found in pattern.finditer(line):
            yield from (part for name in found.groups() if name for part in name.split("."))


def _imported(line: str) -> list[str]:
    """Names that an import binds, as far as they are written out."""
    if "*" in line or "#" in line:
        return []
    code = re.sub(r"\"[^\"]*\"|'[^']*'", " ", line)
    inside = re.search(r"\{([^}]*)\}", code)
    words = [word for word in re.findall(r"\w+", inside[1] if inside else code) if word not in _OF_IMPORTS]
    return words if inside else words[-1:]
