"""Running checks and reading what they say."""

from activities.validation.observe import Observed, observe
from activities.validation.setup_mark import SetupMark

__all__ = ["Observed", "SetupMark", "observe"]
