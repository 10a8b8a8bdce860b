"""Starts one program and writes what it cost: `python -I -S launcher.py REPORT PROGRAM ARGUMENT…`.

Linux counts for a process the memory that its parent held when it was started (`exec_mmap` in fs/exec.c keeps the high
mark), so a large program can't measure a small one. This one is small, and imports nothing that it can do without.
"""

import json
import os
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Run the command, and return its exit code; -signal when one ended it."""
    began = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    wall = time.monotonic() - began
    # getrusage(2): kilobytes, but bytes on macOS. The times include children that the program has waited for.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - see above
        json.dump({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": peak}, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]) & 0xFF)
