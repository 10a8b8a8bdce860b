"""Undoing: what was there before the last restore of a profile is put back, in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.chains.restore import restore
from flows.chains.restore_plan import RestorePlan
from flows.chains.safety import local_profile
from profiles.errors import ProfileUnknown
from storage.errors import SnapshotUnknown
from storage.format.manifest import Manifest, SnapshotId, earlier_ids
from storage.repository import Repository, SnapshotRef
from tasks.audit import Report
from tasks.catalog import SAFETY, backwards, by_age
from tasks.last_restore import LastRestore, last_restore
from tasks.profiles_here import key_of
from tasks.repositories import open_named

_NEWEST = "the newest one that was taken before something replaced the state it holds"


@dataclass(frozen=True, slots=True)
class Undoing:
    """Which snapshot undoing puts back, and why that one: a sentence, without its full stop."""

    manifest: Manifest
    why: str


def undo(
    profile_name: str,
    *,
    repository_name: str = "default",
    confirmed: Callable[[RestorePlan], bool] = lambda _: True,
) -> Report:
    """Put back what a profile of this computer was before the last restore, or whatever else kept it first.

    It is a restore itself, so it keeps the present state too: undoing twice ends where it began. A restore that was
    broken off and done again counts as one, and an undo that was broken off is gone on with. `confirmed` sees the
    plan, which tells which snapshot was taken and why, before anything is touched; False ends it there. Raises
    ProfileUnknown, and SnapshotUnknown where there is nothing to undo.
    """
    chosen = choose_undone(open_named(repository_name), profile_name)
    return restore(
        chosen.manifest.profile,
        chosen.manifest.id,
        repository_name=repository_name,
        confirmed=confirmed,
        undoing=chosen.why,
    )


def choose_undone(repository: Repository, profile_name: str) -> Undoing:
    """The snapshot of what this computer's profile was before the last thing that took its place."""
    local = local_profile(profile_name)
    if local is None:
        raise ProfileUnknown(
            f"There is no profile named {profile_name!r} on this computer", "List them with `recollect profiles`"
        )
    key = key_of(local)
    refs = by_age(repository.snapshots(key))
    newest = _newest_safety(repository, refs)
    if newest is None:
        raise SnapshotUnknown(
            f"There is nothing to undo: {repository.store.url} holds no safety snapshot of {local.name}",
            "Any snapshot can be restored: list them with `recollect snapshots`",
        )
    wanted, why = _wanted(newest.id, last_restore(repository, key), local.name)
    if wanted == newest.id:
        return Undoing(newest, why)
    manifest = _by_id(repository, refs, wanted)
    if manifest is None:
        lost = f"the newest one, for {wanted}, which is meant, can't be read or is no longer in the repository"
        return Undoing(newest, lost)
    return Undoing(manifest, why)


def _wanted(newest: SnapshotId, last: LastRestore | None, profile: str) -> tuple[SnapshotId, str]:
    if last is None or last.newest_safety < newest:
        return newest, _NEWEST
    if last.undoing and not last.finished:
        goes_on = "the one that an undo was putting back when it was broken off; what was there before that undo is in"
        return last.restored, f"{goes_on} {_reached(last.before, profile)}"
    if last.before == newest:
        return newest, _NEWEST
    first = "the one of what was there before the last restore, however often that was broken off and done again"
    return last.before, f"{first}; what was there in between is in {_reached(newest, profile)}"


def _reached(snapshot: SnapshotId, profile: str) -> str:
    return f"{snapshot}, for `recollect restore {profile!r} --in-place --snapshot {snapshot}`"


def _newest_safety(repository: Repository, refs: Sequence[SnapshotRef]) -> Manifest | None:
    for _, found in backwards(repository, refs):
        if isinstance(found, Manifest) and found.facts.get("purpose") == SAFETY:
            return found
    return None


def _by_id(repository: Repository, refs: Sequence[SnapshotRef], wanted: SnapshotId) -> Manifest | None:
    """The snapshot of that id, or that had it before it was put back from the trash."""
    named = [ref for ref in refs if ref.id == wanted]
    found = (manifest for _, manifest in backwards(repository, named or refs) if isinstance(manifest, Manifest))
    return next((manifest for manifest in found if wanted in (manifest.id, *earlier_ids(manifest))), None)
