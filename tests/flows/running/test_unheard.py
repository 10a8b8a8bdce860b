"""A run goes on when nobody reads what it prints."""

from __future__ import annotations

import subprocess
import sys

LOGS_TO_NOBODY = """
import logging, sys
from prefect import flow
from flows.running.unheard import go_on_unheard
go_on_unheard()
sys.stdin.readline()
for name in ("prefect", "prefect.flow_runs", "prefect.task_runs"):
    for _ in range(2):
        logging.getLogger(name).info("nobody reads this")
print("went on", flush=True)
"""


def test_a_process_whose_log_nobody_reads_any_more_goes_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOGS_TO_NOBODY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.close()
        process.stderr = None
        out, _ = process.communicate("\n", timeout=60)
    assert out == "went on\n"
