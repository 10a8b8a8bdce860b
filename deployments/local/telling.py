"""What a person reads once all is up: where to look, and what runs when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from deployments.local.home import Home
from deployments.local.plans import Planned, PlannedFurther

_FOR_ALL = ("prune", "verify")


def lines_when_up(
    ui_url: str, plans: Sequence[Planned], home: Home, *, further: Sequence[PlannedFurther] = (), joined: bool
) -> tuple[str, ...]:
    """The address of the pages, each profile with its next backup, the rest of the schedules, and the logs.

    Each further repository gets one line, however many profiles are backed up there.
    """
    profiles = [plan for plan in plans if plan.deployment.profile is not None]
    others = [plan for plan in plans if plan.deployment.name in _FOR_ALL]
    width = max([len(str(plan.deployment.profile)) for plan in profiles], default=0)
    return (
        f"Recollect is up at {ui_url}" + (", a server that it did not start" if joined else ""),
        "Backups:" if profiles else "No profile was found that could be backed up; it is looked again every half hour.",
        *(f"  {plan.deployment.profile:<{width}}  {_when(plan)}" for plan in profiles),
        *(f"Also to {plan.repository}: {_how_many(plan)}" for plan in further if plan.profiles or plan.off),
        *(f"{plan.deployment.name}: {_when(plan)}" for plan in others),
        f"Logs: {home.logs}",
    )


def _how_many(plan: PlannedFurther) -> str:
    if not plan.profiles:
        return "switched off"
    all_of_them = "all of these" if not plan.off else f"{len(plan.profiles)} of these {len(plan.profiles + plan.off)}"
    return f"{all_of_them}, once a day" + (f", next {moment_by(plan.next_run)}" if plan.next_run else "")


def _when(plan: Planned) -> str:
    said = plan.deployment.schedule.said if plan.deployment.schedule else ""
    if plan.within:
        said = f"with {plan.within}"
    if not plan.on_server:
        return "not on the server"
    if not plan.active:
        return f"{said}, but switched off"
    return f"{said}, next {moment_by(plan.next_run)}" if plan.next_run else said


def moment_by(when: datetime, now: datetime | None = None) -> str:
    """A moment by this computer's clock; of today's the time alone."""
    here = when.astimezone()
    today = (now or datetime.now().astimezone()).date()
    return f"at {here:%H:%M}" if here.date() == today else f"on {here:%Y-%m-%d at %H:%M}"
