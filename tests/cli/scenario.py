"""What the scripted model plays for the sessions of these tests: the beginning of a session's id chooses."""

from __future__ import annotations

from overnight.demo import demo
from overnight.demo.reply import Hang, Reply
from overnight.demo.script import Request, Scenario


def execute(request: Request) -> Reply:
    """``slow-``: a turn that lasts until somebody ends it; all others play the demo."""
    return Hang() if request.session.startswith("slow-") else demo.execute(request)


SCENARIO = Scenario(
    {
        "plan": demo.plan,
        "execute": execute,
        "diagnose": demo.diagnose,
        "judge": demo.judge,
        "reflect": demo.reflect,
    }
)
