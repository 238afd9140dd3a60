"""What a session teaches is kept once, whoever dies while it is kept."""

from __future__ import annotations

import pytest

from tests.chaos.moments import LEARN
from tests.chaos.yard import Yard, patiently
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


async def test_a_worker_that_dies_after_the_write_adds_nothing_twice(place: Yard) -> None:
    held = await place.start(LEARN, "learn")
    await place.reached(held)
    before = await patiently(lambda: place.sessions.knowledge.listing(across=True, limit=25))
    written = {hit.entry.id: hit.entry for hit in before.hits if hit.entry.source == held.name}
    assert {one.learning.kind for one in written.values()} >= {"approach", "memory"}
    [dead] = place.kill("worker")
    place.release(held)
    await place.healthy(but=dead)
    story = await place.end(held)
    assert story.known.status is Status.COMPLETED, story.known.reason
    assert [(step.attempt, step.outcome) for step in story.steps if step.activity == "learn"] == [(2, "completed")]
    assert f"{len(written)} learnings of this session kept" in story.known.knowledge_note
    after = await patiently(lambda: place.sessions.knowledge.listing(across=True, limit=25))
    assert {hit.entry.id for hit in after.hits if hit.entry.source == held.name} == set(written)
    assert all((hit.entry.worked, hit.entry.failed) == (0, 0) for hit in after.hits), "nor is it counted twice"
    learned = await patiently(lambda: place.sessions.knowledge.learn(held.name))
    assert set(learned.saved_ids) == set(written), "and asked for once more, it is the same"
