"""What kind of task a goal is, by its words alone: the same goal has the same kind for ever."""

from __future__ import annotations

import re
from typing import Literal, get_args

TaskType = Literal[
    "bug_fix",
    "dependency_upgrade",
    "docs",
    "feature",
    "migration",
    "new_project",
    "performance",
    "refactor",
    "security",
    "tests",
    "tooling",
    "other",
]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)

_LOOKED_AT = 600
"""Characters of a goal: what it is comes first, details after it may speak of anything."""
_FIRST_VERB = 3.0
"""What a goal begins with says most of what it is."""

_WORDS: dict[TaskType, str] = {
    "bug_fix": r"fix(?:es|ed|ing)?|bugs?|broken|crash(?:es|ed|ing)?|regressions?|wrong|incorrect(?:ly)?|repair|debug"
    r"|fail(?:s|ing)|leaks?|race condition|deadlocks?|(?:doesn't|does not|don't|do not|no longer) \w+"
    r"|traceback|stack trace"
    r"|hangs?|throws?",
    "dependency_upgrade": r"upgrad(?:e|es|ed|ing)|bump(?:ed|ing)?|dependenc(?:y|ies)|newer versions?|latest versions?"
    r"|(?:go|move|update) (?:from \S+ )?to (?:version |v)?\w+ ?v?\d+(?:\.\d+)*|deprecat(?:ed|ion)s?"
    r"|outdated|lock ?files?",
    "docs": r"document(?:ed|s|ing|ation)?|docs|docstrings?|readme|tutorials?|changelog|how-to|user guide|manual"
    r"|comments?|api reference",
    "feature": r"add|implement|support|introduce|allow|enable|build|extend|provide|offer|let (?:users?"
    r"|people)|integrate|feature"
    r"|show|display",
    "migration": r"migrat(?:e|es|ed|ing|ion|ions)|port(?:ed|ing)? (?:\w+ ){0,6}(?:to|from)|convert(?:ed"
    r"|ing)?|switch(?:ed|ing)?"
    r"|move (?:\w+ ){1,5}(?:from|off|over)|replace \S+(?: \S+){0,3} (?:with|by)|rewrite (?:\w+ ){0,6}in \w+",
    "new_project": r"from scratch|new (?:project|repository|repo|app|application|service|package|library"
    r"|cli|tool|website)"
    r"|(?:create|build|write|make|develop|scaffold|bootstrap) an? (?:\S+ ){0,6}"
    r"(?:app|application|service|cli|tool|website|site|server|api|library|package|game|bot|program"
    r"|script|dashboard|compiler"
    r"|interpreter|parser|crawler|scraper|extension|plugin)",
    "performance": r"performance|speed(?:s|ing)? ?up|faster|slow(?:er|ness)?|optimi[sz](?:e|es|ed|ing"
    r"|ation|ations)|latency"
    r"|throughput|memory (?:use|usage|footprint|consumption)|profil(?:e|ing)|caching|bottlenecks?"
    r"|benchmarks?|n\+1|quicker"
    r"|takes? too long",
    "refactor": r"refactor(?:s|ed|ing)?|clean(?:ing)? ?up|simplif(?:y|ies|ied)|restructur(?:e|ing)"
    r"|reorgani[sz](?:e|ing)"
    r"|split (?:up )?\S+(?: \S+){0,4} into|extract|renam(?:e|es|ed|ing)|decoupl(?:e|ing)|dedup(?:e|licate)|dead code"
    r"|duplicat(?:ion|ed code)|tidy|modulari[sz](?:e|ing)|without changing behaviou?r|type hints?|annotations",
    "security": r"security|vulnerabilit(?:y|ies)|cve(?:-\d+)*|xss|csrf|sql injection|injection"
    r"|harden(?:s|ed|ing)?|sanitiz(?:e|es|ed|ing)"
    r"|secrets?|exploit(?:s|able)?|path traversal|ssrf",
    "tests": r"(?:unit |integration |end-to-end |e2e |regression |property |snapshot )*tests?|coverage"
    r"|test suite|flaky"
    r"|mutation testing|fuzz(?:ing)?",
    "tooling": r"\bci\b|pipelines?|github actions|workflow file|docker(?:file|i[sz]e)?|containeri[sz]e"
    r"|lint(?:er|ing|s)?"
    r"|pre-commit|makefile|packag(?:e|ing) (?:for|as)|release process|deploy(?:ment|s|ing)?|formatter"
    r"|type check(?:er|ing)"
    r"|helm|terraform|kubernetes",
}
_WEIGHTS: dict[TaskType, float] = {
    "feature": 0.8,
    "new_project": 1.6,
    "migration": 1.5,
    "refactor": 1.2,
    "security": 1.3,
}
_PATTERNS = {kind: re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE) for kind, words in _WORDS.items()}
_OPENING = re.compile(
    r"\W*(?:please|can you|could you|we (?:need|want) (?:you )?to|i(?:'d| would) like (?:you )?to|let's)\b",
    re.IGNORECASE,
)
_ABOUT_TESTS = re.compile(
    r"\W*(?:add|write|create|increase|raise|improve|extend|cover|fix|repair|stabili[sz]e)\b", re.IGNORECASE
)


def task_type(goal: str) -> TaskType:
    """The kind of task that ``goal`` is; ``other`` when its words do not say. Takes time linear in 600 characters."""
    text = " ".join(goal[:_LOOKED_AT].split())
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    first = " ".join(text.split()[:8])
    scores: dict[TaskType, float] = {}
    for kind, pattern in _PATTERNS.items():
        found = {match[0].lower() for match in pattern.finditer(text)}
        if not found:
            continue
        leads = pattern.match(text.lstrip(" -*#\"'"))
        early = pattern.search(first)
        weight = _WEIGHTS.get(kind, 1.0)
        scores[kind] = weight * (min(len(found), 3) + (_FIRST_VERB if leads else 1.5 if early else 0.0))
    if not scores:
        return "other"
    # "Add tests for the parser" asks for tests; "Add a parser, with tests" does not.
    if "tests" in scores and _ABOUT_TESTS.match(text) and _PATTERNS["tests"].search(" ".join(text.split()[:5])):
        scores["tests"] += _FIRST_VERB
    if "docs" in scores and _ABOUT_TESTS.match(text) and _PATTERNS["docs"].search(" ".join(text.split()[:5])):
        scores["docs"] += _FIRST_VERB
    return max(scores, key=lambda kind: (scores[kind], -TASK_TYPES.index(kind)))
