"""The step *export-package*: media go from the repository straight into the package, and the package to its place."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from profiles.packages.layout import Layout
from profiles.packages.media_names import left_out_by_anki
from profiles.packages.writing import MediaLost, MediaMember, WrittenPackage, write_package
from recollect.memory import give_large_buffers_back
from recollect.progress import Stage, current_progress
from storage.errors import Damaged
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest
from storage.listings import LostRange
from storage.repository import Repository
from storage.retrieval import folder_entries, stream_entries
from storage.stores.outgoing_file import OutgoingFile
from tasks.media import MEDIA_FOLDER
from tasks.sentences import first
from tasks.step import step

logger = logging.getLogger("recollect")


@dataclass(frozen=True, slots=True)
class PackableMedia:
    """A snapshot's media files as a package may take them: `entries` by name."""

    entries: Mapping[str, FolderEntry]
    left_out: tuple[str, ...] = ()
    """A sentence for each that Anki would refuse a whole package for."""
    lacking: int = 0
    """How many files could not be read when the snapshot was taken, and are not in it."""
    unlisted: Damaged | None = None
    """Why it can't be told which files there are, in which case there are no entries."""
    lost: tuple[LostRange, ...] = ()
    """Files that a damaged part of the listing would have named."""
    lost_files: int = 0
    """How many those are."""

    def remarks(self) -> list[str]:
        """What is not in the package, and why."""
        lacking = f"Media files that could not be read when the snapshot was taken, and are not in it: {self.lacking}"
        unlisted = f"The media files can't be listed, so none is in the package. {self.unlisted}"
        return [
            *([lacking] if self.lacking else []),
            *([unlisted] if self.unlisted else []),
            *(
                [f"Media files that can't be listed, and are not in the package: {self.lost_files}"]
                if self.lost
                else []
            ),
            *first([f"Not listed are those {names}" for names in self.lost]),
            *([f"Media files left out: {len(self.left_out)}", *first(self.left_out)] if self.left_out else []),
        ]


@dataclass(frozen=True, slots=True)
class ExportedPackage:
    """A package that was written, and the names of the media files whose content the repository does not hold whole."""

    written: WrittenPackage
    damaged: tuple[str, ...]

    def remarks(self) -> list[str]:
        """What is not in the package, and why."""
        return first([f"Damaged in the repository: {name!r}" for name in self.damaged])


NO_MEDIA = PackableMedia({})


def packable_media(repository: Repository, manifest: Manifest) -> PackableMedia:
    """Sort out the snapshot's media files for a package, as far as they can be listed."""
    stored = manifest.folder(MEDIA_FOLDER)
    lacking = manifest.facts.get("media_left_out")
    lacking = lacking if type(lacking) is int and lacking > 0 else 0
    if stored is None:
        return PackableMedia({}, lacking=lacking)
    lost: list[LostRange] = []
    entries: dict[str, FolderEntry] = {}
    left_out: list[str] = []
    try:
        for entry in folder_entries(repository, stored, lost=lambda names, _: lost.append(names)):
            name = entry.name.decode(errors="surrogateescape")
            why = left_out_by_anki(name)
            if why is None:
                entries[name] = entry
            else:
                left_out.append(why)
    except Damaged as trouble:
        return PackableMedia({}, lacking=lacking, unlisted=trouble)
    lost_files = stored.entries.count - len(entries) - len(left_out) if lost else 0
    return PackableMedia(entries, tuple(left_out), lacking, lost=tuple(lost), lost_files=lost_files)


@step("export-package", retried=True)
def export_package(
    repository: Repository,
    manifest: Manifest,
    collection: Path,
    media: PackableMedia,
    file: OutgoingFile,
    *,
    layout: Layout,
    overwrite: bool,
) -> ExportedPackage:
    """Write a package of the private copy `collection` and as many of the media as can be had."""
    give_large_buffers_back()
    names = {entry.name: name for name, entry in media.entries.items()}
    total = collection.stat().st_size + sum(entry.size for entry in media.entries.values())
    damaged: list[str] = []
    with (
        current_progress().stage(f"{manifest.profile}: writing the package", total, len(names)) as stage,
        file.written(replace=overwrite) as out,
        closing(
            stream_entries(
                repository, media.entries.values(), damaged=lambda entry, _: damaged.append(names[entry.name])
            )
        ) as stream,
    ):
        written = write_package(out, collection, _members(stream, names, stage), stage.advance, layout=layout)
    return ExportedPackage(written, tuple(sorted({*damaged, *written.lost})))


def tell_all(media: PackableMedia, package: ExportedPackage) -> None:
    """Name in the log every file that is not in the package."""
    for sentence in media.left_out:
        logger.warning("%s", sentence)
    for names in media.lost:
        logger.warning("A part of the listing of media files is damaged: those %s are not in the package", names)
    for name in package.damaged:
        logger.warning("The media file %r is damaged in the repository and is not in the package", name)


def _members(
    stream: Iterable[tuple[FolderEntry, Iterable[bytes]]], names: Mapping[bytes, str], stage: Stage
) -> Iterator[MediaMember]:
    for entry, parts in stream:
        yield MediaMember(names[entry.name], lambda parts=parts: _whole_or_lost(parts))  # type: ignore[misc]
        stage.advance(0, files=1)


def _whole_or_lost(parts: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    except Damaged as damage:
        raise MediaLost from damage
