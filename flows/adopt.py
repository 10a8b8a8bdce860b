"""The flow *adopt-backups*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains.adopt import adopt
from flows.parameters import ProfileName, RepositoryName
from flows.states import in_a_state, keep, state_of_many, tell
from profiles.errors import SourceUnreadable


@flow(name="adopt-backups", persist_result=False)
def adopt_backups(
    paths: list[str] | None = None, profile: ProfileName | None = None, repository: RepositoryName = "default"
) -> State[Any]:
    """Make snapshots of the backups that Anki has written (.colpkg), each of its own time.

    Args:
        paths: Full paths of packages, or of folders that hold some; leave it empty for Anki's automatic backups.
        profile: Whose they are; leave it empty for all profiles, or where the packages lie in a profile's own folder.
        repository: Where to: "default", or the name of a repository in the settings.
    """
    return in_a_state(lambda: _adopt([_full(path) for path in paths or []], profile, repository))


def _adopt(paths: list[Path], profile: str | None, repository: str) -> State[Any]:
    result = adopt(paths, profile, repository)
    tell(result.remarks)
    for report in result.reports:
        tell(report.remarks)
    keep(result)
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
