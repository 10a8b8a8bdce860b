"""Those who use a repository at once: each is a life that goes on until the world ends, run after run.

A run does what the tasks and flows do, with the library itself: `tasks/upload.py`, `flows/chains/sweep.py`,
`flows/chains/forget.py`. A run that died with its computer is followed by a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from storage.errors import (
    ClockUntrusted,
    Damaged,
    ObjectMissing,
    PiecesLost,
    SnapshotUnknown,
    StorageError,
    StoreUnreachable,
    SweepRefused,
)
from storage.format.manifest import ProfileKey, new_snapshot_id, profile_key
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.opening import open_repository
from storage.repository import Repository, SnapshotRef
from storage.sweeping.garbage import Rules
from storage.sweeping.index_folding import fold, foldable
from storage.sweeping.plan import Swept
from storage.sweeping.sweeper import Sweeper
from storage.trash import forgotten_snapshots, put_back
from tests.storage.model.content import Source, a_source, cut, manifest_of
from tests.storage.model.ledger import Ledger
from tests.storage.model.simulated_store import Link, SimulatedStore, Weather
from tests.storage.model.world import Died, LocalClock, World

_HOUR = 3600.0
_TRIES = 3
_RETRIES = 3


@dataclass
class Computer:
    """One computer: its clock, its cache, and the profile that is backed up from it."""

    world: World
    store: SimulatedStore
    ledger: Ledger
    rules: Rules
    weather: Callable[[], Weather]
    number: int
    cache: Path | None
    clock: LocalClock = field(init=False)
    source: Source = field(init=False)
    slow_source: Source | None = None
    """What a backup that takes days is of, until it is done."""

    def __post_init__(self) -> None:
        chance = self.world.chance
        self.clock = LocalClock(self.world, timedelta(seconds=chance.uniform(-120, 120)))
        self.source = a_source(chance)

    @property
    def key(self) -> ProfileKey:
        """The key of the profile that lies here."""
        return profile_key("Ada", f"desk {self.number}", "Ada")

    def link(self) -> Link:
        """A way to the store for one run."""
        return Link(self.world, self.store, self.clock, self.weather(), self.ledger.seen, f"{self.number}")


Run = Callable[[Computer], None]


def live(computer: Computer, run: Run, *, every_hours: float) -> None:
    """Do `run` about every so many hours. A death ends a run, and the computer is started again."""
    world, seen, name = computer.world, computer.ledger.seen, run.__name__
    while True:
        world.wait(world.chance.expovariate(1 / (every_hours * _HOUR)))
        try:
            run(computer)
        except Died:
            if world.is_over:
                raise
            seen[f"{name}: died"] += 1
        except StorageError as failure:
            seen[f"{name}: {type(failure).__name__}"] += 1
        else:
            seen[f"{name}: done"] += 1


# Writers.


def back_up(computer: Computer) -> None:
    """A whole backup, as the flow does it: retried as long as the store may answer later."""
    world = computer.world
    repository = open_repository(computer.link(), computer.cache)
    computer.source = computer.source.changed(world.chance, world.chance.choice((0, 1, 3, 8)))
    taken_at = computer.clock.now()
    ref = SnapshotRef(computer.key, new_snapshot_id(taken_at, world.random_bytes(4)))
    for retries_left in reversed(range(_RETRIES)):
        try:
            _upload(computer, repository, ref)
            break
        except StoreUnreachable:
            if not retries_left:
                raise
            world.wait(world.chance.uniform(2, 30))
    computer.ledger.seen["commits"] += 1


def _upload(computer: Computer, repository: Repository, ref: SnapshotRef) -> None:
    """As `tasks/upload.py`: what was lost before the commit could know is stored anew."""
    chance = computer.world.chance
    for tries_left in reversed(range(_TRIES)):
        repository.forget_index()
        # A media file that changed since it was looked at is taken as it is.
        if chance.random() < 0.1:
            computer.source = computer.source.changed(chance, 1)
        source = computer.source
        with repository.write(uploads=2) as session:
            for blob, (kind, plain) in cut(source).blobs.items():
                session.add(kind, blob, plain)
            session.close()
        computer.ledger.tries(ref, source)
        try:
            committed, _ = repository.commit(manifest_of(source, ref.profile_key, ref.id, ref.taken_at))
        except PiecesLost:
            computer.ledger.seen["commits that had to store again"] += 1
            if not tries_left:
                raise
        else:
            computer.ledger.promise(committed, source)
            return


def back_up_for_days(computer: Computer) -> None:
    """A backup over a slow line: some hours of each evening, until the computer is switched off in the middle of it."""
    world, ledger = computer.world, computer.ledger
    chance = world.chance
    repository = open_repository(computer.link(), computer.cache)
    source = computer.slow_source = computer.slow_source or a_source(chance).changed(chance, 30)
    with repository.write(uploads=1) as session:
        for blob, (kind, plain) in cut(source).blobs.items():
            if not session.store(kind, blob, plain):
                continue
            ledger.seen["pieces sent slowly"] += 1
            world.wait(chance.expovariate(1 / _HOUR))
            if chance.random() < 0.1:
                raise Died
        session.close()
    taken_at = computer.clock.now()
    ref = SnapshotRef(computer.key, new_snapshot_id(taken_at, world.random_bytes(4)))
    ledger.tries(ref, source)
    committed, _ = repository.commit(manifest_of(source, ref.profile_key, ref.id, ref.taken_at))
    ledger.promise(committed, source)
    computer.slow_source = None
    ledger.seen["slow commits"] += 1


# Those who forget, and those who think better of it.


def forget(computer: Computer) -> None:
    """Retention: of one profile the newest stay, and one more or fewer."""
    repository, chance = open_repository(computer.link()), computer.world.chance
    of_one = repository.snapshots(computer.key)
    for ref in of_one[: max(0, len(of_one) - chance.randint(2, 4))]:
        repository.move_to_trash(ref)
        computer.ledger.seen["forgotten"] += 1


def undo(computer: Computer) -> None:
    """Put a forgotten snapshot back."""
    repository = open_repository(computer.link(), computer.cache)
    forgotten = forgotten_snapshots(repository)
    if not forgotten:
        return
    ref = computer.world.chance.choice(forgotten).ref
    computer.ledger.tries_to_put_back(ref)
    try:
        back = put_back(repository, ref)
    except SnapshotUnknown:
        computer.ledger.seen["undo: too late"] += 1
    else:
        computer.ledger.promise(back)
        computer.ledger.seen["put back"] += 1


# Those who tidy up.


def sweep(computer: Computer) -> None:
    """A sweep, as the flow does it; now and then a person looks at the plan for a while."""
    world, seen = computer.world, computer.ledger.seen
    repository = open_repository(computer.link(), computer.cache)
    sweeper = Sweeper(repository, rules=computer.rules, clock=computer.clock, random_bytes=world.random_bytes)
    try:
        for retries_left in reversed(range(_RETRIES)):
            try:
                plan = sweeper.plan()
                break
            except StoreUnreachable:
                if not retries_left:
                    raise
                world.wait(world.chance.uniform(2, 30))
        if world.chance.random() < 0.2:
            world.wait(world.chance.uniform(60, 3 * _HOUR))
        note(seen, sweeper.carry_out(plan))
    except SweepRefused as refusal:
        seen[f"refused: {refusal.problem[:24]}"] += 1
    except (ClockUntrusted, Damaged, ObjectMissing) as failure:
        seen[f"refused: {type(failure).__name__}"] += 1


def note(seen: dict[str, int], swept: Swept) -> None:
    """Count what a sweep did."""
    seen["sweeps"] += 1
    seen["expired"] += swept.expired
    seen["removed"] += len(swept.removed)
    seen["condemned"] += len(swept.condemned)
    seen["packed anew"] += len(swept.packed_anew)
    seen["sealed anew"] += len(swept.resealed) + swept.resealed_objects
    seen["pardoned"] += len(swept.pardoned)
    seen["folded"] += swept.folded


def tidy_index(computer: Computer) -> None:
    """Fold some index files, however few."""
    repository = open_repository(computer.link(), computer.cache)
    names = list(foldable(repository.holdings(), least=2))
    chosen = computer.world.chance.sample(names, computer.world.chance.randint(0, len(names)))
    computer.ledger.seen["folded"] += fold(repository, sorted(chosen))


def quarantine(computer: Computer) -> None:
    """A repair that distrusts a pack, rightly or not."""
    repository = open_repository(computer.link(), computer.cache)
    packs = sorted(repository.holdings().packs)
    if packs:
        name = verdict_name(computer.world.random_bytes(16))
        verdict = Verdict(name, Finding.QUARANTINED, frozenset((computer.world.chance.choice(packs),)))
        repository.store.write(name, write_verdict(repository.seal, verdict))


def lose_an_index_file(computer: Computer) -> None:
    """A disk or a person loses one: what its packs hold is not lost, for they say it themselves."""
    names = [item.name for item in computer.store.list("index")]
    if names:
        computer.store.remove(computer.world.chance.choice(names))
        computer.ledger.seen["index files lost"] += 1


def give_up(computer: Computer) -> None:
    """A person forgets the snapshots of writers that died, if they turn out to be broken."""
    repository = open_repository(computer.link())
    for ref in sorted(computer.ledger.broken):
        repository.move_to_trash(ref)
