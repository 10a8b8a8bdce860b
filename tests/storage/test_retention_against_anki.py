"""Our plan beside what the real Anki deletes: the same files must survive."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from anki.collection import Collection

from storage.retention import Candidate, RetentionLimits, plan_retention

ROUNDS_PER_ZONE = 70
NAME_FORMAT = "backup-%Y-%m-%d-%H.%M.%S.colpkg"

# POSIX rules rather than names of cities, so that no zone database is needed.
ZONES = {
    "as-the-machine": None,
    "berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "new-york": "EST5EDT,M3.2.0,M11.1.0",
    "lord-howe-half-hour-dst": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "east-of-the-date-line": "<-11>11",
    "west-of-the-date-line": "<+14>-14",
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    opened = Collection(str(tmp_path_factory.mktemp("profile") / "collection.anki2"))
    yield opened
    opened.close()


@pytest.fixture(params=ZONES.values(), ids=list(ZONES))
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param is None:
        yield
        return
    if sys.platform == "win32":
        pytest.skip("Windows takes no time zone from the environment")
    # Anki thins in a new thread each time, and a new thread of its time library looks at TZ anew.
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_plan_keeps_exactly_the_files_that_anki_keeps(collection: Collection, zone: None, tmp_path: Path) -> None:
    chance = random.Random(20220308)
    for turn in range(ROUNDS_PER_ZONE):
        limits = chance_limits(chance)
        names = chance_names(chance)
        folder = tmp_path / str(turn)

        before, survivors, after = thinned_by_anki(collection, folder, names, limits)
        while before.date() != after.date():  # midnight fell into this round
            before, survivors, after = thinned_by_anki(collection, folder, names, limits)

        (fresh,) = survivors - names
        assert before.strftime(NAME_FORMAT) <= fresh <= after.strftime(NAME_FORMAT), "Anki is in another time zone"
        candidates = [made for name in names | survivors if (made := candidate(name)) is not None]
        # Not before: Anki's own backup of this moment is the last of all, which the rule never takes.
        plan = plan_retention(candidates, limits, after)
        # A name within the hour that the clock skips in spring is no backup to Anki, so it stays untouched.
        skipped = {name for name in names if candidate(name) is None}
        kept_by_the_rule = {kept.snapshot for kept in plan.keeps}
        assert survivors == kept_by_the_rule | skipped, (limits, sorted(names))


def thinned_by_anki(
    collection: Collection, folder: Path, names: set[str], limits: RetentionLimits
) -> tuple[datetime, set[str], datetime]:
    """Let Anki add a backup to a folder of `names` and thin it: the time before, the names left, the time after."""
    folder.mkdir(exist_ok=True)
    for left_over in folder.iterdir():
        left_over.unlink()
    for name in names:
        (folder / name).touch()
    before = datetime.now().astimezone()
    collection.set_config(
        "backups",
        {
            "daily": limits.daily,
            "weekly": limits.weekly,
            "monthly": limits.monthly,
            "minimum_interval_mins": 30,
        },
    )
    # Anki writes no second backup of an unchanged collection, even when forced.
    collection.set_config("changed", before.isoformat())
    assert collection.create_backup(backup_folder=str(folder), force=True, wait_for_completion=True)
    return before, {path.name for path in folder.iterdir()}, datetime.now().astimezone()


def candidate(name: str) -> Candidate | None:
    """The file as Anki reads its name: the later of two moments in autumn, none in the skipped hour of spring.

    None of these is good, so that nothing but Anki's rule decides.
    """
    wall_time = datetime.strptime(name, NAME_FORMAT)  # noqa: DTZ007 (a name holds no zone)
    aware = wall_time.replace(fold=1).astimezone()
    if aware.replace(tzinfo=None, fold=0) != wall_time:
        return None
    return Candidate(name, aware, good=False)


def chance_limits(chance: random.Random) -> RetentionLimits:
    if chance.random() < 0.2:
        return RetentionLimits()
    return RetentionLimits(*(chance.choice([0, 0, 1, 2, 3, 5, 8]) for _ in range(3)))


def chance_names(chance: random.Random) -> set[str]:
    """Up to some fifty names: clusters, gaps, full days, ends of weeks, months and years, clock changes, the future."""
    now = datetime.now()  # noqa: DTZ005 (wall time is what names hold)
    moments: list[datetime] = []
    for _ in range(chance.randint(0, 5)):
        moments.extend(chance.choice(PATTERNS)(chance, now))
    return {moment.strftime(NAME_FORMAT) for moment in moments}


def scattered(chance: random.Random, now: datetime) -> list[datetime]:
    return [now - timedelta(seconds=chance.randint(3600, 900 * 86400)) for _ in range(chance.randint(1, 10))]


def one_each_day(chance: random.Random, now: datetime) -> list[datetime]:
    newest = now - timedelta(days=chance.randint(0, 200), hours=chance.randint(0, 23))
    return [newest - timedelta(days=day) for day in range(chance.randint(2, 25))]


def one_each_week(chance: random.Random, now: datetime) -> list[datetime]:
    newest = now - timedelta(days=chance.randint(0, 100))
    return [newest - timedelta(days=7 * week + chance.randint(0, 2)) for week in range(chance.randint(2, 15))]


def several_in_a_day(chance: random.Random, now: datetime) -> list[datetime]:
    day = (now - timedelta(days=chance.randint(1, 60))).replace(hour=0, minute=0, second=0)
    seconds = [0, 1, 86398, 86399, *(chance.randint(0, 86399) for _ in range(3))]
    return [day + timedelta(seconds=second) for second in seconds]


def around_now(chance: random.Random, now: datetime) -> list[datetime]:
    hours = [-60, -49, -48, -47, -36, -25, -24, -23, -12, 12, 24, 36, 24 * 40, 24 * 400]
    return [now + timedelta(hours=hour, minutes=1) for hour in chance.sample(hours, chance.randint(1, 8))]


def around_the_end_of_a_year(chance: random.Random, now: datetime) -> list[datetime]:
    new_year = datetime(now.year - chance.randint(0, 3), 1, 1)  # noqa: DTZ001
    return [new_year + timedelta(hours=chance.randint(-24 * 9, 24 * 9)) for _ in range(chance.randint(2, 10))]


def around_the_end_of_a_month(chance: random.Random, now: datetime) -> list[datetime]:
    month = datetime(now.year - chance.randint(0, 1), chance.randint(1, 12), 1)  # noqa: DTZ001
    return [month + timedelta(hours=chance.randint(-40, 40)) for _ in range(chance.randint(2, 6))]


def around_clock_changes(chance: random.Random, now: datetime) -> list[datetime]:
    """Between midnight and four on each day of the first and last weeks of the months in which clocks change."""
    year = now.year - chance.randint(0, 1)
    month = chance.choice([3, 4, 10, 11])
    day = datetime(year, month, chance.choice([1, 8, 22]))  # noqa: DTZ001
    return [day + timedelta(days=offset, minutes=chance.randint(0, 239)) for offset in range(9) for _ in range(2)]


PATTERNS = [
    scattered,
    one_each_day,
    one_each_week,
    several_in_a_day,
    around_now,
    around_the_end_of_a_year,
    around_the_end_of_a_month,
    around_clock_changes,
]
