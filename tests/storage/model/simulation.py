"""One simulation: a repository, all who use it at once, and the ledger that watches."""

from __future__ import annotations

import functools
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.format.configuration import CONFIGURATION_NAME, Configuration, write_configuration
from storage.format.sealing import Seal
from storage.holdings import read_verdicts
from storage.opening import open_repository
from storage.sweeping.garbage import Rules
from storage.sweeping.sweeper import Sweeper
from storage.trash import forgotten_snapshots
from storage.writing import WriteSession
from tests.storage.model import actors
from tests.storage.model.content import REPOSITORY_ID
from tests.storage.model.ledger import Ledger
from tests.storage.model.rotating_seal import MOST_KEYS, RotatingSeal
from tests.storage.model.simulated_store import GRACE, SimulatedStore, Weather
from tests.storage.model.world import BEGINNING, InlineExecutor, LocalClock, World

_PACK_BYTES = 3000
_CHECK_EVERY_S = 4 * 3600.0
_DAY_S = 24 * 3600.0
_MOST_LINES = 60
_QUIET_SWEEPS = 12
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}|[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Life:
    """What a world is like. Figures in hours say how often something is begun, on average."""

    writers: int = 4
    sweepers: int = 3
    lag: timedelta = timedelta(minutes=10)
    """How old may be what a listing shows, where it is late."""
    behind: float = 0.2
    """The share of listings that are."""
    is_exclusive: bool = True
    """Whether the store decides itself between two who create the same object."""
    backup_hours: float = 5
    sweep_hours: float = 8
    forget_hours: float = 7
    undo_hours: float = 8
    fold_hours: float = 30
    quarantine_hours: float = 60
    slow_hours: float = 0
    """A backup is begun, or goes on, that takes days and is killed again and again; 0 for none."""
    hide_hours: float = 400
    """No listing shows snapshots, or not all of them, for a day or two: the wrong share was mounted."""
    rules: Rules = field(default_factory=lambda: Rules(undo=timedelta(hours=28)))
    lose_index_hours: float = 0
    """An index file is lost: the packs that it named must tell themselves what they hold."""
    rotate_hours: float = 0
    """Keys are rotated; 0 for a repository without any."""
    kinds_of_weather: tuple[tuple[float, Weather], ...] = (
        (4, Weather(pace=0.5)),
        (3, Weather(pace=60)),
        (4, Weather(pace=5, refused=0.02, unheard=0.02, late=0.02, twice=0.02, death=0.004)),
        (4, Weather(pace=20, sleep=0.04, longest_sleep=3 * GRACE, death=0.004)),
        (3, Weather(pace=20, sleep=0.02, longest_sleep=3 * GRACE, unheard=0.03, late=0.03, twice=0.03)),
        (2, Weather(pace=5, short=0.05, refused=0.02)),
        (1, Weather(pace=10, sleep=0.1, longest_sleep=timedelta(hours=3), death=0.01)),
    )
    """Each with its weight; every run of an actor has one."""


@dataclass(slots=True)
class Report:
    """What came of a simulation."""

    seed: int
    life: Life
    lost: list[str]
    seen: Counter[str]
    days: float
    left_over: list[str]
    """What nobody needs, and that was there still after quiet weeks."""
    trace: list[str]

    @property
    def wrong(self) -> list[str]:
        """All that must not be."""
        return [*self.lost, *self.left_over]

    def __str__(self) -> str:
        """What is wrong, how to see it again, and what happened to the snapshots that it is about."""
        names = {name for line in self.wrong for name in _NAME.findall(line)}
        history = [line for line in self.trace if any(name in line for name in names)]
        again = f"simulate({self.seed}, requests={self.seen['requests']}, life={self.life!r})"
        return "\n".join([*self.wrong, f"See it again: {again}", *history[-_MOST_LINES:]])


def simulate(seed: int, *, requests: int, life: Life | None = None) -> Report:
    """Let a world go on for so many requests, or until something is lost."""
    with tempfile.TemporaryDirectory() as caches:
        return _Simulation(seed, life or Life(), Path(caches)).run(requests)


class _Simulation:
    def __init__(self, seed: int, life: Life, caches: Path) -> None:
        self.life = life
        self.world = World(seed)
        self.newest_key = 1
        self.ledger = Ledger(self.world, life.rules.undo)
        if life.rotate_hours:
            self.ledger.seal = RotatingSeal(bytes.fromhex(REPOSITORY_ID), MOST_KEYS)
        self.store = SimulatedStore(
            self.world, self.ledger, lag=life.lag, behind=life.behind, is_exclusive=life.is_exclusive
        )
        self._caches = caches

    def run(self, requests: int) -> Report:
        seen, lost = self.ledger.seen, self.ledger.lost
        with one_thread(self.world), pytest.MonkeyPatch.context() as patch:
            if self.life.rotate_hours:
                patch.setattr("storage.opening._seal", self._newest_seal)
            configuration = Configuration(REPOSITORY_ID, BEGINNING.isoformat())
            self.store.write(CONFIGURATION_NAME, write_configuration(configuration))
            self._people()
            self.world.later(_CHECK_EVERY_S, self._check)
            self.world.run(until=lambda: bool(lost) or seen["requests"] >= requests)
            days = self.world.seconds / _DAY_S
            self.world.settle(_DAY_S)
            self.ledger.restore(open_repository(self.store), self.ledger.due())
            left_over = [] if lost else self._quiet_weeks()
        return Report(self.world.seed, self.life, lost, seen, days, left_over, self.world.trace)

    def _people(self) -> None:
        life = self.life
        computers = [self._computer(number) for number in range(max(life.writers, life.sweepers))]
        for computer in computers[: life.writers]:
            self._enter(computer, actors.back_up, life.backup_hours)
            self._enter(computer, actors.forget, life.forget_hours)
            self._enter(computer, actors.back_up_for_days, life.slow_hours)
        for computer in computers[: life.sweepers]:
            self._enter(computer, actors.sweep, life.sweep_hours)
        self._enter(computers[0], actors.undo, life.undo_hours)
        self._enter(computers[-1], actors.undo, life.undo_hours)
        self._enter(computers[-1], actors.tidy_index, life.fold_hours)
        self._enter(computers[0], actors.tidy_index, life.fold_hours)
        self._enter(computers[-1], actors.quarantine, life.quarantine_hours)
        self._enter(computers[0], actors.lose_an_index_file, life.lose_index_hours)
        self._enter(computers[0], actors.give_up, 12)
        self.world.enter(self._hide_and_show)
        self.world.enter(self._rotate)

    def _computer(self, number: int) -> actors.Computer:
        cache = self._caches / str(number) if number % 2 else None
        return actors.Computer(self.world, self.store, self.ledger, self.life.rules, self._weather, number, cache)

    def _enter(self, computer: actors.Computer, run: actors.Run, hours: float) -> None:
        if hours:
            self.world.enter(functools.partial(actors.live, computer, run, every_hours=hours))

    def _weather(self) -> Weather:
        weights = [weight for weight, _ in self.life.kinds_of_weather]
        kinds = [weather for _, weather in self.life.kinds_of_weather]
        return self.world.chance.choices(kinds, weights)[0]

    def _hide_and_show(self) -> None:
        """Now and then the snapshots, or many of them, are not listed for a while."""
        chance = self.world.chance
        while self.life.hide_hours:
            self.world.wait(chance.expovariate(1 / (self.life.hide_hours * 3600)))
            self.store.hidden = chance.choice((_is_a_snapshot, _is_one_of_half_the_snapshots))
            self.world.wait(chance.uniform(1, 60) * 3600)
            self.store.hidden = lambda _: False

    def _newest_seal(self, *_: object) -> Seal:
        """What whoever opens the repository now can read and write."""
        return RotatingSeal(bytes.fromhex(REPOSITORY_ID), self.newest_key)

    def _rotate(self) -> None:
        """Now and then there is a new key; who opened the repository before goes on without it."""
        while self.life.rotate_hours:
            self.world.wait(self.world.chance.expovariate(1 / (self.life.rotate_hours * 3600)))
            self.newest_key += 1
            self.world.note(f"key {self.newest_key}")
            self.ledger.seen["rotations"] += 1

    def _check(self) -> None:
        """Restore some of the snapshots that are due."""
        due = self.ledger.due()
        self.ledger.restore(open_repository(self.store), self.world.chance.sample(due, min(2, len(due))))
        self.world.later(_CHECK_EVERY_S, self._check)

    def _quiet_weeks(self) -> list[str]:
        """Nobody writes any more, and one computer sweeps every day or so: what is there then that nobody needs."""
        repository = open_repository(self.store)
        for ref in sorted(self.ledger.broken):
            repository.move_to_trash(ref)
        clock = LocalClock(self.world, timedelta(0))
        for _ in range(_QUIET_SWEEPS):
            self.world.pass_time(1.05 * _DAY_S)
            repository = open_repository(self.store)
            sweeper = Sweeper(repository, rules=self.life.rules, clock=clock, random_bytes=self.world.random_bytes)
            try:
                actors.note(self.ledger.seen, sweeper.carry_out(sweeper.plan()))
            except StorageError as refusal:
                return [f"no sweep comes to a good end: {refusal}"]
        self.ledger.restore(open_repository(self.store), self.ledger.due())
        return self._left_over()

    def _left_over(self) -> list[str]:
        repository = open_repository(self.store)
        needed = self.ledger.needed()
        packs = self.ledger.packs()
        left = [f"{name} of {len(blobs)} pieces" for name, blobs in packs.items() if blobs.isdisjoint(needed)]
        stored, live = sum(map(len, packs.values())), len(needed)
        if stored > 2.5 * live:
            left.append(f"{stored} pieces are stored, {live} are needed")
        holdings = repository.holdings()
        left += [
            f"{verdict.finding} {verdict.name}"
            for verdict in holdings.verdicts
            if verdict.packs.isdisjoint(holdings.packs)
        ]
        index = holdings.index
        left += [
            f"{pack.hex()} lies under key {key} of {self.newest_key}"
            for pack, key, distrusted in zip(index.pack_ids, index.generations, index.distrusts, strict=True)
            if self.life.rotate_hours and key < self.newest_key and pack in holdings.packs and not distrusted
        ]
        left += [item.name for item in self.store.list("census")][:-2]
        left += [item.name for item in self.store.list("probe")]
        left += [item.name for item in self.store.list("underway")]
        in_place = self.ledger.in_place()
        left += [one.ref.id for one in forgotten_snapshots(repository) if one.ref not in in_place]
        return left


def _is_a_snapshot(name: str) -> bool:
    return name.startswith("snapshots/")


def _is_one_of_half_the_snapshots(name: str) -> bool:
    return _is_a_snapshot(name) and name[-1] < "8"


@contextmanager
def one_thread(world: World) -> Iterator[None]:
    """Let the library do everything in this thread, with small packs, and names from the world's own chance."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("commit", "repository", "reading", "side_by_side", "writing"):
            patch.setattr(f"storage.{module}.ThreadPoolExecutor", InlineExecutor)
        patch.setattr("storage.writing.PACK_BYTES", _PACK_BYTES)
        patch.setattr("storage.writing._BATCH_BYTES", _PACK_BYTES // 3)
        patch.setattr("storage.writing.PACKS_PER_INDEX", 2)
        patch.setattr("storage.sweeping.garbage._SMALL_PACK", _PACK_BYTES // 3)
        patch.setattr("storage.sweeping.garbage._SMALL_PACKS", 6)
        patch.setitem(_keyword_defaults(WriteSession.__init__), "random_bytes", world.random_bytes)
        patch.setattr("os.urandom", world.random_bytes)
        patch.setattr("storage.underway.monotonic", lambda: world.seconds)
        # A set has another order in each process; the order of requests must not depend on it.
        patch.setattr(
            "storage.holdings.read_verdicts",
            lambda source, seal, files: read_verdicts(source, seal, sorted(files, key=lambda item: item.name)),
        )
        yield


def _keyword_defaults(function: object) -> dict[str, object]:
    defaults: dict[str, object] = function.__kwdefaults__  # type: ignore[attr-defined]
    return defaults
