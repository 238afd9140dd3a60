"""A command that starts daemons and waits in the sandbox, for as long as a test holds it; else it ends at once.

Arguments: the folder of holds, and the gate's name, which daemons carry as their mark.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(holds: Path, name: str) -> None:
    hold = holds / name
    if not hold.exists():
        return
    import daemons  # type: ignore[import-not-found]  # lies beside it in the sandbox

    daemons.main(name)
    while hold.exists():
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
