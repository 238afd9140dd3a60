"""``python -m overnight.cli``: the same as ``overnight``."""

from __future__ import annotations

from overnight._launch import cli

if __name__ == "__main__":
    cli()
