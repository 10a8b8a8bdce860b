"""`recollect status`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import typer

from cli.options import AsJson, Config
from cli.output import moment_here, outcome_text, say, say_trouble, show_json, show_text
from cli.server import speak_to
from cli.session import Exit, settings_for
from cli.tables import Column, show_table
from deployments.catalog import Machine, deployment_of, this_machine
from deployments.local.asking import ServerSilent
from deployments.local.home import Home, Record, home_of, what_is_up
from deployments.local.lock import holder
from deployments.local.plans import Planned, PlannedFurther, planned, planned_further
from deployments.local.worker import WORKER
from deployments.standing import FurtherStanding, Standing, further_standings, standings
from recollect.errors import RecollectError
from recollect.settings import Settings
from storage.audit_table import read_rows
from storage.stores.address import open_store
from tasks.repository_address import address_of

_ROWS_OF_A_PROFILE = 25
_MOST_ROWS = 1000
_NAMED = 3

_COLUMNS = (
    Column("Profile", folds=16),
    Column("Last backup"),
    Column("Outcome"),
    Column("Last good one", rank=1),
    Column("Next"),
    Column("What is wrong", folds=40),
)


@dataclass(frozen=True, slots=True)
class _Found:
    record: Record | None
    worker: bool
    profiles: tuple[Standing, ...]
    further: tuple[FurtherStanding, ...]
    remarks: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        trouble = [*(standing.trouble for standing in self.profiles), *(standing.trouble for standing in self.further)]
        return self.record is not None and self.worker and not any(trouble)


def status(as_json: AsJson = False, config: Config = None) -> None:
    """Show whether all is up, and how each profile stands: its last backup, its next one, and what is wrong.

    Ends with 1 when anything is: nothing runs, or a profile went without a good backup for too long, or its last one
    failed.

    Example: recollect status --json
    """
    with settings_for(config) as settings:
        found = _look(settings)
        if as_json:
            show_json(_as_json(found))
        else:
            _show(found)
        for remark in found.remarks:
            say(remark)
        if not found.is_well:
            raise typer.Exit(Exit.FAILED)


def _look(settings: Settings) -> _Found:
    machine, home = this_machine(settings), home_of(settings)
    remarks = list(machine.remarks)
    record = what_is_up(home)
    plans, further = _plans(machine, record, remarks) if record else (None, ())
    rows = []
    if record and not record.joined and not os.environ.get("PREFECT_API_URL"):
        # The settings may name a block of that server.
        speak_to(home, record.api_url)
    try:
        address = address_of(settings)
        newest = min(_ROWS_OF_A_PROFILE * max(len(machine.profiles), 1), _MOST_ROWS)
        # Nobody needs a key for the audit table, so none is asked for.
        rows = list(read_rows(open_store(address.url, address.options), newest=newest, action="backup").rows)
    except RecollectError as trouble:
        remarks.append(str(trouble))
    now = datetime.now(UTC)
    profiles = standings(machine, rows, plans, now)
    return _Found(record, _has_worker(home), profiles, further_standings(machine, further, now), tuple(remarks))


def _plans(
    machine: Machine, record: Record, remarks: list[str]
) -> tuple[tuple[Planned, ...] | None, tuple[PlannedFurther, ...]]:
    deployments = [deployment_of(profile, machine.host) for profile in machine.profiles]
    try:
        plans = planned(record.api_url, deployments, with_last_run=True)
        return plans, planned_further(record.api_url, machine)
    except ServerSilent as trouble:
        remarks.append(str(trouble))
        return None, ()


def _has_worker(home: Home) -> bool:
    return holder(home.lock_of(WORKER)) is not None


def _show(found: _Found) -> None:
    if found.record is None:
        say_trouble("Recollect is not up: nothing runs by itself. Start it with `recollect up`.")
    else:
        show_text(f"Recollect is up at {found.record.ui_url} (since {moment_here(found.record.since)})")
        if not found.worker:
            say_trouble("Its worker does not run, so no backup begins. It is started again by itself; see its log.")
    if found.profiles:
        show_table("Profiles", _COLUMNS, (_row(standing) for standing in found.profiles))
        for standing in found.profiles:
            if standing.ended_badly:
                say_trouble(f"{standing.profile}: {standing.message}")
    else:
        show_text("No profile was found that could be backed up.")
    for further in found.further:
        _show_further(further)


def _show_further(standing: FurtherStanding) -> None:
    """One line for each repository, and what is wrong with it."""
    many = len(standing.profiles)
    parts = [f"{many} profile{'' if many == 1 else 's'} once a day"] if many else []
    parts += [f"next {moment_here(standing.next_run)}"] if standing.next_run else []
    off = len(standing.off)
    parts += [f"without {', '.join(standing.off) if off <= _NAMED else f'{off} others'}"] if off else []
    show_text(f"Also to {standing.repository}: {', '.join(parts) or 'nothing'}")
    if standing.trouble:
        say_trouble(f"{standing.repository}: {standing.trouble}")


def _row(standing: Standing) -> tuple[object, ...]:
    return (
        standing.profile,
        _moment(standing.last_at),
        outcome_text(standing.last or ""),
        _moment(standing.good_at),
        _moment(standing.next_run),
        standing.trouble,
    )


def _moment(when: datetime | None) -> str:
    return moment_here(when) if when else ""


def _as_json(found: _Found) -> dict[str, object]:
    record = found.record
    return {
        "well": found.is_well,
        "up": record is not None,
        "ui_url": record and record.ui_url,
        "api_url": record and record.api_url,
        "since": record and record.since,
        "worker": found.worker,
        "profiles": [asdict(standing) for standing in found.profiles],
        "further": [asdict(standing) for standing in found.further],
        "remarks": found.remarks,
    }
