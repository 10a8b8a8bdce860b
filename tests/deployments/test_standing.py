"""How a profile stands, by what the audit table and the server tell of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployments.catalog import Machine, deployment_of
from deployments.local.plans import Planned, PlannedFurther, Ran
from deployments.standing import FurtherStanding, Standing, further_standings, standings
from storage.format.audit_row import AuditRow, Outcome

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MACHINE = Machine("laptop", "UTC", ("Ada",), overdue_hours=26)


def row(
    outcome: str, ago: timedelta, *, profile: str = "Ada", host: str = "laptop", reason: str | None = None
) -> AuditRow:
    at = NOW - ago
    return AuditRow(
        action="backup",
        profile=profile,
        profile_key="ada-00000000",
        started_at=at,
        started_local=at.isoformat(),
        finished_at=at,
        host=host,
        repository_id="0" * 32,
        outcome=Outcome(outcome),
        reason=reason,
        message=f"it {outcome}",
        recollect_version="1",
        python_version="3",
        platform="it",
    )


def plan(
    *, on_server: bool = True, active: bool = True, due_in: timedelta | None = HOUR, ran: Ran | None = None
) -> Planned:
    following = None if due_in is None else NOW + due_in
    return Planned(deployment_of("Ada", "laptop"), on_server, active, following, ran)


def ran(state: str, ago: timedelta) -> Ran:
    return Ran(state, state == "Completed", NOW - ago, f"it {state}")


def standing(*rows: AuditRow, plans: tuple[Planned, ...] | None = (plan(),)) -> Standing:
    (found,) = standings(MACHINE, rows, plans, NOW)
    return found


def test_a_profile_with_a_good_backup_of_late_is_well() -> None:
    found = standing(row("unchanged", HOUR), row("completed", 2 * HOUR))
    assert (found.last, found.last_at, found.good_at) == ("unchanged", NOW - HOUR, NOW - HOUR)
    assert (found.next_run, found.trouble, found.message) == (NOW + HOUR, None, "it unchanged")


def test_a_busy_profile_is_well_as_long_as_the_last_good_backup_is_not_too_old() -> None:
    found = standing(row("skipped", HOUR), row("completed", 25 * HOUR))
    assert (found.last, found.good_at, found.trouble) == ("skipped", NOW - 25 * HOUR, None)
    found = standing(row("skipped", HOUR), row("completed", 27 * HOUR))
    assert found.trouble == "It had no good backup for 27 hours"


def test_a_last_backup_that_failed_is_trouble_until_one_goes_well() -> None:
    assert standing(row("failed", HOUR), row("completed", 2 * HOUR)).trouble == "Its last backup went wrong"
    assert standing(row("completed", HOUR), row("failed", 2 * HOUR)).trouble is None


def test_a_suspect_backup_is_trouble_and_no_good_one() -> None:
    found = standing(row("completed", HOUR, reason="suspect"), row("completed", 3 * HOUR))
    assert (found.last, found.good_at) == ("suspect", NOW - 3 * HOUR)
    assert "suspect" in str(found.trouble)
    assert found.ended_badly


def test_a_suspect_profile_that_did_not_change_since_stays_trouble() -> None:
    rows = (row("unchanged", HOUR, reason="suspect"), row("completed", 3 * HOUR))
    found = standing(*rows, plans=(plan(ran=ran("Unchanged", HOUR)),))
    assert (found.last, found.good_at, found.ended_badly) == ("suspect", NOW - 3 * HOUR, True)
    assert "suspect" in str(found.trouble)


@pytest.mark.parametrize("state", ["Crashed", "Failed"])
def test_a_run_that_ended_before_it_could_write_its_row_counts(state: str) -> None:
    found = standing(row("completed", 2 * HOUR), plans=(plan(ran=ran(state, HOUR)),))
    assert (found.last, found.last_at, found.message) == (state.lower(), NOW - HOUR, f"it {state}")
    assert found.trouble == "Its last backup went wrong"
    older = standing(row("completed", HOUR), plans=(plan(ran=ran(state, 2 * HOUR)),))
    assert (older.last, older.trouble) == ("completed", None)


def test_a_run_that_was_left_out_because_another_was_under_way_is_no_trouble() -> None:
    assert standing(row("completed", 2 * HOUR), plans=(plan(ran=ran("Cancelled", HOUR)),)).trouble is None


def test_the_server_can_tell_of_a_good_run_when_the_table_cannot_be_read() -> None:
    assert standing(plans=(plan(ran=ran("Completed", HOUR)),)).trouble is None
    # Skipped is a completed run, for Prefect.
    assert standing(plans=(plan(ran=Ran("Skipped", True, NOW, "")),)).trouble is not None


def test_a_profile_that_was_never_backed_up_is_trouble_and_rows_of_others_do_not_count() -> None:
    for rows in ((), (row("completed", HOUR, profile="Ben"),), (row("completed", HOUR, host="desktop"),)):
        found = standing(*rows)
        assert (found.last, found.good_at) == (None, None)
        assert "never backed up" in str(found.trouble)


@pytest.mark.parametrize(
    ("planned", "trouble"),
    [
        (plan(on_server=False), "It is not scheduled yet, and will be within half an hour"),
        (plan(active=False), "Its schedule is switched off"),
        (plan(due_in=-HOUR), "Its next backup should have begun, and did not"),
        (plan(due_in=-timedelta(minutes=1)), None),
        (plan(due_in=None), None),
    ],
)
def test_what_keeps_the_next_backup_from_coming_is_trouble(planned: Planned, trouble: str | None) -> None:
    assert standing(row("completed", HOUR), plans=(planned,)).trouble == trouble


def further(ran: Ran | None = None, due_in: timedelta = HOUR, off: tuple[str, ...] = ()) -> FurtherStanding:
    last = {} if ran is None else {"Ada": ran}
    (found,) = further_standings(MACHINE, [PlannedFurther("offsite", ("Ada",), off, NOW + due_in, last)], NOW)
    return found


@pytest.mark.parametrize(
    ("last", "due_in", "trouble"),
    [
        (None, HOUR, None),
        (ran("Completed", 30 * HOUR), HOUR, None),
        (ran("Unchanged", HOUR), HOUR, None),
        (ran("Skipped", 49 * HOUR), HOUR, None),
        (ran("Completed", 51 * HOUR), HOUR, "Ada: no backup for 51 hours"),
        (ran("Failed", HOUR), HOUR, "Ada: failed, it Failed"),
        (ran("Suspect", HOUR), HOUR, "Ada: its last backup looks suspect"),
        (ran("Completed", HOUR), -HOUR, "Its next backup should have begun, and did not"),
    ],
)
def test_how_the_backups_to_a_further_repository_stand(
    last: Ran | None, due_in: timedelta, trouble: str | None
) -> None:
    assert further(last, due_in).trouble == trouble


def test_a_place_that_fails_for_all_is_told_in_one_short_sentence() -> None:
    names = tuple(f"User {number}" for number in range(40))
    plan = PlannedFurther("offsite", names, (), None, dict.fromkeys(names, Ran("Failed", False, NOW, "it is away")))
    (found,) = further_standings(replace(MACHINE, profiles=names), [plan], NOW)
    assert str(found.trouble).startswith("User 0: failed, it is away; User 1: failed")
    assert str(found.trouble).endswith("; and 37 more profiles")


def test_a_profile_that_somebody_keeps_from_a_further_repository_is_no_trouble() -> None:
    found = further(off=("Ben",))
    assert (found.profiles, found.off, found.trouble) == (("Ada",), ("Ben",), None)


def test_without_a_server_the_table_alone_tells() -> None:
    found = standing(row("completed", HOUR), plans=None)
    assert (found.last, found.next_run, found.trouble) == ("completed", None, None)
