"""A module that runs until it is told to end, and says how that went."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from types import FrameType


def _say_and_end(number: int, _frame: FrameType | None) -> None:
    print(*sys.argv[1:], signal.Signals(number).name, flush=True)
    raise SystemExit(0)


def main() -> None:
    print("interruptible" if signal.getsignal(signal.SIGINT) is signal.default_int_handler else "deaf", flush=True)
    if "stubborn" not in sys.argv:
        signal.signal(signal.SIGTERM, _say_and_end)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "with another" in sys.argv:
        another = subprocess.Popen([sys.executable, __file__, "another"], stdout=subprocess.PIPE, text=True)
        assert another.stdout is not None
        while "ready" not in (line := another.stdout.readline()):
            print(line, end="", flush=True)
        threading.Thread(target=lambda: print(another.communicate()[0], end="", flush=True)).start()
    print(*sys.argv[1:], "ready", flush=True)
    while True:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
