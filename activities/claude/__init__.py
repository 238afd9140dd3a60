"""The one way to call Claude Code: options, conversation, outcome, gateway."""

from activities.claude.call import Told
from activities.claude.gateway import Gateway, Lease
from activities.claude.options import Ask
from activities.claude.runner import Runner, claude_binary

__all__ = ["Ask", "Gateway", "Lease", "Runner", "Told", "claude_binary"]
