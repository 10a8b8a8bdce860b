"""A repository on a store whose clock a test moves, and all that is done to it from one computer."""

from __future__ import annotations

import itertools

from storage.format.keyring import Keyring, with_new_generation
from storage.format.sealing import AesSeal
from storage.opening import create_repository, open_repository
from storage.repository import Repository, SnapshotRef
from storage.sweeping.garbage import Rules
from storage.sweeping.plan import SweepPlan, Swept
from storage.sweeping.sweeper import Sweeper
from tests.faults.clocked_store import ClockedStore, FakeClock
from tests.faults.faulty_store import FaultyStore
from tests.storage.small_backup import Source, back_up


class Place:
    """A repository, sealed under a keyring or open."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self.clock = FakeClock()
        self.inner = ClockedStore(self.clock)
        self.store = FaultyStore(self.inner)
        self.first = create_repository(self.store)
        self.rules = Rules()
        self._keyring = keyring
        self._runs = itertools.count()

    def opened(self) -> Repository:
        found = open_repository(self.store)
        if self._keyring is None:
            return found
        return Repository(self.store, found.configuration, AesSeal(bytes.fromhex(found.id), self._keyring), None)

    def rotate(self) -> None:
        """A new key, for all who open the repository from now on."""
        assert self._keyring is not None
        self._keyring = with_new_generation(self._keyring)

    def back_up(self, source: Source) -> SnapshotRef:
        return back_up(self.opened(), source, run=next(self._runs))

    def sweeper(self, *, accept: bool = False, accept_missing: bool = False) -> Sweeper:
        return Sweeper(self.opened(), accept=accept, accept_missing=accept_missing, clock=self.clock, rules=self.rules)

    def plan(self) -> SweepPlan:
        return self.sweeper().plan()

    def sweep(self, *, accept: bool = False, accept_missing: bool = False) -> Swept:
        sweeper = self.sweeper(accept=accept, accept_missing=accept_missing)
        return sweeper.carry_out(sweeper.plan())

    def forget(self, ref: SnapshotRef) -> None:
        self.opened().move_to_trash(ref)

    def packs(self) -> set[str]:
        return {item.name for item in self.inner.list("packs")}

    def names(self, folder: str) -> list[str]:
        return [item.name for item in self.inner.list(folder)]

    def days(self, number: float) -> None:
        self.clock.pass_by(days=number)
