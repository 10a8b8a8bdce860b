"""The flow *back-up-all*."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.backup import back_up_profile
from flows.chains.backup import back_up_several
from flows.form.parameters import AtOnce, ProfileName, RepositoryName
from flows.form.run_names import name_of_all
from flows.report.announcing import announce_computers, announce_many
from flows.report.progress import for_runs_within
from flows.running.everywhere import Computer, computers, run_on_each, state_of_computers
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.side_by_side import side_by_side
from flows.running.states import in_a_state, keep, report_of, state_of_many, warn
from recollect.errors import RecollectError
from recollect.progress import listening
from tasks.audit import Report
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host


class BackupUnclear(RecollectError):
    """What is asked for can be meant in more than one way."""

    code = "backup-unclear"


@flow(name="back-up-all", flow_run_name=name_of_all, persist_result=False)
def back_up_all(
    profiles: list[ProfileName] | None = None,
    repository: RepositoryName = "default",
    force: bool = False,
    accept: bool = False,
    at_once: AtOnce | None = None,
    everywhere: bool = False,
) -> State[Any]:
    """Back up every Anki profile of this machine, each as a run of its own; one that fails stops no other.

    Args:
        profiles: Names of profiles; leave it empty for all.
        repository: Where to: "default", or the name of a repository in the settings or in a block.
        force: Make snapshots even where nothing has changed.
        accept: Take profiles that lost much as they are; later ones are held against that.
        at_once: How many profiles to back up side by side. Leave it empty for what is set, which is 2 otherwise.
        everywhere: On each computer that shares this Prefect server. One that is off does it when it is on again.
    """

    def run() -> State[Any]:
        refuse_runs_of_another_computer()
        if not everywhere:
            return _back_up_each(profiles or [], repository, force=force, accept=accept, at_once=at_once)
        if profiles:
            raise BackupUnclear(
                "Nothing was backed up, for profiles were named, and all computers asked for, which have others",
                "Leave the profiles out, or start the backup of each profile by its own deployment",
            )
        there = computers()
        if {computer.host for computer in there} <= {this_host(active_settings())}:
            return _back_up_each([], repository, force=force, accept=accept, at_once=at_once)
        return _back_up_on(there, {"repository": repository, "force": force, "accept": accept, "at_once": at_once})

    return in_a_state(run, "backup")


def _back_up_on(there: Sequence[Computer], asked: dict[str, Any]) -> State[Any]:
    ended = run_on_each(there, asked)
    announce_computers(ended)
    return state_of_computers(ended)


def _back_up_each(names: list[str], repository: str, *, force: bool, accept: bool, at_once: int | None) -> State[Any]:
    with listening(for_runs_within()), side_by_side() as runs:

        def back_up_one(name: str) -> Report:
            asked = {"profile": name, "repository": repository, "force": force, "accept": accept}
            return report_of(runs.run(back_up_profile, asked, name))

        result = back_up_several(names, repository, back_up_one, at_once=at_once, stop=runs.stop)
    warn(result.remarks)
    keep(result)
    announce_many("all-profiles", "All profiles", result.reports, result.summary(), result.remarks, heard=True)
    return state_of_many(result.reports, result.summary() or "There was no profile to back up")
