"""The snapshots of a profile as a list to choose from."""

from __future__ import annotations

from storage.format.manifest import Manifest, SnapshotId
from storage.repository import Repository
from tasks.catalog import ADOPTED, SAFETY, UNFINISHED_RESTORE, StoredProfile, by_age

MOST = 200
"""A longer list is read by nobody; older snapshots can be named by their moment."""

_ABOUT = {SAFETY: "taken before a restore", ADOPTED: "made of Anki's own backup"}


def offered_snapshots(repository: Repository, stored: StoredProfile) -> dict[str, SnapshotId]:
    """The newest snapshots, the newest first, by what a person tells them apart by. Those that can't be read are left
    out."""
    newest = by_age(stored.refs)[: -MOST - 1 : -1]
    read = (found for found in repository.manifests(newest) if isinstance(found, Manifest))
    return {_described(manifest): manifest.id for manifest in read}


def _described(manifest: Manifest) -> str:
    facts = manifest.facts
    about = _ABOUT.get(str(facts.get("purpose")))
    parts = [
        f"{manifest.taken_at:%Y-%m-%d %H:%M}",
        *(f"{count} {what}" for what in ("notes", "reviews") if isinstance(count := facts.get(what), int)),
        *([about] if about else []),
        *(["suspect"] if facts.get("suspect") else []),
        *(["of an unfinished restore"] if facts.get(UNFINISHED_RESTORE) else []),
        manifest.id,
    ]
    return ", ".join(parts)
