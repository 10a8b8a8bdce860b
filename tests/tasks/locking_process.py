"""A process that takes and gives back the lock on the file argv[1] as its standard input says: shared, alone, leave."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from tasks.machine_lock import MachineLock


def main(file: Path) -> None:
    held = ExitStack()
    for line in sys.stdin:
        order = line.strip()
        taken = False
        held.close()
        if order != "leave":
            lock = held.enter_context(MachineLock(file))
            taken = lock.take(order.encode(), alone=order == "alone")
        print(taken, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
