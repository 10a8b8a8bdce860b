"""The flow *back-up-all*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.announcing import announce_many
from flows.backup import back_up_profile
from flows.chains.backup import BackupOfAll, found_in, plan_lanes, reported
from flows.parameters import ProfileName, RepositoryName
from flows.states import in_a_state, keep, report_of, state_of_many, tell
from tasks.audit import Report
from tasks.repositories import open_named


@flow(name="back-up-all", flow_run_name="all profiles", persist_result=False)
def back_up_all(
    profiles: list[ProfileName] | None = None,
    repository: RepositoryName = "default",
    force: bool = False,
    accept: bool = False,
) -> State[Any]:
    """Back up every Anki profile of this machine, each as a run of its own; one that fails stops no other.

    Args:
        profiles: Names of profiles; leave it empty for all.
        repository: Where to: "default", or the name of a repository in the settings or in a block.
        force: Make snapshots even where nothing has changed.
        accept: Take profiles that lost much as they are; later ones are held against that.
    """
    return in_a_state(lambda: _back_up_each(profiles or [], repository, force=force, accept=accept), "backup")


def _back_up_each(names: list[str], repository: str, *, force: bool, accept: bool) -> State[Any]:
    # An unreachable or unusable repository is one trouble, not one for each profile.
    opened = open_named(repository, create=True)
    found = found_in(opened)

    def back_up_one(name: str) -> Report:
        return report_of(back_up_profile(name, repository, force, accept, return_state=True))

    # One after the other: runs side by side lock each other out of the server's SQLite database, where three of them
    # waited for more than a minute and lost their final states. Within a run packs are sent side by side all the same.
    reports = [reported(name, opened, back_up_one) for lane in plan_lanes(found, names, opened) for name in lane]
    result = BackupOfAll(tuple(sorted(reports, key=lambda report: report.profile)), found.remarks)
    tell(result.remarks)
    keep(result)
    announce_many("all-profiles", "All profiles", result.reports, result.summary(), result.remarks, heard=True)
    return state_of_many(result.reports, result.summary() or "There was no profile to back up")
