"""How tasks of a kind are done as a rule: short, and true of any project. Overnight's own words."""

from __future__ import annotations

from workflows.policy.task_type import TaskType

TEMPLATES: dict[TaskType, str] = {
    "bug_fix": """\
1. Reproduce the failure with a test that fails for this very reason.
2. Find the cause, not the place where it shows: read from the failing line backwards.
3. Make the smallest change that removes the cause; look for the same mistake elsewhere.
4. Run the new test, then all tests.
Watch out: a test that never failed proves nothing; catching the exception hides the cause.""",
    "dependency_upgrade": """\
1. Run all tests first: what fails now is not the upgrade's fault.
2. Read the release notes between both versions for what was removed or renamed.
3. Upgrade one dependency at a time, with its lock file; run the tests after each.
4. Replace what is deprecated; no pin that only silences the resolver.
Watch out: several major versions at once hide which one broke what.""",
    "docs": """\
1. Find out who reads it, and what they want to do first.
2. Run every command and example that is shown.
3. Compare names, options and defaults with the code.
4. Check that links and references lead somewhere.
Watch out: text that repeats the code grows wrong; say why and when instead.""",
    "feature": """\
1. Find the nearest feature that is there, and follow its structure, names and tests.
2. Write down what it does at its edges: empty, too much, refused, twice.
3. Build the thinnest part that works from end to end, with a test; then widen it.
4. Update help texts and documentation in the same change.
Watch out: changing what others rely on; new settings where a default would do.""",
    "migration": """\
1. List every place that uses the old; that list is the progress.
2. Keep old and new side by side until the new passes the same tests.
3. Move in steps that each leave everything working.
4. Remove the old, and check that nothing names it any more.
Watch out: data that only the old accepts; behaviour that nobody wrote down.""",
    "new_project": """\
1. Begin with the smallest program that runs, its test command, and a README.
2. Get one path from input to output working, with a test, before anything else.
3. Add the rest in slices, each tested; handle bad input as you go.
4. Run it as a newcomer would, from a fresh checkout.
Watch out: frameworks and layers that the goal does not ask for.""",
    "performance": """\
1. Measure first, with a benchmark that can be repeated; note the number.
2. Profile: change what takes the time, not what looks slow.
3. One change at a time, measured again; keep only what helps.
4. Keep a test or benchmark that fails when it becomes slow again.
Watch out: caches that give old answers; measuring an empty database.""",
    "refactor": """\
1. Have tests that hold the behaviour first; write them where there are none.
2. Move in small steps, with all tests after each.
3. Change structure or behaviour, never both in one step.
4. Remove what is left over: names, comments, dead code.
Watch out: names that others import; changes that only look better.""",
    "security": """\
1. Write a test that shows the attack succeeding.
2. Close it where data crosses a boundary, by a safe interface rather than a filter.
3. Look for the same pattern everywhere else.
4. Check that the legitimate use still works.
Watch out: error messages and logs that tell secrets; block lists.""",
    "tests": """\
1. Look how tests are written here: runner, fixtures, names.
2. Test what callers can see, first the edges and failures that no test has.
3. See each test fail once, by breaking what it guards.
4. Wait on conditions, never on time; leave nothing behind.
Watch out: tests that repeat the code, and mocks of the thing under test.""",
    "tooling": """\
1. Run by hand, locally, what is to be automated, and note each command.
2. Pin versions; make it give the same result on a clean machine.
3. Let it fail loudly: show that it does, once, on purpose.
4. Tell in the README how to run it and what it needs.
Watch out: secrets in files or logs; steps that pass when a command in a pipe fails.""",
    "other": """\
1. Say in one sentence what will be different when it is done, and how that is checked.
2. Look for how the project does such things already.
3. Work in small steps that each leave everything working, and check each.
Watch out: doing more than was asked.""",
}
