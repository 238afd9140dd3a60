"""Running checks and reading what they say."""

from activities.validation import held_out, tests_seen
from activities.validation.counting import Counted, listed
from activities.validation.freeing import freed
from activities.validation.guard import Rules
from activities.validation.neutral import Neutral
from activities.validation.observe import Observed, observe
from activities.validation.setup_mark import SetupMark
from activities.validation.steps import Steps, steps_of

__all__ = [
    "Counted",
    "Neutral",
    "Observed",
    "Rules",
    "SetupMark",
    "Steps",
    "freed",
    "held_out",
    "listed",
    "observe",
    "steps_of",
    "tests_seen",
]
