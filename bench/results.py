"""What was measured, as values that a file holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

from bench.index_load import IndexLoad
from bench.where import Spent, Whereabouts


class Scenario(StrEnum):
    """What is measured, in the order in which it happens."""

    FIRST = "first backup"
    NOTHING = "nothing changed"
    STUDY = "after a study session"
    PICTURES = "after adding pictures"
    RESTORE = "restore of all"
    RESTORE_LATER = "restore after increments"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One tool doing one thing once. `server_cpu_s` is what a Prefect server computed beside it."""

    scenario: Scenario
    place: str
    peer: str
    round: int
    wall_s: float
    on_disk_s: float
    """Wall seconds until the disk had all that was written, which not every tool waits for."""
    cpu_s: float
    peak_bytes: int
    stored_bytes: int
    """The repository's files after, less before; negative when space was freed."""
    server_cpu_s: float | None = None
    requests: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """A run of the benchmark. `facts` tell of the machine, the versions and the data; `unable` of what is not done."""

    facts: Mapping[str, str]
    measurements: tuple[Measurement, ...]
    unable: Mapping[str, str]
    whereabouts: tuple[Whereabouts, ...]
    index_load: IndexLoad | None = None

    def of(self, scenario: Scenario, place: str) -> dict[str, list[Measurement]]:
        """The measurements of one scenario at one place by tool, in the order in which the tools took their turns."""
        found: dict[str, list[Measurement]] = {}
        for one in self.measurements:
            if (one.scenario, one.place) == (scenario, place):
                found.setdefault(one.peer, []).append(one)
        return found

    def places(self) -> list[str]:
        """The places that were measured, in their order."""
        return list(dict.fromkeys(one.place for one in self.measurements))


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of the same in three figures."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Median and range of at least one value."""
    known = list(values)
    return Spread(median(known), min(known), max(known))


def write_results(path: Path, results: Results) -> None:
    """Write results as JSON; the file is whole or not there."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")
    unfinished.replace(path)


def read_results(path: Path) -> Results:
    """What `write_results` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        facts=found["facts"],
        measurements=tuple(
            Measurement(**{**one, "scenario": Scenario(one["scenario"])}) for one in found["measurements"]
        ),
        unable=found["unable"],
        whereabouts=tuple(
            Whereabouts(**{**one, "spent": tuple(Spent(**spent) for spent in one["spent"])})
            for one in found["whereabouts"]
        ),
        index_load=IndexLoad(**found["index_load"]) if found["index_load"] else None,
    )
