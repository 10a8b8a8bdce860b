"""A command does not search for garbage while it loads modules, nor as it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNTED = """
import atexit, gc
searches = []
gc.callbacks.append(lambda phase, about: searches.append(phase))
atexit.register(lambda: print(len(searches), gc.get_freeze_count()))
{lived}
much = [[] for _ in range(20_000)]
"""


def _searches(lived: str) -> tuple[int, int]:
    """How often a process looked for garbage, and how many objects it will not look through as it ends."""
    command = [sys.executable, "-c", _COUNTED.format(lived=lived)]
    searches, frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(searches), int(frozen)


def test_a_short_lived_process_looks_for_garbage_neither_as_it_loads_nor_as_it_ends() -> None:
    usual, nothing_frozen = _searches("")
    seldom, frozen = _searches("from recollect.short_life import live_shortly; live_shortly()")
    assert seldom < usual / 10
    assert frozen > 20_000 > nothing_frozen


@pytest.mark.skipif(sys.platform != "linux", reason="where a system lists the threads of a process")
def test_a_short_lived_process_loads_numpy_without_threads_of_its_own() -> None:
    counted = (
        "from recollect.short_life import live_shortly; live_shortly();"
        "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    )
    shown = subprocess.run([sys.executable, "-c", counted], capture_output=True, text=True, check=True).stdout
    assert shown == "1\n"
