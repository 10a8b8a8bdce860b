"""A repository to tell a history in: time goes by when the test says so, and nobody acts but the test."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from storage.errors import StorageError
from storage.format.blob import PackId, pack_name
from storage.format.configuration import CONFIGURATION_NAME, Configuration, write_configuration
from storage.format.manifest import new_snapshot_id, profile_key, snapshot_name, write_manifest
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.opening import open_repository
from storage.repository import Repository, SnapshotRef
from storage.store import Store, StoredObject
from storage.sweeping.garbage import Rules
from storage.sweeping.sweeper import Sweeper
from tests.faults.faulty_store import FaultyStore
from tests.storage.model.content import REPOSITORY_ID, Source, a_source, cut, is_restored_by, manifest_of
from tests.storage.model.simulated_store import SimulatedStore, Watcher
from tests.storage.model.simulation import one_thread
from tests.storage.model.world import BEGINNING, LocalClock, World

KEY = profile_key("Ada", "desk", "Ada")
LAG = timedelta(minutes=10)
DAY = timedelta(days=1)
FIRST = a_source(random.Random(1))
SECOND = Source(tuple((version + 1) % 4 for version in FIRST.pages), frozenset({1, 2, 3}))


@dataclass
class Place:
    """A repository in a world where nobody acts but the test."""

    world: World
    store: SimulatedStore

    def back_up(self, source: Source, store: Store | None = None) -> SnapshotRef:
        """A whole backup."""
        repository = open_repository(store or self.store)
        ref = self.new_ref()
        store_pieces(repository, source)
        repository.commit(manifest_of(source, ref.profile_key, ref.id, ref.taken_at))
        return ref

    def new_ref(self) -> SnapshotRef:
        """What a snapshot taken now is called."""
        return SnapshotRef(KEY, new_snapshot_id(self.world.now, self.world.random_bytes(4)))

    def sweeper(self, store: Store | None = None, cache: Path | None = None, rules: Rules | None = None) -> Sweeper:
        """A sweep that is yet to be planned; what is forgotten can be had back for two days."""
        clock = LocalClock(self.world, timedelta(0))
        return Sweeper(open_repository(store or self.store, cache), rules=rules or Rules(undo=2 * DAY), clock=clock)

    def sweep(self, *, days: int = 1, cache: Path | None = None) -> None:
        """A sweep a day."""
        for _ in range(days):
            self.wait(1.05 * DAY)
            sweeper = self.sweeper(cache=cache)
            sweeper.carry_out(sweeper.plan())

    def wait(self, time: timedelta) -> None:
        """Let time go by."""
        self.world.pass_time(time.total_seconds())

    def judge(self, finding: Finding, *packs: PackId) -> None:
        """Write a verdict on packs, or on all: as one who saw the snapshots before any named these packs."""
        repository = open_repository(self.store)
        judged = frozenset(packs or repository.holdings().packs)
        verdict = Verdict(verdict_name(self.world.random_bytes(16)), finding, judged)
        self.store.write(verdict.name, write_verdict(repository.seal, verdict))

    def is_whole(self, ref: SnapshotRef, source: Source) -> bool:
        """Whether a snapshot is there and gives `source` back."""
        try:
            return is_restored_by(open_repository(self.store), ref, source)
        except StorageError:
            return False


def store_pieces(repository: Repository, source: Source) -> None:
    """Store what the repository does not hold of `source`: a backup up to its manifest."""
    with repository.write(uploads=2) as session:
        for blob, (kind, plain) in cut(source).blobs.items():
            session.add(kind, blob, plain)
        session.close()


@contextmanager
def a_place() -> Iterator[Place]:
    """A new repository, in which everything is done in one thread."""
    world = World(1)
    store = SimulatedStore(world, Watcher(), lag=LAG)
    store.write(CONFIGURATION_NAME, write_configuration(Configuration(REPOSITORY_ID, BEGINNING.isoformat())))
    with one_thread(world):
        yield Place(world, store)


class Interrupted(FaultyStore):
    """Lets something else happen just before the first request of one kind, or just after it."""

    def __init__(self, inner: Store, verb: str, folder: str, act: Callable[[], object], *, after: bool = False) -> None:
        super().__init__(inner)
        self._wanted = verb, folder
        self._act: Callable[[], object] | None = act
        self._after = after

    def read(self, name: str) -> bytes:
        if self._after:
            found = self.inner.read(name)
            self._interrupt("read", name)
            return found
        self._interrupt("read", name)
        return self.inner.read(name)

    def remove(self, name: str) -> None:
        self._interrupt("remove", name)
        self.inner.remove(name)

    def list(self, prefix: str) -> list[StoredObject]:
        self._interrupt("list", prefix)
        return self.inner.list(prefix)

    def _interrupt(self, verb: str, name: str) -> None:
        if self._act is not None and verb == self._wanted[0] and name.startswith(self._wanted[1]):
            act, self._act = self._act, None
            act()


class Behind(FaultyStore):
    """Its listings show everything as it was nine minutes ago."""

    def __init__(self, inner: SimulatedStore) -> None:
        super().__init__(inner)
        self._simulated = inner

    def list(self, prefix: str) -> list[StoredObject]:
        return self._simulated.list_late(prefix, share=0.9)


def relies_only_on_what_is_there_behind(place: Place) -> bool:
    """Whether a backup is whole that began when a late listing showed packs, and two sweeps had done with them."""
    forgotten = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(forgotten)
    packs = len(place.store.list("packs"))
    while len(place.store.list("packs")) >= packs:
        place.sweep()
    place.wait(timedelta(minutes=1))
    sweeper = place.sweeper()
    sweeper.carry_out(sweeper.plan())
    place.wait(timedelta(minutes=1))
    return place.is_whole(place.back_up(FIRST, Behind(place.store)), FIRST)


def relies_only_on_what_is_there(place: Place, folder: str) -> bool:
    """Whether a writer who slept for days before it listed `folder` relies on packs that are there."""
    forgotten = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(forgotten)
    before = len(place.store.list("packs"))
    asleep = Interrupted(place.store, "list", folder, lambda: place.sweep(days=9))
    relied_on = open_repository(asleep).index().packs()
    assert len(place.store.list("packs")) < before
    return all(place.store.size(pack_name(pack)) for pack in relied_on)


def is_seen_by_a_sweep_that_slept(place: Place, *, listing_holds: timedelta) -> bool:
    """Whether a snapshot stays whole that was published between a sweep's plan and its removals."""
    forgotten = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(forgotten)
    writer, ref = open_repository(place.store), place.new_ref()
    store_pieces(writer, FIRST)
    while True:
        place.wait(1.05 * DAY)
        sweeper = place.sweeper(rules=Rules(undo=2 * DAY, listing_holds=listing_holds))
        plan = sweeper.plan()
        if plan.fates.remove:
            break
        sweeper.carry_out(plan)
    manifest = manifest_of(FIRST, ref.profile_key, ref.id, ref.taken_at)
    place.store.create(snapshot_name(ref.profile_key, ref.id), write_manifest(writer.seal, manifest))
    place.wait(timedelta(hours=1))
    sweeper.carry_out(plan)
    return place.is_whole(ref, FIRST)
