"""DECIDE: pure and deterministic. Imports nothing of ours but itself."""
