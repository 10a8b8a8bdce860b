"""How each profile of this computer stands: its last backup, its next one, and whether it went without for too long.

Two places tell of what was: the audit table of every backup that wrote its row, by whomever it was started, and the
server of runs that never got so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.catalog import Machine
from deployments.local.plans import Planned, PlannedFurther, Ran
from storage.format.audit_row import AuditRow, Outcome
from tasks.audit import SUSPECT, Report

_GOOD = {Outcome.COMPLETED, Outcome.UNCHANGED}
_GOOD_STATES = {"Completed", "Unchanged"}
_ENDED_EARLY = {"Failed", "Crashed"}
_LATE = timedelta(minutes=5)
"""A worker that lives begins a run within seconds of when it is due."""
_HOUR = timedelta(hours=1)
_NAMED = 3
_APART_H = 24
"""Backups to further repositories are a day apart."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one profile stands. Moments are None where there is none that is known."""

    profile: str
    last: str | None
    """How the last backup ended, in a word: an outcome of the audit table, *suspect*, or a state of Prefect's."""
    last_at: datetime | None
    message: str
    good_at: datetime | None
    """When the last backup ended that left the profile protected."""
    next_run: datetime | None
    trouble: str | None
    """What is wrong with that, in a sentence; None when nothing is."""

    @property
    def ended_badly(self) -> bool:
        """Whether somebody should read the message that the last backup ended with."""
        return self.last is not None and self.last not in {*_GOOD, Outcome.SKIPPED}


@dataclass(frozen=True, slots=True)
class FurtherStanding:
    """How the backups to one further repository stand."""

    repository: str
    profiles: tuple[str, ...]
    """Those that are backed up there by themselves."""
    off: tuple[str, ...]
    """Those whose schedule there is switched off, or not made yet. A person chose that, so it is no trouble."""
    next_run: datetime | None
    trouble: str | None
    """What is wrong, by profile and in a sentence; None when nothing is."""


def further_standings(machine: Machine, plans: Iterable[PlannedFurther], now: datetime) -> tuple[FurtherStanding, ...]:
    """How the backups to further repositories stand, by what the server tells of their last runs."""
    return tuple(
        FurtherStanding(
            plan.repository,
            plan.profiles,
            plan.off,
            plan.next_run,
            _troubles_of_further(machine, plan, now) or _late(plan.next_run, now),
        )
        for plan in plans
    )


def _troubles_of_further(machine: Machine, plan: PlannedFurther, now: datetime) -> str:
    found = [(profile, _trouble_of_further(machine, plan.last_runs.get(profile), now)) for profile in plan.profiles]
    told = [f"{profile}: {trouble}" for profile, trouble in found if trouble]
    # A place that can't be reached is the same trouble for all.
    return "; ".join(told[:_NAMED]) + (f"; and {len(told) - _NAMED} more profiles" if len(told) > _NAMED else "")


def _trouble_of_further(machine: Machine, ran: Ran | None, now: datetime) -> str | None:
    if ran is None:
        return None
    if ran.state in _ENDED_EARLY:
        return f"{ran.state.lower()}, {ran.message}" if ran.message else ran.state.lower()
    if ran.state == SUSPECT.capitalize():
        return "its last backup looks suspect"
    hours = (now - ran.at) // _HOUR
    return f"no backup for {hours} hours" if hours > machine.overdue_hours + _APART_H else None


def standings(
    machine: Machine, rows: Sequence[AuditRow], plans: Iterable[Planned] | None, now: datetime
) -> tuple[Standing, ...]:
    """Each profile's standing. `rows` are those of backups, newest first; `plans` None where no server was asked."""
    planned = {plan.deployment.profile: plan for plan in plans or ()}
    return tuple(
        _standing(
            machine,
            profile,
            [row for row in rows if row.profile == profile and row.host == machine.host],
            planned.get(profile),
            now,
        )
        for profile in machine.profiles
    )


def _standing(
    machine: Machine, profile: str, rows: Sequence[AuditRow], plan: Planned | None, now: datetime
) -> Standing:
    ran = plan.last_run if plan else None
    last, last_at, message = _last(rows, ran)
    good = [row.finished_at for row in rows if row.outcome in _GOOD and row.reason != SUSPECT]
    if ran is not None and ran.state in _GOOD_STATES and last != SUSPECT:
        good.append(ran.at)
    good_at = max(good, default=None)
    next_run = plan.next_run if plan and plan.active else None
    return Standing(
        profile,
        last,
        last_at,
        message,
        good_at,
        next_run,
        _trouble_behind(machine, last, good_at, now) or (_trouble_ahead(plan, now) if plan else None),
    )


def _last(rows: Sequence[AuditRow], ran: Ran | None) -> tuple[str | None, datetime | None, str]:
    row = max(rows, key=lambda row: row.finished_at, default=None)
    if ran is not None and ran.state in _ENDED_EARLY and (row is None or ran.at > row.finished_at + _LATE):
        return ran.state.lower(), ran.at, ran.message
    if row is None:
        return None, None, ""
    # A backup that found a suspect profile unchanged has made nothing better.
    how = SUSPECT if row.reason == SUSPECT else Report(row).how
    return how, row.finished_at, row.message or ""


def _trouble_behind(machine: Machine, last: str | None, good_at: datetime | None, now: datetime) -> str | None:
    if good_at is None:
        return "It was never backed up, as far as the newest rows of the audit table tell"
    if now - good_at > timedelta(hours=machine.overdue_hours):
        return f"It had no good backup for {(now - good_at) // timedelta(hours=1)} hours"
    if last == SUSPECT:
        return "Its last backup looks suspect: see what became of the profile"
    if last in {Outcome.FAILED.value, *(state.lower() for state in _ENDED_EARLY)}:
        return "Its last backup went wrong"
    return None


def _trouble_ahead(plan: Planned, now: datetime) -> str | None:
    if not plan.on_server:
        return "It is not scheduled yet, and will be within half an hour"
    if not plan.active:
        return "Its schedule is switched off"
    return _late(plan.next_run, now)


def _late(next_run: datetime | None, now: datetime) -> str | None:
    return "Its next backup should have begun, and did not" if next_run and now - next_run > _LATE else None
