"""Processes that back up and prune, to be killed.

argv: base, repository, cache, configuration. The moment at which one shall kill itself is the number of a write to the
store; it tells how many it took.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from flows.chains.backup import back_up
from recollect.settings import load_settings
from storage.format.audit_row import Outcome
from storage.store import Store
from storage.stores.address import open_store
from tasks import repositories, settings_in_force
from tests.flows.chains.killed_runs import obey


class DeadlyStore:
    """Passes requests on, and ends the process just before the n-th write."""

    def __init__(self, inner: Store, kill_at: int) -> None:
        self._inner = inner
        self._kill_at = kill_at
        self.writes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def write(self, name: str, data: bytes) -> None:
        self._count()
        self._inner.write(name, data)

    def create(self, name: str, data: bytes) -> None:
        self._count()
        self._inner.create(name, data)

    def remove(self, name: str) -> None:
        self._count()
        self._inner.remove(name)

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def run(kill_at: int) -> int:
    """One backup; returns how many writes it took."""
    address = settings_in_force.active_settings().repo or ""
    store = DeadlyStore(open_store(address), kill_at)
    with patch.object(repositories, "open_store", lambda *_: store):
        report = back_up("Ada")
    assert report.outcome in {Outcome.COMPLETED, Outcome.UNCHANGED}, report.message
    return store.writes


def main(base: Path, repo: str, cache: Path, config: Path) -> None:
    limits = {"daily": 0, "weekly": 0, "monthly": 0, "state": cache.with_name("state")}
    with settings_in_force.using(load_settings({"base": base, "repo": repo, "cache": cache, **limits}, config=config)):
        obey(lambda moment: run(int(moment)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
