"""The worker that runs this computer's flows, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

from deployments.local.home import Home
from deployments.local.processes import Child, start
from deployments.work_pools import DEFAULT_QUEUE, WORK_POOL, queue_of

WORKER = "worker"
RUNS_AT_ONCE = 4
"""Each run is a process of some 90 MB, and after a night's sleep those of all profiles are late at once."""


def start_worker(home: Home, host: str, environment: Mapping[str, str]) -> Child:
    """Start a worker for the profiles that live on this computer, and for what belongs to none.

    The work pool is there already: where the worker made it, Prefect would ask another server what it should look like.
    """
    arguments = [
        *("--name", queue_of(host)),
        *("--pool", WORK_POOL, "--type", "process", "--no-create-pool-if-not-found", "--install-policy", "never"),
        *("--work-queue", queue_of(host), "--work-queue", DEFAULT_QUEUE, "--limit", str(RUNS_AT_ONCE)),
    ]
    return start(WORKER, ["prefect", "worker", "start", *arguments], home, environment)
