"""Running checks and reading what they say."""

from activities.validation.observe import Observed, observe

__all__ = ["Observed", "observe"]
