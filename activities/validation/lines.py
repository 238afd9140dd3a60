"""Files of builds in which what runs tests stands among what honest work must edit: told apart line by line."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Lines:
    """Which lines of a kind of file decide checks."""

    stay: re.Pattern[str]
    """Those that are there stay; more of them may come."""
    steer: re.Pattern[str]
    """Those that are there stay, and no more come."""
    comment: re.Pattern[str]


_HASH = re.compile(r"#.*")
_SLASHES = re.compile(r"//.*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_XML = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NEVER = re.compile(r"(?!)")
_CMAKE = Lines(
    stay=re.compile(
        r"\b(?:add_test|enable_testing|include\s*\(\s*CTest|\w*discover_tests|add_subdirectory\s*\(\s*\w*tests?)\b",
        re.IGNORECASE,
    ),
    steer=re.compile(
        r"\b(?:WILL_FAIL|DISABLED|\w+_REGULAR_EXPRESSION|SKIP_\w+|CTEST_\w+|set_tests?_propert\w+)\b", re.IGNORECASE
    ),
    comment=_HASH,
)
_MESON = Lines(
    stay=re.compile(r"\b(?:test|benchmark)\s*\("),
    steer=re.compile(r"\b(?:should_fail|add_test_setup|exclude_suites)\b"),
    comment=_HASH,
)
_MIX = Lines(
    stay=_NEVER,
    steer=re.compile(
        r"\btest_(?:paths|pattern|coverage|elixirc_options|load_filters|ignore_filters|helper)\b|\bwarn_test_pattern\b"
        r"|^\s*[\"']?test(?:\.\w+)?[\"']?\s*(?::|=>)|\baliases\b|elixirc_paths\(:test"
    ),
    comment=_HASH,
)
_DOTNET = Lines(
    stay=_NEVER,
    steer=re.compile(
        r"IsTestProject|VSTest\w*|RunSettings\w*|TestingPlatform\w*|EnableMSTestRunner|UseMicrosoftTestingPlatform\w*"
        r"|TestAdapter|(?:Before|After)Targets|<Exec\b|<Target\b|<Import\b"
    ),
    comment=_XML,
)
_YARN = Lines(
    stay=_NEVER,
    steer=re.compile(
        r"^\s*[\"']?(?:yarnPath|yarn-path|plugins|path|injectEnvironmentFiles|script-?[sS]hell|ignorePath)\b"
    ),
    comment=_HASH,
)
_POM = re.compile(
    r"<(skip\w*|maven\.test[\w.]*|testFailureIgnore|\w+\.testFailureIgnore|test(?:Source|Output|Class\w*)Directory|failIfNo\w*"
    r"|surefire[\w.]*|failsafe[\w.]*|jvm|argLine)>[^<]*</\1>"
)
_POM_RUNS = re.compile(
    r"surefire|failsafe|<skip|antrun|exec-maven|build-helper|groovy-maven|<goal>(?:test|verify|exec|run)<"
)
_GRADLE_SAYS = re.compile(
    r"\b(?:useJUnit\w*|useTestNG|ignoreFailures|testLogging|onlyIf|testClassesDirs|includeTestsMatching|excludeTestsMatching"
    r"|failOnNoMatchingTests|failOnNoDiscoveredTests|isFailOnNoMatchingTests|isIgnoreFailures|excludeTags|includeTags)\b"
    r"|\b(?:test|check|[a-z]\w*Test)\b\s*(?:\{|\.|\))|withType\s*[(<]\s*Test\b|\btasks?\.\w*[tT]est\b|sourceSets"
)
_KINDS: dict[str, Lines] = {
    "CMakeLists.txt": _CMAKE,
    "meson.build": _MESON,
    "mix.exs": _MIX,
    "Directory.Build.props": _DOTNET,
    "Directory.Build.targets": _DOTNET,
    ".yarnrc.yml": _YARN,
    ".yarnrc": _YARN,
}


def kind_of(path: str) -> Lines | None:
    """How the lines of this file are told apart; None for other files."""
    return _KINDS.get(PurePosixPath(path).name)


def lines_of(kind: Lines, text: str) -> dict[str, int]:
    """The deciding lines and how often each is there; those of which more may come begin with ``script ``."""
    found: Counter[str] = Counter()
    for line in kind.comment.sub("", text).splitlines():
        said = " ".join(line.split())
        if kind.steer.search(said):
            found[said] += 1
        elif kind.stay.search(said):
            found[f"script {said}"] += 1
    return dict(found)


def of_pom(text: str) -> dict[str, int]:
    """What in a `pom.xml` says how tests run: properties, and plugins that run something."""
    text = _XML.sub("", text)
    found = [match[0] for match in _POM.finditer(text)]
    for tag in ("plugin", "testResource"):
        blocks = (block.partition(f"</{tag}>")[0] for block in text.split(f"<{tag}>")[1:])
        found += [block for block in blocks if tag != "plugin" or _POM_RUNS.search(block)]
    return dict(Counter(" ".join(said.split()) for said in found))


def speaks_of_tests(text: str) -> list[str]:
    """The lines of a Gradle build that may say how tests run: it is a program, so that nobody can be sure."""
    lines = (" ".join(line.split()) for line in _SLASHES.sub("", text).splitlines())
    return [line for line in lines if _GRADLE_SAYS.search(line)]
