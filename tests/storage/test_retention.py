"""Which snapshots stay: each rule by example, and what holds for all of them."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.retention import Candidate, Reason, RetentionLimits, RetentionPlan, plan_retention

NOW = datetime(2022, 2, 22, 9, 30, tzinfo=timezone(timedelta(hours=1)))  # a Tuesday

# What each case shows; the limits; then each snapshot and what becomes of it. None of them is good, so that the rule
# of the last good one stays out of these.
GOLDEN: dict[str, tuple[RetentionLimits, list[tuple[str, str]]]] = {
    "today, yesterday and the future all stay, and use up nothing": (
        RetentionLimits(0, 0, 0),
        [
            ("2035-01-01 00:00", "recent"),
            ("2022-02-23 08:00", "recent"),
            ("2022-02-22 09:00", "recent"),
            ("2022-02-22 08:30", "recent"),
            ("2022-02-21 23:59", "recent"),
            ("2022-02-21 00:00", "recent"),
            ("2022-02-20 23:59", "over-limits"),
        ],
    ),
    "daily keeps the newest of each day": (
        RetentionLimits(3, 0, 0),
        [
            ("2022-02-20 18:00", "daily"),
            ("2022-02-20 06:00", "over-limits"),
            ("2022-02-19 23:59", "daily"),
            ("2022-02-19 00:00", "over-limits"),
            ("2022-02-18 12:00", "daily"),
            ("2022-02-17 12:00", "over-limits"),
        ],
    ),
    "daily counts kept snapshots, not days gone by": (
        RetentionLimits(2, 0, 0),
        [("2021-12-01 10:00", "daily"), ("2020-05-01 10:00", "daily"), ("2019-05-01 10:00", "over-limits")],
    ),
    "a week begins on Monday, and the week of a recent snapshot is taken": (
        RetentionLimits(0, 2, 0),
        [
            ("2022-02-21 07:00", "recent"),
            ("2022-02-20 22:00", "weekly"),  # Sunday of the week before
            ("2022-02-20 21:00", "over-limits"),
            ("2022-02-14 00:00", "over-limits"),  # its Monday
            ("2022-02-13 23:59", "weekly"),
            ("2022-02-06 12:00", "over-limits"),
        ],
    ),
    "the week of the last daily snapshot is taken, too": (
        RetentionLimits(1, 1, 0),
        [
            ("2022-02-18 12:00", "daily"),
            ("2022-02-17 12:00", "over-limits"),
            ("2022-02-14 12:00", "over-limits"),
            ("2022-02-10 12:00", "weekly"),
        ],
    ),
    "a week across the end of a year is one week": (
        RetentionLimits(0, 2, 0),
        [("2022-01-02 12:00", "weekly"), ("2021-12-27 12:00", "over-limits"), ("2021-12-26 12:00", "weekly")],
    ),
    "monthly keeps the newest of each older month, across years": (
        RetentionLimits(0, 0, 3),
        [
            ("2022-02-22 07:00", "recent"),
            ("2022-02-19 12:00", "over-limits"),  # February is taken by today's
            ("2022-01-31 12:00", "monthly"),
            ("2022-01-01 12:00", "over-limits"),
            ("2021-12-31 12:00", "monthly"),
            ("2021-12-01 12:00", "over-limits"),
            ("2020-12-31 12:00", "monthly"),
            ("2020-11-30 12:00", "over-limits"),
        ],
    ),
    "the stages follow one another (Anki's own test case)": (
        RetentionLimits(3, 2, 1),
        [
            ("2022-02-22 00:00", "recent"),
            ("2022-02-21 00:00", "recent"),
            ("2022-02-20 18:00", "daily"),
            ("2022-02-20 06:00", "over-limits"),
            ("2022-02-10 00:00", "daily"),
            ("2022-02-09 00:00", "daily"),
            ("2022-02-07 00:00", "over-limits"),
            ("2022-02-06 02:00", "weekly"),
            ("2022-02-06 01:00", "over-limits"),
            ("2022-01-06 00:00", "weekly"),
            ("2022-01-05 00:00", "over-limits"),
            ("2021-12-24 00:00", "monthly"),
            ("2021-12-01 00:00", "over-limits"),
            ("2021-11-01 00:00", "over-limits"),
        ],
    ),
    "nothing at all": (RetentionLimits(), []),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_rule_decides_as_the_golden_case_says(case: str) -> None:
    limits, expected = GOLDEN[case]
    candidates = [
        Candidate(taken, datetime.fromisoformat(taken).replace(tzinfo=NOW.tzinfo), good=False) for taken, _ in expected
    ]
    plan = plan_retention(reversed(candidates), limits, NOW)
    assert [(decision.candidate.snapshot, decision.reason.value) for decision in plan.decisions] == expected
    assert all(decision.keep == (decision.reason is not Reason.OVER_LIMITS) for decision in plan.decisions)


def test_a_year_of_days_under_the_default_limits_keeps_two_days_twelve_days_ten_weeks_nine_months() -> None:
    candidates = [Candidate(f"{day:04}", NOW - timedelta(days=day), good=True) for day in range(2, 500)]
    reasons = [
        decision.reason for decision in plan_retention(candidates, RetentionLimits(), NOW).decisions if decision.keep
    ]
    assert reasons == [Reason.DAILY] * 12 + [Reason.WEEKLY] * 10 + [Reason.MONTHLY] * 9


def reasons_of(*candidates: Candidate, limits: RetentionLimits | None = None) -> dict[str, str]:
    plan = plan_retention(candidates, limits or RetentionLimits(0, 0, 0), NOW)
    return {decision.candidate.snapshot: decision.reason.value for decision in plan.decisions}


def days_ago(days: float, *, good: bool, name: str = "") -> Candidate:
    return Candidate(name or f"{days} days", NOW - timedelta(days=days), good=good)


def test_the_last_good_snapshot_stays_although_a_newer_bad_one_exists() -> None:
    candidates = [days_ago(0, good=False), days_ago(40, good=False), days_ago(50, good=True), days_ago(60, good=True)]
    assert reasons_of(*candidates) == {
        "0 days": "recent",
        "40 days": "over-limits",
        "50 days": "last-good",
        "60 days": "over-limits",
    }


def test_the_last_good_snapshot_stays_although_a_bad_one_of_the_same_day_is_newer() -> None:
    candidates = [days_ago(5.0, good=False), days_ago(5.1, good=True)]
    limits = RetentionLimits(1, 0, 0)
    assert reasons_of(*candidates, limits=limits) == {"5.0 days": "daily", "5.1 days": "last-good"}


def test_a_snapshot_kept_as_the_last_good_one_uses_up_no_limit() -> None:
    candidates = [days_ago(5.0, good=False), days_ago(5.1, good=True), days_ago(6, good=False), days_ago(7, good=False)]
    assert reasons_of(*candidates, limits=RetentionLimits(2, 0, 0)) == {
        "5.0 days": "daily",
        "5.1 days": "last-good",
        "6 days": "daily",
        "7 days": "over-limits",
    }


def test_where_none_is_good_the_last_that_is_not_suspect_stays() -> None:
    lacking, suspect = days_ago(20, good=False), replace(days_ago(10, good=False), suspect=True)
    older = replace(days_ago(30, good=False), suspect=True)
    assert reasons_of(suspect, lacking, older) == {
        "10 days": "over-limits",
        "20 days": "last",
        "30 days": "over-limits",
    }
    assert reasons_of(suspect, older) == {"10 days": "last", "30 days": "over-limits"}
    assert reasons_of(suspect, lacking, days_ago(40, good=True))["40 days"] == "last-good"


def test_a_good_snapshot_that_the_rule_keeps_is_kept_for_the_rule() -> None:
    assert reasons_of(days_ago(1, good=True), days_ago(9, good=True)) == {"1 days": "recent", "9 days": "over-limits"}


def test_a_good_snapshot_dated_ahead_makes_the_last_good_one_of_the_past_no_less_precious() -> None:
    assert reasons_of(days_ago(-300, good=True), days_ago(9, good=True)) == {
        "-300 days": "recent",
        "9 days": "last-good",
    }


def test_days_are_those_of_each_snapshots_own_offset() -> None:
    # The same hour: still the 20th in New York, already the 21st (yesterday) in Tokyo.
    moment = datetime(2022, 2, 20, 20, 0, tzinfo=UTC)
    west = Candidate("west", moment.astimezone(timezone(timedelta(hours=-5))), good=False)
    east = Candidate("east", moment.astimezone(timezone(timedelta(hours=9))), good=False)
    assert reasons_of(west, east) == {"west": "over-limits", "east": "recent"}


def test_crossing_the_date_line_costs_no_day_its_snapshot() -> None:
    # The one taken later bears the earlier date.
    before = Candidate("before", datetime(2022, 2, 11, 1, 0, tzinfo=timezone(timedelta(hours=12))), good=False)
    after = Candidate("after", datetime(2022, 2, 10, 8, 0, tzinfo=timezone(timedelta(hours=-10))), good=False)
    limits = RetentionLimits(2, 0, 0)
    assert reasons_of(before, after, limits=limits) == {"before": "daily", "after": "daily"}


def test_in_the_hour_that_autumn_repeats_the_second_time_round_is_the_newer() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = Candidate("first", datetime(2021, 10, 31, 2, 45, tzinfo=berlin, fold=0), good=False)
    second = Candidate("second", datetime(2021, 10, 31, 2, 15, tzinfo=berlin, fold=1), good=False)
    limits = RetentionLimits(1, 0, 0)
    assert reasons_of(first, second, limits=limits) == {"second": "daily", "first": "over-limits"}


def test_of_two_at_the_same_moment_the_good_one_stays_and_then_the_later_name() -> None:
    moment = NOW - timedelta(days=30)
    limits = RetentionLimits(1, 0, 0)
    mixed = (Candidate("a", moment, good=True), Candidate("b", moment, good=False))
    assert reasons_of(*mixed, limits=limits) == {"a": "daily", "b": "over-limits"}
    alike = (Candidate("a", moment, good=True), Candidate("b", moment, good=True))
    assert reasons_of(*alike, limits=limits) == {"b": "daily", "a": "over-limits"}


def test_a_snapshot_listed_twice_is_decided_once() -> None:
    twice = [days_ago(30, good=False), days_ago(30, good=False)]
    assert reasons_of(*twice, limits=RetentionLimits(1, 0, 0)) == {"30 days": "daily"}


def test_two_different_snapshots_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="both named x"):
        reasons_of(days_ago(30, good=False, name="x"), days_ago(31, good=False, name="x"))


@pytest.mark.parametrize("limit", [-1, 1.5, "3", None, True, float("inf")])
@pytest.mark.parametrize("name", ["daily", "weekly", "monthly"])
def test_a_limit_that_is_no_whole_number_from_zero_up_is_refused(name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match=f"The {name} limit"):
        RetentionLimits(**{name: limit})


def test_a_time_without_its_offset_is_refused() -> None:
    naive = datetime(2022, 2, 2)  # noqa: DTZ001
    with pytest.raises(ValueError, match="snapshot x lacks its offset"):
        Candidate("x", naive, good=True)
    with pytest.raises(ValueError, match="present time lacks its offset"):
        plan_retention([], RetentionLimits(), naive)


def test_a_plan_reads_as_text_and_as_json() -> None:
    candidates = [
        days_ago(0, good=False, name="new"),
        days_ago(9, good=True, name="old"),
        days_ago(10, good=True, name="older"),
    ]
    plan = plan_retention(candidates, RetentionLimits(0, 0, 0), NOW)
    assert plan.as_text().splitlines() == [
        "Retention on 2022-02-22: 0 daily, 0 weekly, 0 monthly. Of 3 snapshots, 2 stay and 1 go.",
        "stays  2022-02-22 09:30:00+01:00  new  today, yesterday or later",
        "stays  2022-02-13 09:30:00+01:00  old  the last good snapshot always stays",
        "goes   2022-02-12 09:30:00+01:00  older  over the limits",
    ]
    as_json = json.loads(json.dumps(plan.as_json()))
    assert as_json["limits"] == {"daily": 0, "weekly": 0, "monthly": 0}
    assert (as_json["today"], as_json["keeps"], as_json["goes"]) == ("2022-02-22", 2, 1)
    assert as_json["snapshots"][1] == {
        "snapshot": "old",
        "taken_local": "2022-02-13T09:30:00+01:00",
        "good": True,
        "keep": True,
        "reason": "last-good",
    }


def test_a_plan_can_not_be_changed() -> None:
    plan = plan_retention([], RetentionLimits(), NOW)
    with pytest.raises(FrozenInstanceError):
        plan.decisions = ()  # type: ignore[misc]


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
limit_sets = st.builds(RetentionLimits, *[st.integers(0, 6)] * 3)
# Minutes before NOW: dense near it, thin over years, some ahead.
ages = st.one_of(
    st.integers(-3 * 1440, 20 * 1440), st.integers(0, 1200 * 1440), st.integers(0, 60).map(lambda day: day * 1440)
)


@st.composite
def candidate_sets(draw: st.DrawFn, *, one_zone: bool = False) -> list[Candidate]:
    drawn = draw(st.lists(st.tuples(ages, offsets, st.booleans()), max_size=40))
    return [
        Candidate(
            str(number),
            (NOW - timedelta(minutes=age)).astimezone(NOW.tzinfo if one_zone else offset),
            good=good,
        )
        for number, (age, offset, good) in enumerate(drawn)
    ]


def kept(plan: RetentionPlan) -> set[str]:
    return {candidate.snapshot for candidate in plan.keeps}


@given(candidate_sets(), limit_sets)
def test_the_newest_good_snapshot_is_never_removed(candidates: list[Candidate], limits: RetentionLimits) -> None:
    plan = plan_retention(candidates, limits, NOW)
    good = [candidate for candidate in candidates if candidate.good]
    if good:
        newest = max(candidate.taken_local for candidate in good)
        assert any(candidate.good and candidate.taken_local == newest for candidate in plan.keeps)
    past = [candidate for candidate in good if candidate.taken_local <= NOW]
    if past:
        newest = max(candidate.taken_local for candidate in past)
        assert any(candidate.good and candidate.taken_local == newest for candidate in plan.keeps)


@given(candidate_sets(), limit_sets)
def test_every_snapshot_gets_one_decision(candidates: list[Candidate], limits: RetentionLimits) -> None:
    plan = plan_retention(candidates, limits, NOW)
    assert sorted(decision.candidate.snapshot for decision in plan.decisions) == sorted(c.snapshot for c in candidates)
    assert len(plan.keeps) + len(plan.goes) == len(candidates)


@given(candidate_sets(), limit_sets)
def test_planning_again_on_what_stayed_removes_nothing(candidates: list[Candidate], limits: RetentionLimits) -> None:
    first = plan_retention(candidates, limits, NOW)
    second = plan_retention(first.keeps, limits, NOW)
    assert second.goes == ()
    assert second.decisions == tuple(decision for decision in first.decisions if decision.keep)


@given(candidate_sets(), limit_sets, st.randoms(use_true_random=False))
def test_the_order_of_the_listing_changes_nothing(
    candidates: list[Candidate], limits: RetentionLimits, chance: Any
) -> None:
    shuffled = list(candidates)
    chance.shuffle(shuffled)
    assert plan_retention(shuffled, limits, NOW) == plan_retention(candidates, limits, NOW)


def test_a_week_across_two_months_lets_a_larger_daily_limit_keep_less_as_in_anki() -> None:
    # 31 January 2022 lies in the week of 5 February, which is taken, but in an older month, which is not.
    candidates = [days_ago(9, good=False), days_ago(17, good=False), days_ago(22, good=False)]
    kept_for = reasons_of(*candidates, limits=RetentionLimits(0, 2, 1))
    assert kept_for == {"9 days": "weekly", "17 days": "weekly", "22 days": "monthly"}
    kept_for = reasons_of(*candidates, limits=RetentionLimits(1, 2, 1))
    assert kept_for == {"9 days": "daily", "17 days": "weekly", "22 days": "over-limits"}


# Days nest in weeks and in months, but weeks do not nest in months: without one of the two, more is never less.
nested_limit_sets = limit_sets.map(lambda limits: replace(limits, monthly=0)) | limit_sets.map(
    lambda limits: replace(limits, weekly=0)
)


@given(candidate_sets(), nested_limit_sets)
def test_a_larger_daily_limit_never_keeps_less_where_buckets_nest(
    candidates: list[Candidate], limits: RetentionLimits
) -> None:
    larger = replace(limits, daily=limits.daily + 1)
    assert kept(plan_retention(candidates, limits, NOW)) <= kept(plan_retention(candidates, larger, NOW))


@given(candidate_sets(), limit_sets)
def test_a_larger_monthly_limit_never_keeps_less(candidates: list[Candidate], limits: RetentionLimits) -> None:
    larger = replace(limits, monthly=limits.monthly + 1)
    assert kept(plan_retention(candidates, limits, NOW)) <= kept(plan_retention(candidates, larger, NOW))


@given(candidate_sets(one_zone=True), nested_limit_sets, st.integers(0, 400))
def test_time_alone_never_calls_for_a_snapshot_that_an_earlier_plan_let_go(
    candidates: list[Candidate], limits: RetentionLimits, days: int
) -> None:
    past = [candidate for candidate in candidates if candidate.taken_local <= NOW]
    later = plan_retention(past, limits, NOW + timedelta(days=days))
    assert kept(later) <= kept(plan_retention(past, limits, NOW))


@given(candidate_sets(), limit_sets)
def test_no_stage_keeps_more_than_its_limit(candidates: list[Candidate], limits: RetentionLimits) -> None:
    reasons = [decision.reason for decision in plan_retention(candidates, limits, NOW).decisions]
    assert reasons.count(Reason.DAILY) <= limits.daily
    assert reasons.count(Reason.WEEKLY) <= limits.weekly
    assert reasons.count(Reason.MONTHLY) <= limits.monthly
    assert reasons.count(Reason.LAST_GOOD) <= 1


@given(
    st.lists(
        st.datetimes(min_value=datetime.min, max_value=datetime.max, timezones=offsets),  # noqa: DTZ901
        max_size=8,
    ),
    limit_sets,
)
def test_any_date_that_a_manifest_can_hold_gets_a_decision(dates: list[datetime], limits: RetentionLimits) -> None:
    candidates = [Candidate(str(number), taken, good=True) for number, taken in enumerate(dates)]
    plan = plan_retention(candidates, limits, NOW)
    assert plan.today == date(2022, 2, 22)
    assert len(plan.decisions) == len(dates)
    assert plan.keeps or not dates


def thinned_by_anki(last: datetime) -> list[Candidate]:
    """What Anki itself leaves of a backup every eight hours for a year and a half, at the time of the last one."""
    every = [last - timedelta(hours=8 * back) for back in range(3 * 540)]
    candidates = [Candidate(f"anki {moment}", moment, good=True, adopted=True) for moment in every]
    return list(plan_retention(candidates, RetentionLimits(), last).keeps)


def test_a_year_of_adopted_backups_outlives_the_next_prune() -> None:
    adopted = thinned_by_anki(NOW - timedelta(minutes=20))
    plan = plan_retention([*adopted, days_ago(0, good=True, name="routine")], RetentionLimits(), NOW)
    assert len(adopted) > 30
    assert plan.goes == ()


def test_adopted_snapshots_go_as_routine_ones_take_their_place_in_the_course_of_time() -> None:
    adopted = thinned_by_anki(NOW)
    later = NOW + timedelta(days=600)
    routine = [Candidate(f"day {day}", NOW + timedelta(days=day), good=True) for day in range(1, 600)]
    assert not any(kept.adopted for kept in plan_retention([*adopted, *routine], RetentionLimits(), later).keeps)


def test_where_there_is_nothing_else_the_last_adopted_snapshot_is_the_last_good_one() -> None:
    adopted = [replace(days_ago(age, good=True), adopted=True) for age in (30, 31)]
    assert reasons_of(*adopted) == {"30 days": "last-good", "31 days": "over-limits"}


@given(
    own=st.lists(st.tuples(st.floats(0, 500), st.booleans()), max_size=30),
    adopted=st.lists(st.floats(0, 500), max_size=30),
    limits=st.builds(RetentionLimits, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
)
def test_what_stays_of_other_snapshots_is_as_if_none_had_been_adopted(
    own: list[tuple[float, bool]], adopted: list[float], limits: RetentionLimits
) -> None:
    others = [days_ago(age, good=good, name=f"own {number}") for number, (age, good) in enumerate(own)]
    more = [
        replace(days_ago(age, good=True, name=f"adopted {number}"), adopted=True) for number, age in enumerate(adopted)
    ]
    alone, together = plan_retention(others, limits, NOW), plan_retention([*others, *more], limits, NOW)
    assert [decision for decision in together.decisions if not decision.candidate.adopted] == list(alone.decisions)
    assert len(together.decisions) == len(others) + len(more)
    assert len([kept for kept in together.keeps if kept.adopted and kept.moment < _two_days_ago()]) <= (
        limits.daily + limits.weekly + limits.monthly + 1
    )


def _two_days_ago() -> timedelta:
    return NOW - timedelta(days=2) - datetime(1970, 1, 1, tzinfo=UTC)
