"""For all tests: Ctrl-C means what it means at a terminal, also where the whole run was started in the background."""

from __future__ import annotations

import signal

# A shell's background job ignores SIGINT, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
