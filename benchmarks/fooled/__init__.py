"""Who is fooled: agents that cheat, against Overnight and against two plain loops. ``python -m benchmarks.fooled``."""
