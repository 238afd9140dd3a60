"""What is found does not depend on the database behind it."""

from __future__ import annotations

import numpy as np
import pytest

from activities.knowledge import Knowledge, Store
from activities.knowledge.embedding import MODEL_ID
from overnight.base.redaction import Redactor
from tests.activities.knowledge.learned import OURS, approach, model
from tests.activities.knowledge.making import Place
from workflows.contracts.knowledge import Learning, LearnRequest, RecallRequest
from workflows.policy.fingerprint import fingerprint

GOALS = ["Let users export their invoices as PDF", "Write a snake game for the terminal", "Translate the manual"]
ERROR = "ModuleNotFoundError: No module named 'yaml'"


@pytest.fixture
def knowledge(place: Place) -> Knowledge:
    made = Knowledge.of(place.settings(), Redactor())
    mended = Learning(
        kind="error_solution", title=ERROR, cue=ERROR, advice="Install it.", fingerprint=fingerprint(ERROR)
    )
    for night in range(40):
        learnings = [approach(goal, f"As in night {night}", seconds=60) for goal in GOALS]
        request = LearnRequest(session_id=f"night-{night}", project=OURS, learnings=[*learnings, mended])
        assert not made.learn(request).problem
    return made


def test_a_goal_that_many_sessions_had_is_recalled(knowledge: Knowledge) -> None:
    try:
        asked = RecallRequest(session_id="tonight-1", project=OURS, query="Users want to export invoices as PDF files")
        found = knowledge.recall(asked)
        assert found.search == "semantic"
        assert [one.title for one in found.recalled] == [GOALS[0]] * 5
        assert all(one.level == "advice" for one in found.recalled)
        assert found.estimated_seconds == 60
        assert knowledge.recall(asked.model_copy(update={"query": "Model the tides of a harbour"})).recalled == []
        (solution, *_) = knowledge.get_error_solution(ERROR, OURS).solutions
        assert (solution.match, solution.applies) == ("exact", True)
        assert knowledge.suggest_approach(GOALS[0], OURS).confidence > 0.8
    finally:
        knowledge.close()


def test_the_store_gives_back_the_vectors_that_it_has(store: Store) -> None:
    request = LearnRequest(session_id="night-1", project=OURS, learnings=[approach(goal) for goal in GOALS])
    saved = store.learn(request).saved
    store.embed(model(), 10, saved[:2])
    found = store.vectors([*saved, "0" * 64], MODEL_ID)
    assert set(found) == set(saved[:2])
    for id_, vector in zip(saved[:2], model().embed(GOALS[:2]), strict=True):
        assert found[id_].dtype == np.float32
        assert float(found[id_] @ vector) == pytest.approx(1, abs=1e-3)
    assert store.vectors(saved, "another:model") == {}
    assert store.vectors([], MODEL_ID) == {}
