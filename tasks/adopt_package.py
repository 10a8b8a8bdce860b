"""The step *adopt-package*: a package that Anki has written becomes a snapshot of its own time.

The collection is unpacked into a private folder, one at a time, and proven there; the media go from the package to the
repository part by part. What is stored is what the package holds, of whatever schema.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from profiles.errors import CollectionDamaged, PackagedMediaUnusable, PackageUnusable, SourceBusy
from profiles.packages.layout import Layout
from profiles.packages.reading import Package, open_package_at
from recollect.progress import current_progress
from storage.format.blob import BlobKind
from storage.format.manifest import Fact, Manifest, SnapshotId
from storage.intake import (
    FileVersion,
    IdentifiedFile,
    IdentifiedFolder,
    Sink,
    TakenFolder,
    identify_file,
    identify_folder,
)
from storage.repository import Repository
from storage.writing import Written
from tasks.adopted_before import PackageFile, digest_of
from tasks.adoption import Adoptable
from tasks.catalog import ADOPTED
from tasks.media import COLLECTION, MEDIA_FOLDER
from tasks.packaged_collection import UnpackedCollection, unpacked_collection
from tasks.pieces import collection_facts, commit_stored, store_pieces
from tasks.step import step
from tasks.versions import software_versions

_NO_TIME: Final = 0
"""A package does not say when a media file was changed. With one and the same time for all, the listings of several
packages share their nodes."""
_TOLD: Final = 20
"""So many media files that can't be had are named."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A snapshot that was made of a package; the counts of media are None where the package holds none."""

    snapshot: SnapshotId
    digest: str
    notes: int
    cards: int
    reviews: int
    media_files: int | None
    media_bytes: int | None
    bytes_read: int
    bytes_new: int
    bytes_stored: int
    remarks: tuple[str, ...]


class PackagedMediaReader:
    """Reads media files of a package for `storage.intake`, and remembers those that can't be used."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self._media = {media.name.encode(): media for media in package.media}
        self.unusable: dict[str, str] = {}

    def __call__(self, version: FileVersion, sink: Sink) -> FileVersion | None:
        """Read the file into `sink`; one that is damaged costs no other."""
        media = self._media[version.name]
        try:
            for part in self.package.parts(media):
                sink.take(part)
        except PackagedMediaUnusable as trouble:
            self.unusable[media.name] = trouble.problem
            return None
        return version

    def left_out(self) -> list[str]:
        """A sentence for everything that is media and is not in the snapshot."""
        return [*self.package.left_out, *(self.unusable[name] for name in sorted(self.unusable))]


@step("adopt-package", retried=True)
def adopt_package(
    repository: Repository, adoptable: Adoptable, snapshot: SnapshotId, *, uploads: int, place: str = ""
) -> Adopted:
    """Store a package as the snapshot of that id; `place` tells progress which of how many it is.

    Raises PackageUnusable, CollectionDamaged, SourceUnreadable, SourceBusy when the file changes meanwhile, and what
    the private folder and the store raise.
    """
    try:
        return _adopt(repository, adoptable, snapshot, uploads=uploads, place=place)
    except (PackageUnusable, CollectionDamaged):
        # Anki writes a backup under its final name at once: one that is half there may only not be finished.
        _refuse_if_changed(adoptable)
        raise


def _adopt(repository: Repository, adoptable: Adoptable, snapshot: SnapshotId, *, uploads: int, place: str) -> Adopted:
    began, path = time.monotonic(), adoptable.file.path
    named = f"{adoptable.owner.name}: {path.name}{place}"
    digest = digest_of(path)
    with open_package_at(path) as package, unpacked_collection(package, path, named) as unpacked:
        proven, reader = unpacked.proven, PackagedMediaReader(package)
        collection, media = _identified(repository, reader, unpacked, named)

        def stored() -> tuple[list[TakenFolder], Written]:
            new_pages = len(repository.index().missing(collection.pieces))
            found = store_pieces(
                repository,
                [collection],
                media,
                reader,
                named=named,
                new_bytes=new_pages * collection.stored.piece_bytes + sum(one.new_bytes for one in media),
                uploads=uploads,
            )
            _refuse_if_changed(adoptable)
            return found

        def manifest(found: tuple[list[TakenFolder], Written]) -> Manifest:
            taken, written = found
            facts: dict[str, Fact] = {
                **_facts(adoptable, package.layout, digest, taken),
                "media_left_out": len(reader.left_out()),
                "bytes_new": written.bytes_new,
                "bytes_stored": written.bytes_stored,
                "seconds": round(time.monotonic() - began, 3),
                **collection_facts(proven),
                **software_versions(),
            }
            return _manifest(repository, adoptable, snapshot, collection=collection, taken=taken, facts=facts)

        committed = commit_stored(repository, stored, manifest)
        taken, written = committed.stored
        return Adopted(
            snapshot=committed.ref.id,
            digest=digest,
            notes=proven.facts.notes,
            cards=proven.facts.cards,
            reviews=proven.facts.reviews,
            media_files=len(taken[0].entries) if taken else None,
            media_bytes=taken[0].listing.stored.size if taken else None,
            bytes_read=adoptable.file.size,
            bytes_new=written.bytes_new,
            bytes_stored=written.bytes_stored + committed.manifest_bytes,
            remarks=tuple(_first(reader.left_out())),
        )


def _identified(
    repository: Repository, reader: PackagedMediaReader, unpacked: UnpackedCollection, named: str
) -> tuple[IdentifiedFile, list[IdentifiedFolder]]:
    """The collection, and the media folder if the package holds one: automatic backups never do."""
    package = reader.package
    media = [FileVersion(one.name.encode(), one.size or 0, _NO_TIME, _NO_TIME, 0) for one in package.media]
    total = unpacked.copy.stat().st_size + sum(file.size for file in media)
    with current_progress().stage(f"{named}: looking for what is new", total, len(media)) as stage:
        collection = identify_file(
            repository.seal,
            COLLECTION,
            unpacked.copy,
            kind=BlobKind.PAGE,
            piece_bytes=unpacked.proven.facts.page_size,
            advance=stage.advance,
        )
        if not package.media and not package.left_out:
            return collection, []
        folder = identify_folder(
            repository.seal,
            repository.index(),
            MEDIA_FOLDER,
            files=media,
            known={},
            listed_at_ns=_NO_TIME,
            read=reader,
            advance=stage.advance,
        )
    return collection, [folder]


def _manifest(
    repository: Repository,
    adoptable: Adoptable,
    snapshot: SnapshotId,
    *,
    collection: IdentifiedFile,
    taken: Sequence[TakenFolder],
    facts: Mapping[str, Fact],
) -> Manifest:
    owner, moment = adoptable.owner, adoptable.time.moment
    earlier = [ref for ref in repository.snapshots(owner.key) if ref.taken_at <= moment and ref.id != snapshot]
    return Manifest(
        id=snapshot,
        profile=owner.name,
        profile_key=owner.key,
        host=owner.host,
        source=owner.source,
        taken_at=moment,
        parent=earlier[-1].id if earlier else None,
        files=(collection.stored,),
        folders=tuple(one.listing.stored for one in taken),
        facts=facts,
    )


def _facts(adoptable: Adoptable, layout: Layout, digest: str, taken: Sequence[TakenFolder]) -> dict[str, Fact]:
    """What is known of the package, and what it holds beside the collection; `docs/format.md` §7 says what each is."""
    return {
        "purpose": ADOPTED,
        "suspect": None,
        "accepted": False,
        "copied": "package",
        "package": adoptable.file.path.name,
        "package_bytes": adoptable.file.size,
        "package_digest": digest,
        "package_layout": str(layout),
        "time_from": str(adoptable.time.told_by),
        "media_files": len(taken[0].entries) if taken else None,
        "media_bytes": taken[0].listing.stored.size if taken else None,
        "bytes_read": adoptable.file.size,
    }


def _refuse_if_changed(adoptable: Adoptable) -> None:
    try:
        found = adoptable.file.path.stat()
    except OSError:
        return
    if PackageFile(adoptable.file.path, found.st_size, found.st_mtime_ns) != adoptable.file:
        raise SourceBusy(
            f"The package {adoptable.file.path} was written to while it was read, so it was not adopted",
            "Adopt it again when whatever writes it is done",
        )


def _first(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - _TOLD
    return [*sentences[:_TOLD], *([f"... and {more} more media files are left out"] if more > 0 else [])]
