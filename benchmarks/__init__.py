"""Measurements; each is a command that prints figures and ratios. No test depends on them."""
