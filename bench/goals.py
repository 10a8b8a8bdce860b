"""The goals, and whether a run met them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.results import Measurement, Results, Scenario, spread

OURS = "Recollect"
PEERS = ("restic", "borg", "rclone")
"""The tools that goals are held against: those that back up media as well."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Ours may take at most so large a share of what the best peer takes; of its time, or of its stored bytes."""

    scenario: Scenario
    place: str
    share: float
    of_bytes: bool = False


GOALS = (
    Goal(Scenario.FIRST, "local", 0.6),
    Goal(Scenario.NOTHING, "local", 0.3),
    Goal(Scenario.STUDY, "local", 0.5),
    Goal(Scenario.STUDY, "local", 0.02, of_bytes=True),
    Goal(Scenario.RESTORE, "local", 0.7),
    Goal(Scenario.FIRST, "s3", 0.7),
)


INDEX_LOAD_S = 2
INDEX_LOAD_BYTES = 500_000_000
"""What the index of two million blobs may take."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A goal held against one variant of ours: our figure, and that of each peer (seconds, or bytes)."""

    goal: Goal
    variant: str
    figure: float
    peers: Mapping[str, float]
    best: str
    """The fastest peer; it is the best also where its bytes are what counts."""

    @property
    def share(self) -> float:
        """Our figure in proportion to the best peer's."""
        best = self.peers[self.best]
        return self.figure / best if best else float("inf")

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.share <= self.goal.share


def judge(results: Results) -> Iterator[Judgement]:
    """Every goal against every variant of the library that was measured at that place."""
    for goal in GOALS:
        measured = results.of(goal.scenario, goal.place)
        walls = {peer: spread(one.wall_s for one in measured[peer]).median for peer in PEERS if peer in measured}
        if not walls:
            continue
        figures = {peer: _figure(measured[peer], goal) for peer in walls}
        best = min(walls, key=lambda peer: walls[peer])
        for variant in measured:
            if variant.startswith(OURS) and "Prefect" not in variant:
                yield Judgement(goal, variant, _figure(measured[variant], goal), figures, best)


def _figure(measured: list[Measurement], goal: Goal) -> float:
    return spread(one.stored_bytes if goal.of_bytes else one.wall_s for one in measured).median
