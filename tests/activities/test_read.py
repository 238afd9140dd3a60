"""What workers tell of a session's branch."""

from __future__ import annotations

from temporalio.testing import ActivityEnvironment

from activities.read import Read
from activities.workspace import branch_ref
from activities.workspace.git import git
from tests.activities.test_execute import Bench, bench
from workflows.contracts.reads import BranchQuestion

__all__ = ["bench"]

LISTED = 100


async def test_a_new_project_begins_where_it_began_however_long_its_branch(bench: Bench) -> None:
    site = bench.request.site
    base = site.commit
    assert base is not None
    vault = await bench.host.vault(site.project)
    tree, head = (await git("rev-parse", f"{base}^{{tree}}", git_dir=vault.git_dir)).text, base
    for number in range(LISTED + 1):
        made = await git("commit-tree", tree, "-p", head, "-m", f"step {number}", git_dir=vault.git_dir)
        head = made.text
    await git("update-ref", branch_ref(site.session_id), head, git_dir=vault.git_dir)
    question = BranchQuestion(site=site.model_copy(update={"commit": None}))
    told = await ActivityEnvironment().run(Read(bench.host).branch, question)
    assert (told.base, told.commits[0].commit, len(told.commits)) == (base, head, LISTED)
    assert base not in [line.commit for line in told.commits]
