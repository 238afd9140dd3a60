"""execute is never blindly repeated: what a second attempt does with what the first one left."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import execute
from activities.asking import leases_for
from activities.attempt import Attempt
from activities.claude import Gateway, Lease
from activities.execute import Execute
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.workspace import branch_ref, session_tip
from overnight.base.credentials import Credential
from overnight.base.settings import Settings
from overnight.demo.reply import HttpError, Reply, Say, Text
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from tests.activities.claude.conftest import Stage
from tests.demo.prices import PRICES
from tests.sessions.conftest import git
from tests.sessions.plays import HALF_DONE, RIGHT, TEST, write
from workflows.calls import VAULT_AWAY
from workflows.contracts.outcome import Account, Outcome, Usage
from workflows.contracts.requests import Allowance, Beat, Brief, ExecuteRequest, ExecuteResult, Phase, Site
from workflows.contracts.spec import Project


@dataclasses.dataclass
class Bench:
    host: Host
    model: ScriptedModel
    stage: Stage
    request: ExecuteRequest

    def attempt(self, number: int = 1, usage: Usage | None = None) -> ActivityEnvironment:
        env = ActivityEnvironment()
        beats = [Beat(usage=usage).model_dump(mode="json")] if usage else []
        env.info = dataclasses.replace(env.info, attempt=number, heartbeat_details=beats)
        return env

    async def run(self, env: ActivityEnvironment) -> ExecuteResult:
        return await env.run(Execute(self.host).run, self.request)

    async def lost(self) -> ActivityEnvironment:
        """A first attempt that was cut off in the agent's long command, for a later one has taken its place."""
        first = self.attempt(1)
        running = asyncio.create_task(self.run(first))
        await self.busy()
        first.cancel(cancellation_details=ActivityCancellationDetails(timed_out=True))
        with pytest.raises(ApplicationError, match="a later attempt"):
            await running
        return first

    async def busy(self) -> None:
        """Until the agent's long command runs, and the transcript says so: who goes on does not begin with it again."""
        while not any("time.sleep(600)" in one.read_text(errors="replace") for one in self.transcripts()):
            await asyncio.sleep(0.05)

    def transcripts(self) -> list[Path]:
        """Claude Code's own, of every conversation."""
        claude = self.host.folder(self.request.site.session_id) / "claude"
        # Claude Code makes and removes folders beside them all the while.
        return list((claude / "projects").glob("*/*.jsonl"))

    def billed(self) -> float:
        """USD that the service told of."""
        asked = [x for x in self.model.exchanges if isinstance(x.reply, Say)]
        return sum(x.usage.cost_usd(PRICES[x.request.model]) for x in asked)

    async def tip(self) -> str | None:
        return await session_tip(await self.host.vault(self.request.site.project), self.request.site.session_id)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    settings = Settings(home=tmp_path)
    stage = Stage()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(stage))
        credential = Credential(kind="api_key", secret=SecretStr("s"), source="test", upstream=model.url)
        gateway = await stack.enter_async_context(Gateway(lambda: credential).running())
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        site = Site(session_id="a-session", project=Project(key="a-project"), iteration=1)
        base = await host.base(site)
        request = ExecuteRequest(
            site=site.model_copy(update={"commit": base}),
            allowance=Allowance(model="claude-opus-5-5", cost_usd=1, seconds=300, max_turns=20),
            step="s1",
            subject="write the greeter",
            brief=Brief(goal="greet", task="write the greeter"),
        )
        yield Bench(host, model, stage, request)


async def test_a_lost_attempt_publishes_nothing_and_the_next_one_goes_on(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    base = await bench.tip()
    first = bench.attempt(1)
    running = asyncio.create_task(bench.run(first))
    await bench.busy()
    second = asyncio.create_task(bench.run(bench.attempt(2, Usage(calls=1, responses=2, cost_usd=0.25))))
    first.cancel(cancellation_details=ActivityCancellationDetails(timed_out=True))
    with pytest.raises(ApplicationError, match="a later attempt"):
        await running
    assert await bench.tip() == base, "the lost attempt published"
    result = await second
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert await bench.tip() == result.checkpoint.commit
    assert result.usage.cost_usd == pytest.approx(bench.billed()), (
        "what the first attempt used is lost, or counted twice"
    )
    resumed = [r for r in bench.model.requests if "You were interrupted" in r.prompt]
    assert resumed[0].turn >= 2, "the second attempt did not go on with the conversation"
    files = {p.name for p in (bench.host.folder("a-session") / "tree").iterdir()}
    assert files >= {"greet.py", "test_greet.py"}


@pytest.mark.parametrize("broken", ["dead" * 10 + "\n", ""])
async def test_work_goes_on_after_a_power_cut_that_broke_the_claim_and_the_shadow(bench: Bench, broken: str) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    await bench.lost()
    vault = await bench.host.vault(bench.request.site.project)
    (vault.git_dir / "refs" / "overnight" / "a-session" / "work").write_text(broken)
    for loose in bench.host.folder("a-session").glob("shadow.git/objects/??/*"):
        loose.chmod(0o600)
        loose.write_bytes(b"")
    result = await bench.run(bench.attempt(2))
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert await bench.tip() == result.checkpoint.commit
    resumed = [r for r in bench.model.requests if "You were interrupted" in r.prompt]
    assert resumed[0].turn >= 2, "the second attempt did not go on with the conversation"
    files = {p.name for p in (bench.host.folder("a-session") / "tree").iterdir()}
    assert files >= {"greet.py", "test_greet.py"}


async def test_a_call_that_was_given_up_is_settled_by_the_host_that_has_its_account(bench: Bench) -> None:
    """The host was away for too long: the session began anew, and had charged what Temporal had heard of."""
    bench.stage.play = Scenario({"execute": HALF_DONE})
    first = await bench.lost()
    used = bench.billed()
    heard = Account(run=str(first.info.workflow_run_id), activity=first.info.activity_id, attempt=1)
    elsewhere = heard.model_copy(update={"run": "another-run"})
    later = heard.model_copy(update={"attempt": 2})  # which another host's attempt beat for
    site = bench.request.site.model_copy(update={"unsettled": [elsewhere, heard, later]})
    bench.request = bench.request.model_copy(update={"site": site})
    again = bench.attempt(1)
    again.info = dataclasses.replace(again.info, activity_id="the-next")
    result = await bench.run(again)
    assert result.outcome is Outcome.COMPLETED
    [settled] = result.settled
    assert (settled.run, settled.activity, settled.attempt) == (heard.run, heard.activity, 1)
    assert settled.usage.cost_usd - settled.usage.estimated_usd == pytest.approx(used)
    assert used > 0
    assert result.usage.cost_usd + used == pytest.approx(bench.billed()), "counted twice, or not at all"


async def test_the_time_that_earlier_attempts_worked_counts(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    env = bench.attempt(2)
    beat = Beat(seconds=1_000, attempt=1).model_dump(mode="json")
    env.info = dataclasses.replace(env.info, heartbeat_details=[beat])
    result = await bench.run(env)
    assert result.outcome is Outcome.COMPLETED
    assert 1_000 < result.seconds < 1_000 + bench.request.allowance.seconds


async def test_a_call_that_died_counts_once_at_every_moment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    seen: list[tuple[float, float]] = []

    def looking(site: Site, phase: Phase, attempt: Attempt, allowance: Allowance, count: int) -> list[Lease]:
        seen.append((attempt.spent().cost_usd, bench.billed()))
        return leases_for(site, phase, attempt, allowance, count)

    monkeypatch.setattr(execute, "leases_for", looking)
    running = asyncio.create_task(bench.run(bench.attempt()))
    await bench.busy()
    for process in psutil.Process().children(recursive=True):
        if process.name() == "claude":
            process.kill()
    result = await running
    assert result.outcome is Outcome.COMPLETED, result.detail
    assert len(seen) == 2, "its conversation did not go on"
    assert [spent for spent, _ in seen] == pytest.approx([billed for _, billed in seen])
    assert result.usage.cost_usd == pytest.approx(bench.billed())


async def test_a_lost_completion_is_adopted(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), write("test_greet.py", TEST), Text("Done.")]})
    first = await bench.run(bench.attempt(1))
    asked = len(bench.model.requests)
    again = await bench.run(bench.attempt(2))
    assert again.checkpoint == first.checkpoint
    assert len(bench.model.requests) == asked, "the model was asked again for what was done"


async def test_an_interrupted_checkpoint_is_adopted_as_interrupted(bench: Bench) -> None:
    """Its worker dies between publishing and answering: what was not finished must not pass for done."""
    bench.stage.play = Scenario({"execute": HALF_DONE})
    env = bench.attempt(1)
    running = asyncio.create_task(bench.run(env))
    await bench.busy()
    env.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    first = await running
    again = await bench.run(bench.attempt(2))
    assert (again.outcome, again.checkpoint) == (Outcome.INTERRUPTED, first.checkpoint)
    assert again.conversation == first.conversation is not None


async def test_an_overloaded_service_fails_fast_and_keeps_what_was_done(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), HttpError(status=529)]})
    with pytest.raises(ApplicationError) as raised:
        await bench.run(bench.attempt(1))
    assert raised.value.type == "ModelUnavailable"
    assert Beat.model_validate(raised.value.details[0]).usage.responses == 1
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    result = await bench.run(bench.attempt(2))
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert result.checkpoint.changed_files == 1


async def test_a_cancel_ends_in_a_checkpoint_of_what_was_done(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": HALF_DONE})
    env = bench.attempt(1)
    running = asyncio.create_task(bench.run(env))
    await bench.busy()
    env.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    result = await running
    assert result.outcome is Outcome.INTERRUPTED
    assert result.conversation is not None
    assert result.checkpoint is not None
    assert result.checkpoint.changed_files == 1
    assert await bench.tip() == result.checkpoint.commit


async def test_what_cannot_be_published_is_not_done_again(bench: Bench) -> None:
    """The vault takes it at the second try: the call has ended, and its work is there."""
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    vault = await bench.host.vault(bench.request.site.project)
    lock = vault.git_dir / f"{branch_ref('a-session')}.lock"
    lock.touch()
    with pytest.raises(ApplicationError) as raised:
        await bench.run(bench.attempt(1))
    billed = bench.billed()
    assert raised.value.type == "GitError"
    assert Beat.model_validate(raised.value.details[0]).usage.cost_usd == pytest.approx(billed) != 0
    lock.unlink()
    result = await bench.run(bench.attempt(2))
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert await bench.tip() == result.checkpoint.commit
    assert result.summary == "Done."
    assert result.usage.cost_usd == pytest.approx(billed) == pytest.approx(bench.billed())


async def test_a_folder_where_its_end_is_kept_stops_no_work(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    kept = bench.host.folder("a-session") / "ended.json"
    (kept / "x").mkdir(parents=True)
    result = await bench.run(bench.attempt(1))
    assert result.outcome is Outcome.COMPLETED
    assert not kept.exists()


async def test_a_branch_that_somebody_else_moved_is_for_a_person(bench: Bench) -> None:
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    vault, base = (await bench.host.vault(bench.request.site.project)).git_dir, await bench.tip()
    assert base is not None
    foreign = git(vault, "commit-tree", f"{base}^{{tree}}", "-p", base, "-m", "foreign").strip()
    git(vault, "update-ref", branch_ref("a-session"), foreign)
    result = await bench.run(bench.attempt(1))
    assert result.outcome is Outcome.WORKSPACE
    assert foreign in result.detail
    assert f"update-ref refs/heads/overnight/a-session {base}" in result.detail
    assert result.usage.cost_usd == pytest.approx(bench.billed()) != 0
    git(vault, "update-ref", branch_ref("a-session"), base)
    asked = len(bench.model.requests)
    again = await bench.run(bench.attempt(1))
    assert (again.outcome, again.usage.cost_usd) == (Outcome.COMPLETED, 0)
    assert again.checkpoint is not None
    assert again.checkpoint.changed_files == 1
    assert len(bench.model.requests) == asked


async def test_a_vault_that_is_away_for_a_while_costs_no_work(bench: Bench) -> None:
    """Nothing is made in its place, and what could not be published is when it is back."""
    vault = (await bench.host.vault(bench.request.site.project)).git_dir
    away = vault.parent.with_name("away")

    def works(request: Request) -> Reply:
        if not request.turn:
            return write("greet.py", RIGHT)
        if vault.parent.exists():
            vault.parent.rename(away)
        return Text("Done.")

    bench.stage.play = Scenario({"execute": works})
    with pytest.raises(ApplicationError):
        await bench.run(bench.attempt(1))
    with pytest.raises(ApplicationError, match=f"the vault {vault} is gone: was it moved") as raised:
        await bench.run(bench.attempt(2))
    assert raised.value.type == VAULT_AWAY
    assert not vault.exists()
    away.rename(vault.parent)
    await published_without_a_call(bench)


@pytest.mark.parametrize("lost", ["nothing", "how the call ended"])
async def test_work_is_published_that_an_older_vault_knows_nothing_of(bench: Bench, lost: str) -> None:
    """The vault is put back from a copy: the claim is not in it, the commit and the end of the call are here."""
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    vault = (await bench.host.vault(bench.request.site.project)).git_dir
    copy = shutil.copytree(vault, vault.with_name("copy"))
    git(vault, "update-ref", "-d", branch_ref("a-session"))
    result = await bench.run(bench.attempt(1))
    assert result.outcome is Outcome.WORKSPACE
    shutil.rmtree(vault)
    copy.rename(vault)
    folder = bench.host.folder("a-session")
    if lost == "nothing":
        await published_without_a_call(bench)
        return
    (folder / "ended.json").unlink()
    again = await bench.run(bench.attempt(1))
    assert again.checkpoint is not None
    assert again.checkpoint.changed_files == 1, "the workspace was emptied"


async def published_without_a_call(bench: Bench) -> None:
    """Another attempt asks no model, and its checkpoint has the work."""
    asked = len(bench.model.requests)
    result = await bench.run(bench.attempt(1))
    assert result.outcome is Outcome.COMPLETED
    assert result.checkpoint is not None
    assert result.checkpoint.changed_files == 1
    assert await bench.tip() == result.checkpoint.commit
    assert len(bench.model.requests) == asked


async def test_an_answer_that_temporal_never_got_is_charged(bench: Bench) -> None:
    """The server was away while the attempt ended: the next one hears an older beat, and that nothing is to be done."""
    bench.stage.play = Scenario({"execute": [write("greet.py", RIGHT), Text("Done.")]})
    first = await bench.run(bench.attempt(1))
    heard = Usage(calls=1, responses=1, cost_usd=0.001)
    again = await bench.run(bench.attempt(3, heard))
    assert again.usage.cost_usd == pytest.approx(first.usage.cost_usd) == pytest.approx(bench.billed())
