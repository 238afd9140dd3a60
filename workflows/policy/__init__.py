"""Decisions as small pure functions of state: no Temporal, no I/O, no clock but the one passed in."""
