"""Many computers back up, forget, put back and sweep at once, and everything goes wrong: no snapshot is lost.

What every simulation checks all along, and how it goes on, stands in `ledger.py` and `simulation.py`; a failure says
how to see it again. That it would notice a loss is shown below: without any one of the safety steps there is one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from storage.sweeping.garbage import Rules
from tests.storage.model import carelessness
from tests.storage.model.carelessness import Careless
from tests.storage.model.place import (
    a_place,
    is_seen_by_a_sweep_that_slept,
    relies_only_on_what_is_there,
    relies_only_on_what_is_there_behind,
)
from tests.storage.model.simulated_store import GRACE, Weather
from tests.storage.model.simulation import Life, simulate

ASLEEP = Life(
    lag=timedelta(0),
    kinds_of_weather=((3, Weather(pace=0.5)), (3, Weather(pace=20, sleep=0.08, longest_sleep=3 * GRACE))),
)
NAPS_BEFORE_PUBLISHING = Life(
    lag=timedelta(0),
    writers=2,
    sweepers=2,
    sweep_hours=4,
    forget_hours=3,
    undo_hours=0,
    hide_hours=0,
    quarantine_hours=0,
    rules=Rules(undo=timedelta(hours=2)),
    kinds_of_weather=(
        (1, Weather(pace=1)),
        (1, Weather(pace=5, sleep=0.5, sleep_before="create", longest_sleep=3 * GRACE)),
    ),
)
SWEEPS_OF_DAYS = Life(
    lag=timedelta(0),
    writers=2,
    sweepers=4,
    sweep_hours=6,
    forget_hours=3,
    undo_hours=3,
    hide_hours=0,
    rules=Rules(undo=timedelta(hours=20)),
    kinds_of_weather=((1, Weather(pace=0.5)), (2, Weather(pace=20, sleep=0.15, longest_sleep=2 * GRACE))),
)
LATE_REQUESTS = Life(
    lag=timedelta(0),
    is_exclusive=False,
    kinds_of_weather=(
        (3, Weather(pace=0.5)),
        (3, Weather(pace=20, sleep=0.06, longest_sleep=3 * GRACE)),
        (3, Weather(pace=20, sleep=0.03, longest_sleep=3 * GRACE, late=0.05, unheard=0.03, twice=0.05)),
    ),
)
CROWDED = Life(
    behind=0.5,
    sweepers=4,
    backup_hours=2,
    sweep_hours=2,
    forget_hours=3,
    undo_hours=4,
    kinds_of_weather=((3, Weather(pace=0.5)), (3, Weather(pace=40)), (2, Weather(pace=20, sleep=0.02, death=0.01))),
)
SHORT_PACKS = Life(kinds_of_weather=((2, Weather(pace=1, short=0.1)), (1, Weather(pace=60))))
LOST_INDEX_FILES = Life(
    lag=timedelta(0),
    lose_index_hours=5,
    sweep_hours=5,
    forget_hours=4,
    hide_hours=0,
    rules=Rules(undo=timedelta(hours=4)),
    kinds_of_weather=(
        (3, Weather(pace=0.5)),
        (3, Weather(pace=20, sleep=0.03, longest_sleep=3 * GRACE)),
        (1, Weather(pace=10, death=0.02)),
    ),
)
HIDDEN_SNAPSHOTS = Life(
    lag=timedelta(0),
    sweep_hours=4,
    hide_hours=40,
    kinds_of_weather=((1, Weather(pace=0.5)), (1, Weather(pace=20, death=0.01))),
)
ROTATED_KEYS = Life(
    rotate_hours=10,
    rules=Rules(undo=timedelta(hours=28), most_resealed=60_000, always_resealed=60_000),
)
ROTATED_DURING_NAPS = replace(
    NAPS_BEFORE_PUBLISHING,
    rotate_hours=12,
    rules=Rules(undo=timedelta(hours=2), most_resealed=60_000, always_resealed=60_000),
)
SLOW_UPLOADS = Life(
    writers=3,
    slow_hours=12,
    sweep_hours=12,
    kinds_of_weather=((3, Weather(pace=0.5)), (2, Weather(pace=60)), (1, Weather(pace=20, refused=0.02, unheard=0.02))),
)
NOTHING_WRONG = Life(lag=timedelta(0), hide_hours=0, quarantine_hours=0, kinds_of_weather=((1, Weather(pace=0.5)),))

LIVES = {
    "everything": Life(),
    "true listings": Life(lag=timedelta(0)),
    "asleep": ASLEEP,
    "naps before publishing": NAPS_BEFORE_PUBLISHING,
    "sweeps of days": SWEEPS_OF_DAYS,
    "short packs": SHORT_PACKS,
    "hidden snapshots": HIDDEN_SNAPSHOTS,
    "late requests": LATE_REQUESTS,
    "crowded": CROWDED,
    "rotated keys": ROTATED_KEYS,
    "rotated during naps": ROTATED_DURING_NAPS,
    "lost index files": LOST_INDEX_FILES,
    "slow uploads": SLOW_UPLOADS,
}


@pytest.mark.parametrize(("seed", "life"), list(enumerate(LIVES, start=1)))
def test_no_snapshot_is_lost_and_no_garbage_stays(seed: int, life: str) -> None:
    report = simulate(seed, requests=2_000, life=LIVES[life])
    assert not report.wrong, str(report)
    assert {"commits", "removed", "restored"} <= report.seen.keys()
    assert not LIVES[life].rotate_hours or report.seen["sealed anew"]


def test_a_seed_tells_the_same_story_each_time() -> None:
    first, second = (simulate(3, requests=500, life=LATE_REQUESTS) for _ in range(2))
    assert first.trace == second.trace


def test_no_sweep_is_refused_where_nothing_is_wrong() -> None:
    report = simulate(1, requests=2_000, life=NOTHING_WRONG)
    assert not report.wrong, str(report)
    assert report.seen["sweeps"] > 20
    assert [what for what in report.seen if what.startswith("refused")] == []


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("life", LIVES)
def test_no_snapshot_is_lost_in_a_long_time(life: str) -> None:
    """80 000 requests in each kind of life. `pytest -s` shows the figures."""
    seen: Counter[str] = Counter()
    for seed in range(1000, 1008):
        report = simulate(seed, requests=10_000, life=LIVES[life])
        assert not report.wrong, str(report)
        seen += report.seen
    print(f"\n{life}", *(f"{count:8} {what}" for what, count in sorted(seen.items())), sep="\n")
    # A writer that slept longer than the grace may leave a snapshot behind that is broken, and that it told nobody of.
    assert seen["broken before anybody was told it was good"] < seen["commits"] / 20


@dataclass(frozen=True, slots=True)
class Lack:
    """A safety step that is left out, and a life in which that loses a snapshot before long."""

    life: Life
    careless: Careless = carelessness.nothing_left_out
    first_seed: int = 1
    """One that shows it soon, when it was looked for last."""


LACKS = {
    "the look before publishing": Lack(SHORT_PACKS, carelessness.no_look_before_publishing),
    "the look after publishing": Lack(NAPS_BEFORE_PUBLISHING, carelessness.no_look_after_publishing, first_seed=5),
    "the grace": Lack(
        replace(NAPS_BEFORE_PUBLISHING, rules=Rules(grace=timedelta(hours=1), undo=timedelta(hours=2))), first_seed=4
    ),
    "the pardon": Lack(SWEEPS_OF_DAYS, carelessness.no_pardon, first_seed=5),
    "that another copy must lie where it can be relied on": Lack(
        SWEEPS_OF_DAYS, carelessness.any_other_copy_will_do, first_seed=20
    ),
    "the census": Lack(HIDDEN_SNAPSHOTS, carelessness.no_census, first_seed=2),
    "new names for what is put back": Lack(Life(), carelessness.old_names_again, first_seed=16),
}


@pytest.mark.parametrize("lack", LACKS)
def test_the_model_notices_what_is_left_out(lack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = LACKS[lack]
    left_out.careless(monkeypatch)
    # Which seed does it changes with every request that somebody makes more or less.
    seeds = range(left_out.first_seed, left_out.first_seed + 25)
    assert any(simulate(seed, requests=5_000, life=left_out.life).lost for seed in seeds)


def test_the_model_notices_when_packs_are_listed_before_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    carelessness.packs_before_verdicts(monkeypatch)
    with a_place() as place:
        assert not relies_only_on_what_is_there(place, "verdicts")


def test_the_model_notices_when_no_verdict_tells_of_what_was_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    carelessness.no_verdict_on_what_is_removed(monkeypatch)
    with a_place() as place:
        assert not relies_only_on_what_is_there_behind(place)


def test_the_model_notices_when_packs_are_removed_long_after_the_snapshots_were_listed() -> None:
    with a_place() as place:
        assert not is_seen_by_a_sweep_that_slept(place, listing_holds=timedelta(days=1))
