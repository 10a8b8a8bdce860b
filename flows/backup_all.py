"""The flow *back-up-all*."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.backup import back_up_profile
from flows.chains.backup import BackupOfAll
from flows.parameters import ProfileName, RepositoryName
from flows.states import in_a_state, keep, report_of, state_of_many, tell
from profiles.discovery import choose
from recollect.errors import RecollectError
from storage.format.audit_row import AuditRow, Outcome
from storage.repository import Repository
from tasks.audit import Report
from tasks.place import active_settings, found_profiles, open_named
from tasks.versions import software_versions


@flow(name="back-up-all", flow_run_name="all profiles", persist_result=False)
def back_up_all(
    profiles: list[ProfileName] | None = None,
    repository: RepositoryName = "default",
    force: bool = False,
) -> State[Any]:
    """Back up every Anki profile of this machine, each as a run of its own; one that fails stops no other.

    Args:
        profiles: Names of profiles; leave it empty for all.
        repository: Where to: "default", or the name of a repository in the settings.
        force: Make snapshots even where nothing has changed.
    """
    return in_a_state(lambda: _back_up_each(profiles or [], repository, force=force))


def _back_up_each(names: list[str], repository: str, *, force: bool) -> State[Any]:
    found = found_profiles()
    chosen = choose(found, names)
    # An unreachable or unusable repository is one trouble, not one for each profile.
    opened = open_named(repository, create=True)
    # One after the other: runs side by side lock each other out of the server's SQLite database, where three of them
    # waited for more than a minute and lost their final states. Within a run packs are sent side by side all the same.
    reports = [_backed_up(profile.name, opened, repository, force=force) for profile in chosen]
    result = BackupOfAll(tuple(sorted(reports, key=lambda report: report.profile)), found.remarks)
    tell(result.remarks)
    keep(result)
    return state_of_many(result.reports, result.summary() or "There was no profile to back up")


def _backed_up(profile: str, opened: Repository, repository: str, *, force: bool) -> Report:
    """One profile's backup, as a flow run of its own; its report, whatever became of it."""
    began = datetime.now(UTC)
    state = back_up_profile(profile, repository, force, return_state=True)
    try:
        return report_of(state)
    except Exception as fault:  # noqa: BLE001 - a defect met in one profile must not cost the others their backups
        return Report(
            AuditRow(
                action="backup",
                profile=profile,
                profile_key="",
                started_at=began,
                started_local=began.astimezone().isoformat(timespec="seconds"),
                finished_at=datetime.now(UTC),
                host=active_settings().host,
                repository_id=opened.id,
                outcome=Outcome.FAILED,
                reason=fault.code if isinstance(fault, RecollectError) else "unexpected",
                message=str(fault) if isinstance(fault, RecollectError) else state.message,
                error=type(fault).__name__,
                **software_versions(),
            )
        )
