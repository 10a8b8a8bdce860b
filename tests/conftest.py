"""What holds for every test, wherever the tests were started."""

from __future__ import annotations

import os
import signal

import pytest


def pytest_configure() -> None:
    """Let Ctrl-C be in force. A shell lets whatever it runs in the background ignore it, and all that this starts in
    its turn: commands that the tests interrupt would then never end, nor would Prefect's worker, which ends itself so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as processors: a test that waits for a server leaves its own idle."""
    return (os.cpu_count() or 1) * 3 // 2
