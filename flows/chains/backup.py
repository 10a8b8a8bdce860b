"""Backing up: *snapshot, checksum, upload, retention-prune, deletion-log-archive*, and the audit row.

What follows the first of these steps, if anything changed, is told in `storing.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from flows.chains.suspect import end_unchanged
from profiles.discovery import Found, choose, named
from profiles.errors import ProfileUnknown
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from storage.repository import Repository
from tasks.audit import SUSPECT, Audit, Report, audited, counts_of
from tasks.catalog import ROUTINE
from tasks.job import Job, job
from tasks.limits import ChosenLimits
from tasks.profiles_here import found_profiles, key_of
from tasks.repositories import open_named
from tasks.settings_in_force import active_settings
from tasks.snapshot import Busy, Unchanged, deletion_log_state, snapshot
from tasks.under_way import backing_up

logger = logging.getLogger("recollect")


def back_up(
    profile_name: str,
    repository_name: str = "default",
    *,
    force: bool = False,
    purpose: str = ROUTINE,
    accept: bool = False,
    limits: ChosenLimits | None = None,
) -> Report:
    """Back up one profile.

    `force` makes a snapshot even when nothing changed; `accept` takes a profile that looks wrong as it is. `limits` are
    what the deployment of these backups says to keep; where it is None, what it said last goes on to count. It is
    skipped while another run on this computer does the same, or puts something in the profile's place.
    """
    repository = open_named(repository_name, create=True)
    with audited("backup", profile_name, repository) as audit:
        found = found_profiles()
        profile = named(found, profile_name)
        audit.profile, audit.profile_key = profile.name, key_of(profile)
        choose(found, [profile.name])
        force = force or accept
        with backing_up(profile, repository, in_full=force) as remarks, job(profile, repository, limits) as work:
            audit.warnings += remarks
            _protect(work, audit, force=force, purpose=purpose, accept=accept)
    return audit.report()


def _protect(work: Job, audit: Audit, *, force: bool, purpose: str, accept: bool) -> None:
    log_state = deletion_log_state(work)
    with audit.timed("snapshot"):
        source = snapshot(work, force=force)
        if isinstance(source, Unchanged) and work.last_is_outdated():
            source = snapshot(work, force=True)
    if isinstance(source, Busy):
        audit.skipped(source.trouble)
        return
    if isinstance(source, Unchanged):
        last = work.last_manifest()
        audit.note(snapshot=source.snapshot, **counts_of(last))
        end_unchanged(audit, f"Nothing has changed since the snapshot {source.snapshot}", last)
        return
    # Loading Arrow and NumPy takes longer than all that a run does which ends above.
    from flows.chains.storing import store_changes  # noqa: PLC0415

    stored = store_changes(work, audit, source, force=force, purpose=purpose, accept=accept)
    work.remember_run(
        {
            "snapshot": stored,
            "stamp": source.evidence.stamp.to_json(),
            "taken_at_ns": source.evidence.taken_at_ns,
            "deletion_log": log_state,
            "looked_at_s": time.time(),
        }
    )


@dataclass(frozen=True, slots=True)
class BackupOfAll:
    """How the backups of several profiles ended. `remarks` tell of profiles that could not even be tried."""

    reports: tuple[Report, ...]
    remarks: tuple[str, ...]

    def having(self, outcome: Outcome) -> list[Report]:
        """Those that ended so."""
        return [report for report in self.reports if report.outcome is outcome]

    def summary(self) -> str:
        """One sentence about all of them."""
        ended = [report.how for report in self.reports]
        counts = [f"{ended.count(how)} {how}" for how in (*Outcome, SUSPECT) if how in ended]
        looked_at = [report for report in self.reports if report.how in (Outcome.FAILED, SUSPECT)]
        told = "; ".join(f"{report.profile}: {report.message}" for report in looked_at)
        return ", ".join(counts) + (f". {told}" if told else "")


def back_up_several(
    names: Sequence[str],
    repository_name: str,
    back_up_one: Callable[[str], Report],
    *,
    at_once: int | None = None,
    stop: Callable[[], None] = lambda: None,
) -> BackupOfAll:
    """Back up the profiles named, or all when none is, some side by side; the failure of one never stops another.

    `back_up_one` backs up one profile and reports. `stop` is called when this is ended from outside, so that the
    backups under way end, too.
    """
    # An unreachable or unusable repository is one trouble, not one for each profile.
    repository = open_named(repository_name, create=True)
    found = found_in(repository)
    lanes = plan_lanes(found, names, repository)
    with ThreadPoolExecutor(at_once or active_settings().at_once, thread_name_prefix="profile") as pool:
        # Each thread needs the settings, the listener and the flow run that this one has.
        running = [pool.submit(copy_context().run, _back_up_in_turn, lane, repository, back_up_one) for lane in lanes]
        try:
            reports = [report for lane in running for report in lane.result()]
        except BaseException:
            # Stopped from outside: what has not begun must not begin now.
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return BackupOfAll(tuple(sorted(reports, key=lambda report: report.profile)), found.remarks)


def found_in(repository: Repository) -> Found:
    """The profiles of this computer. Where Anki's folder can't be found, the audit table says so too."""
    try:
        return found_profiles()
    except RecollectError as trouble:
        audit = Audit("backup", "", repository)
        audit.failed(trouble)
        audit.close()
        raise


def plan_lanes(found: Found, names: Sequence[str], repository: Repository) -> list[list[str]]:
    """The names of the profiles to back up: which go one after the other, and which lanes go side by side.

    Without `names` it is all that hold a collection, and those that have lost it since a snapshot; with them, all of
    them: what can't be backed up, or does not exist, is for its own report to say, and stops no other.

    Profiles without a snapshot share a lane: often they share much of their media too, and of two that are stored at
    the same moment neither would find the other's pictures. Later runs bring little that is new, and go side by side.
    """
    stored = {ref.profile_key for ref in repository.snapshots()}
    known, unknown = [], []
    for name in names:
        try:
            known.append(named(found, name))
        except ProfileUnknown:
            unknown.append(name)
    if not names:
        known = [profile for profile in found.profiles if profile.can_be_backed_up or key_of(profile) in stored]
        known = known or list(choose(found, ()))
    profiles = list(dict.fromkeys(known))
    newcomers = [profile.name for profile in profiles if key_of(profile) not in stored]
    lanes = [[profile.name] for profile in profiles if key_of(profile) in stored]
    return [*lanes, *([newcomers] if newcomers else []), *([name] for name in dict.fromkeys(unknown))]


def _back_up_in_turn(
    names: Sequence[str], repository: Repository, back_up_one: Callable[[str], Report]
) -> list[Report]:
    return [reported(name, repository, back_up_one) for name in names]


def reported(name: str, repository: Repository, back_up_one: Callable[[str], Report]) -> Report:
    """How the backup of one profile ended, also when it ended without a report of its own."""
    try:
        return back_up_one(name)
    except Exception as fault:
        audit = Audit("backup", name, repository)
        audit.failed(fault)
        if isinstance(fault, RecollectError):
            # Met before the backup's own row was begun.
            audit.close()
        else:
            logger.exception("The backup of %s met a defect in Recollect", name)
            audit.end()
        return audit.report()
