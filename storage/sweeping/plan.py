"""What a sweep will do, and what it did, as values that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recollect.units import size
from storage.format.manifest import Manifest
from storage.repository import SnapshotRef
from storage.store import StoredObject
from storage.sweeping.garbage import Needs, PackFates, PackUse
from storage.sweeping.store_clock import Stopwatch
from storage.trash import Forgotten
from storage.walking import Walk


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a plan rests on: what a sweep saw, and what it found out by walking through it."""

    seen_at: Stopwatch
    """Runs since just before the snapshots were listed."""
    live: tuple[SnapshotRef, ...]
    manifests: Mapping[SnapshotRef, Manifest]
    """Those of `live`."""
    censuses: tuple[StoredObject, ...]
    """Oldest first."""
    needs: Needs
    walks: tuple[Walk, Walk]
    """Those through the snapshots in place, and through those in the trash."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep will do, all sizes in bytes."""

    now: datetime
    """The store's own time."""
    snapshots: int
    expired: tuple[Forgotten, ...]
    """Forgotten snapshots whose time in the trash is over."""
    waiting: tuple[Forgotten, ...]
    """Forgotten snapshots that can still be had back."""
    packs: int
    pack_bytes: int
    fates: PackFates
    folds: tuple[str, ...]
    """Small index files that are folded into one."""
    reseal_objects: tuple[str, ...]
    """Index files and files of deletion archives that are written anew, for they are sealed under an old key."""
    grounds: Grounds = field(repr=False, compare=False)
    unread_uploads: tuple[str, ...] = ()
    """Objects of uploads under way that can't be read, and are passed over."""
    missing: tuple[str, ...] = ()
    """Snapshots that an earlier sweep saw, that nobody forgot, and that are taken to be rightly gone."""

    @property
    def bytes_removed(self) -> int:
        """Bytes of the packs that are removed."""
        return sum(use.size for use in self.fates.remove)

    @property
    def bytes_condemned(self) -> int:
        """Bytes of the packs that will be gone after the grace, less what is packed anew of them."""
        anew = (*self.fates.pack_anew, *self.fates.reseal)
        return sum(use.size for use in self.fates.condemn) + sum(use.size - use.needed for use in anew)

    @property
    def bytes_going(self) -> int:
        """Bytes of what is removed and condemned, less those that are needed and lie elsewhere, too."""
        return self.bytes_removed + self.bytes_condemned - self.fates.replaced

    def as_text(self) -> str:
        """The plan as lines for a person."""
        fates = self.fates
        heading = (
            f"Sweep on {self.now:%Y-%m-%d %H:%M} UTC by the store's clock: {self.packs} packs, "
            f"{size(self.pack_bytes)}, for {self.snapshots} snapshots and {len(self.waiting)} in the trash."
        )
        lines = [heading]
        lines += [f"accepts    that {name} is gone, though nobody forgot it" for name in self.missing]
        lines += [f"expires    {one.ref.id}, in the trash since {one.forgotten_at:%Y-%m-%d}" for one in self.expired]
        for word, uses, why in (
            ("removes", fates.remove, "condemned a day ago or longer, and not needed"),
            ("condemns", fates.condemn, "not needed by any snapshot"),
            ("repacks", fates.pack_anew, "mostly not needed, or small"),
            ("reseals", fates.reseal, "sealed under a key that a rotation replaced"),
            ("leaves", fates.reseal_later, "under such a key, too, for a later sweep"),
            ("pardons", fates.pardon, "condemned, and needed all the same"),
            ("spares", fates.spared, "not needed yet: an upload under way counts on them"),
        ):
            if uses:
                lines.append(f"{word:<10} {len(uses)} packs, {size(sum(use.size for use in uses))}: {why}")
        if self.folds:
            lines.append(f"folds      {len(self.folds)} small index files into one")
        if self.reseal_objects:
            lines.append(
                f"reseals    {len(self.reseal_objects)} index files and files of deletion archives: under an old key"
            )
        if len(lines) == 1:
            lines.append("There is nothing to sweep.")
        lines += [f"passes     over {name}: what upload it tells of can't be read" for name in self.unread_uploads]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold."""
        return {
            "store_time": self.now.isoformat(timespec="seconds"),
            "snapshots": self.snapshots,
            "expired": [f"{one.ref.profile_key}/{one.ref.id}" for one in self.expired],
            "waiting_in_trash": len(self.waiting),
            "packs": self.packs,
            "pack_bytes": self.pack_bytes,
            "bytes_removed": self.bytes_removed,
            "bytes_condemned": self.bytes_condemned,
            "bytes_going": self.bytes_going,
            "index_files_folded": len(self.folds),
            "reseal_objects": list(self.reseal_objects),
            "unread_uploads": list(self.unread_uploads),
            "missing": list(self.missing),
            **self.fates.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    expired: int
    removed: tuple[PackUse, ...]
    condemned: tuple[PackUse, ...]
    packed_anew: tuple[PackUse, ...]
    resealed: tuple[PackUse, ...]
    left_alone: tuple[PackUse, ...]
    """To be packed anew, but something needed in them is damaged."""
    pardoned: tuple[PackUse, ...]
    folded: int
    resealed_objects: int

    @property
    def bytes_removed(self) -> int:
        """Bytes of the packs that were removed."""
        return sum(use.size for use in self.removed)
