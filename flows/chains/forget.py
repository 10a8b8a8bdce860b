"""Forgetting snapshots by name, and having them back while they lie in the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.errors import Damaged, SnapshotUnknown, StorageError, UnsupportedFormat
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository, SnapshotRef
from storage.sweeping.garbage import Rules
from storage.trash import forgotten_manifest, forgotten_snapshots, put_back
from tasks.audit import Report, audited
from tasks.catalog import choose_profile, choose_snapshot, is_of_a_backup, matches, read_catalog
from tasks.repositories import open_named
from tasks.retention_prune import is_good


class LastGoodSnapshot(StorageError):
    """A profile would be left without a snapshot that can be relied on."""

    code = "last-good-snapshot"


@dataclass(frozen=True, slots=True)
class InTrash:
    """A forgotten snapshot that can still be had back, and until when at least (by the store's clock)."""

    ref: SnapshotRef
    manifest: Manifest
    forgotten_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Meant:
    """The snapshots that are to be forgotten, and the profile that they are of."""

    name: str
    key: ProfileKey
    refs: Sequence[SnapshotRef]
    """All of the profile."""
    going: Sequence[SnapshotRef]


def forget(profile_name: str, snapshots: Sequence[str], repository_name: str = "default") -> Report:
    """Move snapshots to the trash. Raises SnapshotUnknown, and LastGoodSnapshot when no good one would be left."""
    repository = open_named(repository_name)
    meant = _meant(repository, profile_name, snapshots)
    going = meant.going
    _refuse_to_leave_nothing_good(repository, meant)
    with audited("forget", meant.name, repository) as audit:
        audit.profile_key = meant.key
        repository.move_to_trash(*going)
        audit.note(snapshots_pruned=len(going), snapshot=going[0].id if len(going) == 1 else None)
        audit.completed(
            f"Forgotten: {_listed(going)}. For {Rules().undo.days} days `recollect forget --undo` brings "
            f"{'it' if len(going) == 1 else 'them'} back"
        )
    return audit.report()


def unforget(profile_name: str, snapshots: Sequence[str], repository_name: str = "default") -> Report:
    """Bring snapshots back from the trash. Raises SnapshotUnknown when one is not there."""
    repository = open_named(repository_name)
    lying = [one for one in in_trash(repository) if profile_name in {one.manifest.profile, one.ref.profile_key}]
    coming = [_chosen(lying, wanted, profile_name) for wanted in snapshots]
    with audited("unforget", coming[0].manifest.profile, repository) as audit:
        audit.profile_key = coming[0].ref.profile_key
        refs = [put_back(repository, one.ref) for one in coming]
        audit.note(snapshot=refs[0].id if len(refs) == 1 else None)
        # Under new ids: a name in a repository is never used twice.
        audit.completed(f"Back from the trash: {_listed(refs)}")
    return audit.report()


def in_trash(repository: Repository) -> list[InTrash]:
    """The forgotten snapshots that can still be had back, oldest first. One that can't be read is left out."""
    found: list[InTrash] = []
    for one in forgotten_snapshots(repository):
        try:
            manifest = forgotten_manifest(repository, one.ref)
        except (Damaged, UnsupportedFormat, SnapshotUnknown):
            continue
        found.append(InTrash(one.ref, manifest, one.forgotten_at, one.forgotten_at + Rules().undo))
    return found


def _meant(repository: Repository, profile_name: str, snapshots: Sequence[str]) -> _Meant:
    try:
        profile = choose_profile(read_catalog(repository), profile_name)
    except SnapshotUnknown:
        # A profile none of whose manifests can be read has no name; its key and whole ids stand in the listing.
        refs = [ref for ref in repository.snapshots() if ref.profile_key == profile_name]
        going = [ref for ref in refs if ref.id in snapshots]
        if not going or len(going) < len(set(snapshots)):
            raise
        return _Meant(profile_name, going[0].profile_key, refs, going)
    return _Meant(profile.name, profile.key, profile.refs, [choose_snapshot(profile, wanted) for wanted in snapshots])


def _chosen(lying: Sequence[InTrash], wanted: str, profile_name: str) -> InTrash:
    meant = [one for one in lying if matches(one.ref, wanted)]
    if len(meant) == 1:
        return meant[0]
    raise SnapshotUnknown(
        f"{'Several forgotten snapshots' if meant else 'No forgotten snapshot'} of {profile_name!r} "
        f"{'answer' if meant else 'answers'} to {wanted!r}",
        "List what is in the trash with `recollect forget --list`",
    )


def _refuse_to_leave_nothing_good(repository: Repository, meant: _Meant) -> None:
    found = dict(zip(meant.refs, repository.manifests(meant.refs), strict=True))
    readable = {ref: manifest for ref, manifest in found.items() if isinstance(manifest, Manifest)}
    sound = {ref for ref, manifest in readable.items() if is_good(manifest)}
    # A package of Anki's lacks the media, and is no stand-in for a backup.
    good = {ref for ref in sound if is_of_a_backup(readable[ref])} or sound
    # As retention does: where none is good, one that does not look wrong counts, and else any.
    unsuspected = {ref for ref, manifest in readable.items() if not manifest.facts.get("suspect")}
    relied_on = good or unsuspected or set(readable)
    if relied_on and relied_on <= set(meant.going):
        raise LastGoodSnapshot(
            f"Nothing was forgotten, for {meant.name} would have no {'good ' if good else ''}snapshot left"
            f"{'' if good or relied_on == set(readable) else ' that does not look wrong'}",
            "Make a new one first with `recollect backup`",
        )


def _listed(refs: Sequence[SnapshotRef]) -> str:
    return f"the snapshot{'s' if len(refs) > 1 else ''} {', '.join(ref.id for ref in refs)}"
