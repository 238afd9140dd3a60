"""The one way to call Claude Code: options, conversation, outcome, gateway."""

from activities.claude.call import Told
from activities.claude.gateway import Gateway, Lease
from activities.claude.ledger import Ledger, read_ledger
from activities.claude.options import Ask
from activities.claude.runner import Runner, claude_binary
from activities.claude.transcript import Transcript

__all__ = ["Ask", "Gateway", "Lease", "Ledger", "Runner", "Told", "Transcript", "claude_binary", "read_ledger"]
