"""``python -m tests.activities.knowledge.writer HOME URL NAME COUNT``: a process that learns, as fast as it can.

It says ``ready``, waits for a line, and then prints the id of each learning once it is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.activities.knowledge.making import Place, approach, learn


def main(home: str, url: str, name: str, count: int) -> None:
    store = Place(Path(home), url or None).open()
    say("ready")
    sys.stdin.readline()
    for number in range(count):
        both = learn(store, approach(f"{name} lesson {number}"), approach("what all of them learn"), session=name)
        say(both.saved[0])


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
