"""Which snapshots of a profile stay and which go: Anki's own rule to the letter, and the last good one always.

This only decides; removing is another's work. The rule is that of Anki's `rslib/src/collection/backup.rs`
(`BackupFilter`), so a learner's limits mean here what they mean in Anki:

1. Snapshots of today, of yesterday and of the future stay, and use up no limit.
2. The next ones stay as *daily* while that limit lasts: the newest of each day.
3. Then as *weekly*: the newest of each week (from Monday), if that week is older than the last kept snapshot's.
4. Then as *monthly*, likewise by calendar month.
5. When all limits are used up, the rest goes.

Limits count kept snapshots, not elapsed time. Days are calendar days of each snapshot's own local time.

Adopted snapshots, made of backups that Anki itself had written, stand in this line with all others; but what stays of
the others is decided as if they were not there. They lack the media mostly, and must push out none that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reason(StrEnum):
    """Why a snapshot stays or goes."""

    RECENT = "recent"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    LAST_GOOD = "last-good"
    LAST = "last"
    OVER_LIMITS = "over-limits"

    @property
    def explanation(self) -> str:
        """The reason as a person should read it."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Reason.RECENT: "today, yesterday or later",
    Reason.DAILY: "newest of its day",
    Reason.WEEKLY: "newest of its week",
    Reason.MONTHLY: "newest of its month",
    Reason.LAST_GOOD: "the last good snapshot always stays",
    Reason.LAST: "none is good, and this one is the last that does not look wrong, or the last of all",
    Reason.OVER_LIMITS: "over the limits",
}


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """How many daily, weekly and monthly snapshots stay. The defaults are Anki's.

    Raises ValueError for anything but whole numbers from 0 up: a limit that is quietly ignored costs backups.
    """

    daily: int = 12
    weekly: int = 10
    monthly: int = 9

    def __post_init__(self) -> None:
        for name, limit in (("daily", self.daily), ("weekly", self.weekly), ("monthly", self.monthly)):
            if type(limit) is not int or limit < 0:
                raise ValueError(f"The {name} limit must be a whole number, 0 or more, and not {limit!r}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot to decide on.

    `taken_local` is the local wall time with its own offset, as the manifest holds it (ValueError without an
    offset). `good` is true for a snapshot that was proven and is not suspect, `suspect` for one that looks wrong,
    `adopted` for one that was made of a backup of Anki's own.
    """

    snapshot: str
    taken_local: datetime
    good: bool
    suspect: bool = False
    adopted: bool = False

    def __post_init__(self) -> None:
        if self.taken_local.utcoffset() is None:
            raise ValueError(f"The time of snapshot {self.snapshot} lacks its offset from UTC")

    @property
    def moment(self) -> timedelta:
        """The time since 1970 in UTC. Subtracting sees the offset even where the same zone repeats an hour."""
        return self.taken_local - _EPOCH


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one snapshot, and why."""

    candidate: Candidate
    keep: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """A decision on each snapshot, newest first (by its own calendar day, then by the moment)."""

    limits: RetentionLimits
    today: date
    decisions: tuple[Decision, ...]

    @property
    def keeps(self) -> tuple[Candidate, ...]:
        """The snapshots that stay, newest first."""
        return tuple(decision.candidate for decision in self.decisions if decision.keep)

    @property
    def goes(self) -> tuple[Candidate, ...]:
        """The snapshots that go, newest first."""
        return tuple(decision.candidate for decision in self.decisions if not decision.keep)

    def as_text(self) -> str:
        """The plan as lines for a person: a heading, then one line per snapshot."""
        heading = (
            f"Retention on {self.today.isoformat()}: {self.limits.daily} daily, {self.limits.weekly} weekly, "
            f"{self.limits.monthly} monthly. Of {len(self.decisions)} snapshots, {len(self.keeps)} stay and "
            f"{len(self.goes)} go."
        )
        lines = [
            f"{'stays' if decision.keep else 'goes '}  {decision.candidate.taken_local.isoformat(' ', 'seconds')}  "
            f"{decision.candidate.snapshot}  {decision.reason.explanation}"
            for decision in self.decisions
        ]
        return "\n".join([heading, *lines])

    def as_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold."""
        return {
            "today": self.today.isoformat(),
            "limits": {"daily": self.limits.daily, "weekly": self.limits.weekly, "monthly": self.limits.monthly},
            "keeps": len(self.keeps),
            "goes": len(self.goes),
            "snapshots": [
                {
                    "snapshot": decision.candidate.snapshot,
                    "taken_local": decision.candidate.taken_local.isoformat(),
                    "good": decision.candidate.good,
                    "keep": decision.keep,
                    "reason": decision.reason.value,
                }
                for decision in self.decisions
            ],
        }


def plan_retention(candidates: Iterable[Candidate], limits: RetentionLimits, now_local: datetime) -> RetentionPlan:
    """Decide on each of one profile's snapshots by Anki's rule, and keep the last good one whatever the rule says.

    Where none is good the last that is not suspect stays, and where all are suspect the last of all.

    `now_local` is the present with the profile's own offset: its date is "today". The last good snapshot is the
    newest good one that is not dated after now: a clock that ran ahead must not make an older one expendable (the
    ones dated ahead stay anyway). A snapshot kept only for that reason uses up no limit.

    Adopted snapshots are decided on among all others, and all others as if there were no adopted ones.

    Raises ValueError if `now_local` lacks an offset, or if two different candidates bear the same name.
    """
    if now_local.utcoffset() is None:
        raise ValueError("The present time lacks its offset from UTC")
    newest_first = _newest_first(candidates)
    decisions = _decisions(newest_first, limits, now_local)
    if any(candidate.adopted for candidate in newest_first):
        own = iter(_decisions([one for one in newest_first if not one.adopted], limits, now_local))
        decisions = [decision if decision.candidate.adopted else next(own) for decision in decisions]
    return RetentionPlan(limits, now_local.date(), tuple(decisions))


def _decisions(newest_first: Sequence[Candidate], limits: RetentionLimits, now_local: datetime) -> list[Decision]:
    last, why = _last_to_rely_on(newest_first, now_local - _EPOCH)
    decisions = []
    for candidate, reason in _by_ankis_rule(newest_first, limits, now_local.date()):
        if reason is Reason.OVER_LIMITS and candidate is last:
            decisions.append(Decision(candidate, keep=True, reason=why))
        else:
            decisions.append(Decision(candidate, keep=reason is not Reason.OVER_LIMITS, reason=reason))
    return decisions


def _newest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each candidate once, in an order that depends on nothing but the candidates.

    The calendar day comes before the moment, so that days never rise again for someone who crosses the date line
    (Anki sorts by wall time, too). Of two at the same moment a good one counts as the newer.
    """
    named: dict[str, Candidate] = {}
    for candidate in candidates:
        # A name listed twice must not be kept once and deleted once.
        if named.setdefault(candidate.snapshot, candidate) != candidate:
            raise ValueError(f"Two different snapshots are both named {candidate.snapshot}")
    return sorted(
        named.values(),
        key=lambda candidate: (
            candidate.taken_local.date(),
            candidate.moment,
            candidate.good,
            candidate.snapshot,
        ),
        reverse=True,
    )


def _last_to_rely_on(candidates: Sequence[Candidate], now: timedelta) -> tuple[Candidate | None, Reason]:
    """What stays whatever the rule says, and why."""
    past = [candidate for candidate in candidates if candidate.moment <= now]
    good = [candidate for candidate in past if candidate.good]
    best = [candidate for candidate in past if not candidate.suspect] or past
    if good:
        return max(good, key=lambda candidate: (candidate.moment, candidate.snapshot)), Reason.LAST_GOOD
    # Of several at one moment the first of the order, which is the likeliest to stay anyway.
    return max(best, key=lambda candidate: candidate.moment, default=None), Reason.LAST


# Numbers that grow by one from each day, week or month to the next.
_BUCKETS: dict[Reason, Callable[[date], int]] = {
    Reason.DAILY: lambda day: day.toordinal(),
    Reason.WEEKLY: lambda day: (day.toordinal() - 1) // 7,  # day 1, 0001-01-01, was a Monday
    Reason.MONTHLY: lambda day: day.year * 12 + day.month,
}


def _by_ankis_rule(
    newest_first: Iterable[Candidate], limits: RetentionLimits, today: date
) -> Iterator[tuple[Candidate, Reason]]:
    """Anki's `obsolete_backups`, `mark_fresh_or_obsolete` and `mark_fresh`, one decision at a time."""
    remaining = {Reason.DAILY: limits.daily, Reason.WEEKLY: limits.weekly, Reason.MONTHLY: limits.monthly}
    # One memory for all stages, the recent one included: a week that a daily snapshot stands for is taken.
    last_kept: date | None = None
    for candidate in newest_first:
        day = candidate.taken_local.date()
        if day.toordinal() >= today.toordinal() - 1:
            reason = Reason.RECENT
        else:
            reason = _stage_decision(day, last_kept, remaining)
        if reason in remaining:
            remaining[reason] -= 1
        if reason is not Reason.OVER_LIMITS:
            last_kept = day
        yield candidate, reason


def _stage_decision(day: date, last_kept: date | None, remaining: Mapping[Reason, int]) -> Reason:
    """The first stage with anything left decides alone: what it does not take, no later stage is asked about."""
    stage = next((stage for stage, count in remaining.items() if count > 0), None)
    if stage is None:
        return Reason.OVER_LIMITS
    bucket = _BUCKETS[stage]
    return stage if last_kept is None or bucket(day) < bucket(last_kept) else Reason.OVER_LIMITS
