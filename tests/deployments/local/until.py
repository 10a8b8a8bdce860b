"""Waiting for what another process does, which nothing announces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_AT_MOST_S = 120.0


def eventually(look: Callable[[], T | None]) -> T:
    """The first answer of `look` that is neither None nor false."""
    deadline = time.monotonic() + _AT_MOST_S
    while not (found := look()):
        assert time.monotonic() < deadline, "It did not come to that"
        time.sleep(0.05)
    return found
