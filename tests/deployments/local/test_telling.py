from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from deployments.catalog import FOR_ALL, deployment_of
from deployments.local.home import Home
from deployments.local.plans import Planned, PlannedFurther
from deployments.local.telling import lines_when_up, moment_by

NOW = datetime(2026, 5, 4, 12, 0).astimezone()
HOME = Home(Path("/state/prefect"))
URL = "http://127.0.0.1:4300"


def lines(*plans: Planned, joined: bool = False, further: Sequence[PlannedFurther] = ()) -> list[str]:
    return list(lines_when_up(URL, plans, HOME, further=further, joined=joined))


def test_each_profile_is_told_with_its_next_backup_and_so_is_the_care_for_all() -> None:
    half_past = datetime.now().astimezone().replace(hour=12, minute=30)
    told = lines(
        *(Planned(deployment_of(name, "laptop"), True, True, half_past) for name in ("Ada", "Benjamin")),
        *(Planned(deployment, True, True, datetime(2031, 5, 4, 3, 15).astimezone()) for deployment in FOR_ALL),
    )
    assert told == [
        f"Recollect is up at {URL}",
        "Backups:",
        "  Ada       every half hour, next at 12:30",
        "  Benjamin  every half hour, next at 12:30",
        "prune: daily at 3:15, next on 2031-05-04 at 03:15",
        "verify: on Sundays at 4:45, next on 2031-05-04 at 03:15",
        f"Logs: {HOME.logs}",
    ]


def test_each_further_repository_is_one_line_however_many_profiles_go_there() -> None:
    names = tuple(f"User {number}" for number in range(40))
    soon = datetime(2031, 5, 4, 13, 5).astimezone()
    told = lines(
        further=[
            PlannedFurther("offsite", names, (), soon, {}),
            PlannedFurther("usb", names[:30], names[30:], None, {}),
            PlannedFurther("old", (), names, None, {}),
            PlannedFurther("empty", (), (), None, {}),
        ]
    )
    assert told[2:-1] == [
        "Also to offsite: all of these, once a day, next on 2031-05-04 at 13:05",
        "Also to usb: 30 of these 40, once a day",
        "Also to old: switched off",
    ]


def test_what_does_not_run_by_itself_is_told() -> None:
    off, missing, unplanned, with_all = (deployment_of(name, "laptop") for name in ("Ada", "Ben", "Cara", "Dora"))
    told = lines(
        Planned(off, True, False),
        Planned(missing, False, False),
        Planned(unplanned, True, True),
        Planned(with_all, True, True, datetime(2031, 5, 4, 3, 15).astimezone(), within="back-up-all"),
    )
    assert told[2:6] == [
        "  Ada   every half hour, but switched off",
        "  Ben   not on the server",
        "  Cara  every half hour",
        "  Dora  with back-up-all, next on 2031-05-04 at 03:15",
    ]


def test_a_computer_without_profiles_and_a_server_of_others_are_told() -> None:
    told = lines(joined=True)
    assert "a server that it did not start" in told[0]
    assert "No profile was found" in told[1]


def test_a_moment_of_today_is_told_by_the_clock_alone() -> None:
    assert moment_by(NOW + timedelta(hours=1), NOW) == "at 13:00"
    assert moment_by(NOW + timedelta(hours=12), NOW) == "on 2026-05-05 at 00:00"
