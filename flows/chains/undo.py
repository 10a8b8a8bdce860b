"""Undoing: what the newest safety snapshot of a profile kept is put back, in place."""

from __future__ import annotations

from collections.abc import Callable

from flows.chains.restore import restore
from flows.chains.restore_plan import RestorePlan
from flows.chains.safety import local_profile
from profiles.errors import ProfileUnknown
from storage.errors import SnapshotUnknown
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.audit import Report
from tasks.catalog import SAFETY
from tasks.place import key_of, open_named


def undo(
    profile_name: str,
    *,
    repository_name: str = "default",
    confirmed: Callable[[RestorePlan], bool] = lambda _: True,
) -> Report:
    """Put back what a profile of this computer was before the last restore, or whatever else kept it first.

    It is a restore itself, so it keeps the present state too: undoing twice ends where it began. `confirmed` sees the
    plan before anything is touched; False ends it there. Raises ProfileUnknown, and SnapshotUnknown where there is
    nothing to undo.
    """
    kept = last_safety_snapshot(open_named(repository_name), profile_name)
    return restore(kept.profile, kept.id, repository_name=repository_name, confirmed=confirmed)


def last_safety_snapshot(repository: Repository, profile_name: str) -> Manifest:
    """The newest snapshot that was taken of this computer's profile before something took its place."""
    local = local_profile(profile_name)
    if local is None:
        raise ProfileUnknown(
            f"There is no profile named {profile_name!r} on this computer", "List them with `recollect profiles`"
        )
    for found in repository.manifests(repository.snapshots(key_of(local))[::-1]):
        if isinstance(found, Manifest) and found.facts.get("purpose") == SAFETY:
            return found
    raise SnapshotUnknown(
        f"There is nothing to undo: {repository.store.url} holds no safety snapshot of {local.name}",
        "Any snapshot can be restored: list them with `recollect snapshots`",
    )
