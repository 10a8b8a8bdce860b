"""What damage costs, in the words of people: which files of which snapshots can't be had whole any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.checking.survey import LostEntry, Spot, Survey
from storage.format.blob import BlobId
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest, ProfileKey, SnapshotId, StoredFile, snapshot_time
from storage.listings import LostRange, shown_name


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that some snapshots of a profile lack, oldest snapshot first.

    A whole file of the snapshot (`pieces` of `of` are lost, at most), an `entry` of one of its folders, or a `range` of
    a folder's files that can't be listed.
    """

    profile_key: ProfileKey
    profile: str
    name: str
    """The file's or the folder's name."""
    snapshots: tuple[SnapshotId, ...]
    pieces: int = 0
    of: int = 0
    entry: FolderEntry | None = None
    range: LostRange | None = None

    def what(self) -> str:
        """What is lost."""
        if self.entry is not None:
            return f"the file {shown_name(self.entry.name)!r} in {self.name}"
        if self.range is not None:
            part = self.range != LostRange(None, None)
            return f"the list of {f'the files in {self.name} {self.range}' if part else f'all files in {self.name}'}"
        if self.pieces == self.of:
            return f"{self.name}"
        return f"{self.pieces} of {self.of} pieces of {self.name}, which can't be restored without them"

    def since(self) -> str:
        """The snapshots that lack it."""
        if len(self.snapshots) == 1:
            return f"the snapshot {self.snapshots[0]}"
        first, last = (f"{snapshot_time(snapshot):%Y-%m-%d}" for snapshot in (self.snapshots[0], self.snapshots[-1]))
        when = f"of {first}" if first == last else f"from {first} to {last}"
        return f"{len(self.snapshots)} snapshots {when}"

    def as_text(self) -> str:
        """The loss as a sentence without its full stop."""
        return f"{self.profile} has lost {self.what()}: in {self.since()}"

    def as_json(self) -> dict[str, Any]:
        """The loss as values that JSON can hold."""
        return {
            "profile": self.profile,
            "profile_key": self.profile_key,
            "name": self.name,
            "entry": shown_name(self.entry.name) if self.entry else None,
            "after": shown_name(self.range.after) if self.range and self.range.after else None,
            "to": shown_name(self.range.to) if self.range and self.range.to else None,
            "unlisted": self.range is not None,
            "lost_pieces": self.pieces,
            "pieces": self.of,
            "snapshots": list(self.snapshots),
        }


def losses_of(survey: Survey, manifests: Iterable[Manifest]) -> list[Loss]:
    """What these snapshots lack, by profile. A file that many snapshots share is one loss."""
    by_profile: dict[ProfileKey, list[Manifest]] = {}
    for manifest in sorted(manifests, key=lambda manifest: manifest.id):
        by_profile.setdefault(manifest.profile_key, []).append(manifest)
    losses: list[Loss] = []
    for own in by_profile.values():
        losses += _lost_files(survey, own)
        losses += _lost_in_folders(survey, own)
    losses.sort(key=lambda loss: (loss.profile.casefold(), loss.profile_key))
    return losses


def _lost_files(survey: Survey, manifests: Sequence[Manifest]) -> list[Loss]:
    lacking: dict[str, list[tuple[Manifest, StoredFile, int]]] = {}
    for manifest in manifests:
        for file in manifest.files:
            lost = file.pieces.count - survey.whole_pieces(file.pieces)
            if lost:
                lacking.setdefault(file.name, []).append((manifest, file, lost))
    losses = []
    for name, found in lacking.items():
        _, worst, most = max(found, key=lambda one: (one[2], one[1].pieces.count))
        losses.append(
            Loss(
                manifests[-1].profile_key,
                manifests[-1].profile,
                name,
                tuple(manifest.id for manifest, _, _ in found),
                pieces=most,
                of=worst.pieces.count,
            )
        )
    return losses


def _lost_in_folders(survey: Survey, manifests: Sequence[Manifest]) -> list[Loss]:
    """Folders share their nodes from snapshot to snapshot, so a node's losses are taken apart once."""
    groups: dict[tuple[str, BlobId | None, tuple[Spot, ...]], list[SnapshotId]] = {}
    for manifest in manifests:
        for folder in manifest.folders:
            for node, spots in survey.lost_in(folder.entries):
                groups.setdefault((folder.name, node, spots), []).append(manifest.id)
    lacking: dict[tuple[str, bytes, BlobId | LostRange | None], tuple[Spot, list[list[SnapshotId]]]] = {}
    for (name, _, spots), snapshots in groups.items():
        for spot in spots:
            lacking.setdefault((name, *_key(spot)), (spot, []))[1].append(snapshots)
    # Most files were lost by the same snapshots: those are listed but once.
    told: dict[tuple[int, ...], tuple[SnapshotId, ...]] = {}
    losses = []
    for (name, _, _), (spot, parts) in lacking.items():
        alike = tuple(sorted(map(id, parts)))
        if alike not in told:
            told[alike] = tuple(sorted({snapshot for part in parts for snapshot in part}))
        losses.append(
            Loss(
                manifests[-1].profile_key,
                manifests[-1].profile,
                name,
                told[alike],
                entry=spot.entry if isinstance(spot, LostEntry) else None,
                range=spot if isinstance(spot, LostRange) else None,
            )
        )
    losses.sort(key=lambda loss: (loss.name, loss.entry.name if loss.entry else b""))
    return losses


def _key(spot: Spot) -> tuple[bytes, BlobId | LostRange | None]:
    """What tells one lost thing from another: two versions of a file are two."""
    return (spot.entry.name, spot.entry.content.root) if isinstance(spot, LostEntry) else (b"", spot)
