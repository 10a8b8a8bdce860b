"""The flow *adopt-backups*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains.adopt import adopt
from flows.form.parameters import ProfileName, RepositoryName
from flows.form.run_names import name_of_profiles
from flows.report.announcing import announce_many
from flows.running.states import in_a_state, keep, state_of_many, tell
from profiles.errors import SourceUnreadable
from storage.format.audit_row import Outcome


@flow(name="adopt-backups", flow_run_name=name_of_profiles, persist_result=False)
def adopt_backups(
    paths: list[str] | None = None, profile: ProfileName | None = None, repository: RepositoryName = "default"
) -> State[Any]:
    """Make snapshots of the backups that Anki has written (.colpkg), each of its own time.

    Args:
        paths: Full paths of packages, or of folders that hold some; leave it empty for Anki's automatic backups.
        profile: Whose they are; leave it empty for all profiles, or where the packages lie in a profile's own folder.
        repository: Where to: "default", or the name of a repository in the settings or in a block.
    """
    return in_a_state(lambda: _adopt([_full(path) for path in paths or []], profile, repository), "adopt")


def _adopt(paths: list[Path], profile: str | None, repository: str) -> State[Any]:
    result = adopt(paths, profile, repository)
    tell(result)
    for report in result.reports:
        tell(report)
    keep(result)
    # What was adopted before has no row in the audit table either.
    new = [report for report in result.reports if report.outcome is not Outcome.UNCHANGED]
    announce_many("adopt", "Anki's own backups adopted", new, result.summary(), result.remarks)
    return state_of_many(result.reports, result.summary())


def _full(path: str) -> Path:
    try:
        full = Path(path).expanduser()
    except RuntimeError:
        full = Path(path)
    # A worker runs each flow in a folder of its own.
    if not full.is_absolute():
        raise SourceUnreadable(f"Nothing was adopted, for {path!r} is no full path", "Name it from its root on")
    return full
