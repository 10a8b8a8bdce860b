"""What a backup says of a profile that looks wrong, once and as long as it does."""

from __future__ import annotations

from storage.format.manifest import Manifest, SnapshotId
from tasks.audit import Audit


def end_suspect(audit: Audit, snapshot: SnapshotId, why: str) -> None:
    """Say that a snapshot was stored of a profile that looks wrong, and what to do about it."""
    audit.suspect(f"The snapshot {snapshot} is stored and marked as suspect: {why}. {_advice(audit.profile)}")


def end_unchanged(audit: Audit, so_far: str, last: Manifest | None) -> None:
    """Say that there was nothing to store, `so_far` up to the snapshot's id; of one that looks wrong, that it does."""
    why = last.facts.get("suspect") if last else None
    if why:
        audit.unchanged(f"{so_far}, which is suspect: {why}. {_advice(audit.profile)}", suspect=True)
    else:
        audit.unchanged(so_far)


def _advice(profile: str) -> str:
    return (
        f"If the profile is as it should be, run `recollect backup {profile!r} --accept`, or start its backup with "
        f"“Accept what looks like a loss”; if not, `recollect restore {profile!r} --in-place` brings the last good "
        "snapshot back"
    )
