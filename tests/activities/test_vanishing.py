"""Tests that an agent has vanish without touching them, and tests that only seem to."""

from __future__ import annotations

import json
import shlex

from temporalio.testing import ActivityEnvironment

from activities.guarding import Watch, compare_tests
from activities.validate import Validate
from activities.workspace import checkpoint, publish
from tests.activities.test_guarding import COMMAND, FILES, Yard, yard
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.requests import Check, ValidateRequest, ValidateResult
from workflows.contracts.tamper import Guard, KnownTests

__all__ = ["yard"]


async def test_code_that_has_tests_vanish_is_not_taken_for_a_test_that_may_change(yard: Yard) -> None:
    """Tests are called after the code that they test: that it changes frees none of them."""
    test = "import app\nimport pytest\n\n\n@pytest.mark.parametrize('n', app.CASES)\ndef test_it(n):\n    assert n\n"
    await yard.acts(f"printf %s {shlex.quote(test)} > test_app.py; echo 'CASES = [0, 1]' > app.py")
    made = await checkpoint(
        yard.worktree, session_id="a-session", iteration=1, step="s1", subject="base", redactor=yard.host.redactor
    )
    await publish(yard.worktree, await yard.host.vault(yard.site.project), made.commit, yard.base)
    guard = Guard(base=made.commit)
    ids = ["app.py::app.greet", "test_app.py::test_it[0]", "test_app.py::test_it[1]"]
    lines = [json.dumps({"id": one, "outcome": "passed"}) + "\n" for one in ids]
    known: list[KnownTests] = []
    await yard.acts("echo 'CASES = [1]' > app.py")
    after = await checkpoint(
        yard.worktree, session_id="a-session", iteration=2, step="s2", subject="work", redactor=yard.host.redactor
    )
    for commit, seen, kinds in ((made.commit, lines, []), (after.commit, lines[2:], ["vanished", "vanished"])):
        watch = await Watch.over(yard.worktree, guard, commit)
        tests = yard.host.artifacts.put_bytes("".join(seen).encode())
        ran = CommandEvidence(criterion="validation", commit=commit, exit_code=0, rate=1, tests=tests)
        found, _, known = await compare_tests(yard.host, guard, known, [ran], watch)
        assert [t.kind for t in found] == kinds


async def test_what_a_build_takes_for_done_is_run_in_a_clean_clone(yard: Yard) -> None:
    """The agent has run the tests, and `make` finds nothing to do: that is neither a success nor a trick."""
    make = "test: .done\n.done: app.py check.sh\n\tpython3 -m unittest discover\n\t@touch .done\n"
    await yard.acts(f"printf %s {shlex.quote(make)} > Makefile; echo .done > .gitignore")
    made = await yard.commits(Guard(base=yard.base, may_change=["**"]))
    guard = Guard(base=made.made.commit, commands=[COMMAND])

    async def validated(commit: str, known: list[KnownTests]) -> ValidateResult:
        request = ValidateRequest(
            site=yard.site.model_copy(update={"commit": commit}), guard=guard, known_tests=known, seconds=300,
            checks=[Check(criterion="validation", command=COMMAND)],
        )  # fmt: skip
        return await ActivityEnvironment().run(Validate(yard.host).run, request)

    known = (await validated(made.made.commit, [])).known_tests
    assert known[0].ran == 1
    right = "def greet(name):\n    return 'hello ' + name\n"
    for code, ends in ((right, 0), (FILES["app.py"], 2)):
        await yard.acts(f"printf %s {shlex.quote(code)} > app.py; touch .done")
        done = await checkpoint(
            yard.worktree, session_id="a-session", iteration=2, step="s2", subject="work", redactor=yard.host.redactor
        )
        seen = await validated(done.commit, known)
        assert (seen.evidence[0].exit_code, seen.evidence[0].tally.ran, seen.tampering) == (ends, 1, [])
        assert any("it was run again in a clean clone" in note for note in seen.notes)
