"""Large buffers go back to the system, where the C library would keep them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_FILLS_AND_FREES = """
from recollect.memory import give_large_buffers_back

give_large_buffers_back()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

# The first one that is freed makes the library keep the others.
bytes(bytearray(30 << 20))
held = [bytearray(b"x") * (8 << 20) for _ in range(8)]
small = []
while held:
    held.pop()
    small.append(bytes(5000))
print(resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems give memory back by themselves")
def test_large_buffers_leave_nothing_behind() -> None:
    ran = subprocess.run([sys.executable, "-c", _FILLS_AND_FREES], capture_output=True, check=True)
    # Without it 76 MB stay: the hole in which the eight lay.
    assert int(ran.stdout) < 30 << 20
