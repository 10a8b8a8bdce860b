"""The course of the benchmark: every tool does the same thing in turn, then the next thing, then all of it again."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from math import isnan, nan
from pathlib import Path

from bench.changes import add_pictures, increment, study
from bench.conditions import Conditions
from bench.generate import COLLECTION, PROFILE
from bench.measure import Command, computed_so_far, folder_bytes, run
from bench.peers.anki_backup import AnkiBackup
from bench.peers.borg import Borg
from bench.peers.peer import Commands, Peer, Unable
from bench.peers.rclone import Rclone
from bench.peers.recollect_flow import RecollectFlow
from bench.peers.recollect_library import RecollectLibrary
from bench.peers.restic import Restic
from bench.place import Far, Kind, Place, carry_over, freeze, thaw
from bench.results import Measurement, Scenario
from bench.sizes import Size
from bench.where import Whereabouts, read_whereabouts

_HISTORY_ENDS_DAYS_AGO = 10
"""Older than what Anki's rule keeps in any case, so that every tool has the same to let go."""

Asked = Commands | Unable


@dataclass(frozen=True, slots=True)
class Prefect:
    """A Prefect server that runs: how to speak to it, and its process where that is known."""

    environment: Mapping[str, str]
    process_id: int | None

    def computed(self) -> float:
        """Its processor seconds so far; nan where the system does not tell."""
        computed = computed_so_far(self.process_id) if self.process_id is not None else None
        return nan if computed is None else computed


@dataclass(slots=True)
class Course:
    """A run under way. `base` is never changed; all that is written lies below `work`."""

    size: Size
    seed: int
    rounds: int
    kinds: Sequence[Kind]
    base: Path
    work: Path
    far: Far
    prefect: Prefect | None
    say: Callable[[str], None]
    conditions: Conditions
    measurements: list[Measurement] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)

    @property
    def profile(self) -> Path:
        """The folder of the profile that is backed up."""
        return self.work / "Anki2" / PROFILE

    def go(self, *, history: bool = True) -> None:
        """All of it, or all but the long history. Raises CommandFailedError when a tool does not do its work."""
        studied = self._studied()
        for number in range(1, self.rounds + 1):
            self.say(f"Round {number} of {self.rounds}")
            self._round(number, studied)
        if history:
            self.say(f"A history of {self.size.snapshots} snapshots")
            self._history()

    def _round(self, number: int, studied: Path) -> None:
        self._fresh_profile()
        with self._peers(every=True) as peers:
            self._measure(Scenario.FIRST, number, peers, self._backup)
            self._measure(Scenario.NOTHING, number, peers, self._backup)
            self._take(studied)
            self._measure(Scenario.STUDY, number, peers, self._backup)
            add_pictures(self.profile, self.seed)
            self._measure(Scenario.PICTURES, number, peers, self._backup)
            self._measure(Scenario.RESTORE, number, peers, self._restore)

    def _history(self) -> None:
        self._fresh_profile()
        newest = datetime.now(UTC) - timedelta(days=_HISTORY_ENDS_DAYS_AGO)
        with self._peers(every=False) as peers:
            nearby = Kind.LOCAL if Kind.LOCAL in self.kinds else self.kinds[0]
            near = [peer for peer in peers if peer.place.kind is nearby]
            for count in range(self.size.snapshots):
                if count:
                    increment(self.profile, count)
                moment = newest - timedelta(days=self.size.snapshots - 1 - count)
                self._unmeasured(near, partial(self._backup, moment=moment))
                if count == self.size.increments:
                    self._carry_over(peers, near)
                    for number in range(1, self.rounds + 1):
                        self._measure(Scenario.RESTORE_LATER, number, peers, self._restore)
            self._carry_over(peers, near)
            able = [peer for peer in peers if not isinstance(peer.prune_to(self.size.kept), Unable)]
            frozen = self.work / "frozen"
            for peer in able:
                freeze(peer.place, frozen / peer.place.name)
            for number in range(1, self.rounds + 1):
                for peer in able if number > 1 else ():
                    thaw(peer.place, frozen / peer.place.name, self.conditions.discard)
                self._measure(Scenario.PRUNE, number, peers, lambda peer: peer.prune_to(self.size.kept))
            self.conditions.discard(frozen)

    def _carry_over(self, peers: Sequence[Peer], near: Sequence[Peer]) -> None:
        """Give the tools elsewhere the history that they made nearby: a tool stores the same in every place."""
        made = {peer.name: peer.place for peer in near}
        for peer in peers:
            if peer not in near:
                carry_over(made[peer.name], peer.place, self.conditions.discard)

    def _backup(self, peer: Peer, moment: datetime | None = None) -> Asked:
        return peer.backup(self.profile, moment)

    def _restore(self, peer: Peer) -> Asked:
        return peer.restore(self.work / "restored")

    def _measure(self, scenario: Scenario, number: int, peers: Sequence[Peer], ask: Callable[[Peer], Asked]) -> None:
        for peer in peers:
            commands = ask(peer)
            if isinstance(commands, Unable):
                self.unable[f"{peer.name}, {scenario}"] = commands.reason
                continue
            measured = self._measured(scenario, number, peer, commands)
            self.measurements.append(measured)
            self.conditions.discard(self.work / "restored")
            self.say(f"  {scenario}, {peer.place.kind}, {peer.name}: {measured.wall_s:.2f} s")

    def _measured(self, scenario: Scenario, number: int, peer: Peer, commands: Commands) -> Measurement:
        self.conditions.settle()
        far = self.far if peer.place.kind is Kind.S3 else None
        server = self.prefect if isinstance(peer, RecollectFlow) else None
        stored = folder_bytes(peer.place.repository)
        computed = server.computed() if server else nan
        if far:
            far.proxy.forget_counts()
        cost = run(commands, self.work)
        ended = time.perf_counter()
        os.sync()
        synced = time.perf_counter() - ended
        computed = (server.computed() if server else nan) - computed
        return Measurement(
            scenario=scenario,
            place=peer.place.kind,
            peer=peer.name,
            round=number,
            wall_s=round(cost.wall_s, 4),
            on_disk_s=round(cost.wall_s + synced, 4),
            cpu_s=round(cost.cpu_s, 4),
            peak_bytes=cost.peak_bytes,
            stored_bytes=folder_bytes(peer.place.repository) - stored,
            server_cpu_s=None if isnan(computed) else round(computed, 3),
            requests=far.proxy.counts() if far else None,
        )

    def _unmeasured(self, peers: Sequence[Peer], ask: Callable[[Peer], Asked]) -> None:
        with self.far.hurrying():
            for peer in peers:
                commands = ask(peer)
                if not isinstance(commands, Unable):
                    run(commands, self.work)

    def _studied(self) -> Path:
        """The collection after a study session: the same one in every round."""
        self._fresh_profile()
        study(self.profile, self.seed)
        kept = self.work / "studied.anki2"
        shutil.copyfile(self.profile / COLLECTION, kept)
        return kept

    def _take(self, studied: Path) -> None:
        """Let the profile have that collection: written into the file that is there, as Anki writes."""
        (self.profile / COLLECTION).write_bytes(studied.read_bytes())

    def _fresh_profile(self) -> None:
        self.conditions.discard(self.profile.parent)
        shutil.copytree(self.base, self.profile.parent)
        # Some tools distrust what is younger than a tick of the clock.
        time.sleep(1)

    @contextmanager
    def _peers(self, *, every: bool) -> Iterator[list[Peer]]:
        """The tools that take part, each with an empty repository; `every` also those that have no long history."""
        stored = self.work / "stored"
        peers = [peer for kind in self.kinds for peer in self._peers_at(kind, stored, every=every)]
        for peer in peers:
            peer.place.home.mkdir(parents=True)
        self._unmeasured(peers, lambda peer: peer.prepare())
        try:
            yield peers
        finally:
            self.conditions.discard(stored)
            self.conditions.discard(self.far.bucket)
            self.far.restart()

    def _peers_at(self, kind: Kind, stored: Path, *, every: bool) -> Iterator[Peer]:
        def place(name: str) -> Place:
            home = stored / f"{kind}-{name}"
            if kind is Kind.S3:
                return Place(
                    kind, home.name, home / "home", self.far.bucket / home.name, self.far.endpoint, self.far.restart
                )
            return Place(kind, home.name, home / "home", home / "repository")

        # As a person gets it: sealed in a place elsewhere, open on the own disk. What the other tools do is sealed.
        usual = kind is Kind.S3
        yield RecollectLibrary(place("library"), sealed=usual)
        if kind is Kind.LOCAL:
            yield RecollectLibrary(place("sealed"), sealed=True)
        if self.prefect and every:
            yield RecollectFlow(place("flow"), self.prefect.environment, sealed=usual)
        yield Restic(place("restic"))
        if kind is Kind.LOCAL:
            yield Borg(place("borg"))
        else:
            self.unable["borg, S3"] = "Borg 1.2 stores on a disk or through SSH only"
        yield Rclone(place("rclone"))
        if every and kind is Kind.LOCAL:
            yield AnkiBackup(place("anki"))

    def whereabouts(self) -> Iterator[Whereabouts]:
        """Where the time of the library goes, watched on its own and not measured with the others."""
        studied = self._studied()
        self._fresh_profile()
        with self._peers(every=True) as peers:
            libraries = [peer for peer in peers if isinstance(peer, RecollectLibrary)]
            for library in libraries:
                if library.sealed is (library.place.kind is Kind.S3):
                    yield self._watch(Scenario.FIRST, library, library.backup(self.profile))
            local = next((library for library in libraries if library.place.kind is Kind.LOCAL), None)
            if local:
                yield self._watch(Scenario.NOTHING, local, local.backup(self.profile))
                self._take(studied)
                yield self._watch(Scenario.STUDY, local, local.backup(self.profile))
                yield self._watch(Scenario.RESTORE, local, local.restore(self.work / "restored"))
                self.conditions.discard(self.work / "restored")

    def _watch(self, scenario: Scenario, library: RecollectLibrary, commands: Asked) -> Whereabouts:
        seen = self.work / "whereabouts.json"
        self.conditions.settle()
        asked = [] if isinstance(commands, Unable) else commands
        run([_watched(command, seen) for command in asked if isinstance(command, Command)], self.work)
        return read_whereabouts(seen, f"{scenario}, {library.place.kind}{', sealed' if library.sealed else ''}")


def _watched(command: Command, seen: Path) -> Command:
    _, _, _, *action = command.arguments
    return Command([sys.executable, "-m", "bench.where", str(seen), *action], command.environment, command.folder)
