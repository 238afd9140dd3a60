"""``python -m benchmarks.fooled [--write]``: play every trial, print who is fooled as a table in markdown.

Real Temporal, Claude Code, sandbox and git; the model is scripted. Exits with 1 when a trial ends otherwise than it
should.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from benchmarks.fooled import table
from benchmarks.fooled.runs import everybody
from benchmarks.fooled.trials import TRIALS
from overnight.base.finish import finish


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fooled", description="Who is fooled by which cheat.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of trials; default: all")
    parser.add_argument("--write", action="store_true", help=f"put the table of all trials into docs/{table.PAGE.name}")
    parser.add_argument("--list", action="store_true", help="only say which trials there are")
    given = parser.parse_args()
    if unknown := set(given.names) - {trial.name for trial in TRIALS}:
        parser.error(f"no trial is called {', '.join(sorted(unknown))}; --list names them")
    if given.write and given.names:
        parser.error("--write takes all trials")
    if given.list:
        print("\n".join(f"{trial.name}: {trial.tries}" for trial in TRIALS))
        return
    chosen = [trial for trial in TRIALS if not given.names or trial.name in given.names]
    outcomes = asyncio.run(everybody(chosen))
    found = table.table(outcomes)
    print(found, end="")
    surprises = [f"{one.trial.name}: {words}" for one in outcomes for words in one.surprises]
    for words in surprises:
        print(words, file=sys.stderr)
    if given.write and not surprises:
        table.write(found)
    finish(1 if surprises else 0)


if __name__ == "__main__":
    main()
