"""The steps *cut-package* and *write-text-files*: notes of one snapshot, as what Anki imports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from profiles.recovery.apkg import CutPackage, cut_apkg
from profiles.recovery.text import text_files
from profiles.recovery.text_folder import write_text_folder
from recollect.progress import current_progress
from tasks.collection_over_time import CollectionOverTime, known_as
from tasks.find_notes import NotesOfSnapshot
from tasks.snapshot_media import SnapshotMedia
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Package:
    """A package with the notes of one snapshot; `damaged_media` are the files that it lacks for damage to the
    repository."""

    source: NotesOfSnapshot
    cut: CutPackage
    damaged_media: tuple[str, ...]

    @property
    def missing_media(self) -> tuple[str, ...]:
        """Files that the notes name and the snapshot does not have."""
        return tuple(name for name in self.cut.missing_media if name not in self.damaged_media)


@step("cut-package", retried=True)
def cut_package(copy: CollectionOverTime, source: NotesOfSnapshot, target: Path, folder: Path) -> Package:
    """Write notes with all that belongs to them to the new file `target`; the work is done in the private `folder`."""
    manifest = source.manifest
    collection = copy.turn_to(manifest)
    media = SnapshotMedia(copy.repository, manifest, folder)
    with current_progress().stage(f"{manifest.profile}: packing {len(source.notes)} notes", None):
        cut = cut_apkg(collection, media, source.notes, target, folder, original=known_as(manifest))
    return Package(source, cut, tuple(sorted(media.damaged)))


@step("write-text-files", retried=True)
def write_text_files(
    copy: CollectionOverTime, sources: Sequence[NotesOfSnapshot], folder: Path, *, overwriting: bool
) -> tuple[Path, ...]:
    """Write a text file for each note type to `folder`, which must be empty or not there yet.

    The notes of several snapshots lie in a folder of each, for a note type may have changed between them.
    """
    texts: dict[str, str] = {}
    for one in sources:
        within = "" if len(sources) == 1 else f"{one.manifest.id}/"
        copied, original = copy.turn_to(one.manifest), known_as(one.manifest)
        made = text_files(copied, one.notes, overwriting=overwriting, original=original).files
        texts |= {f"{within}{name}": text for name, text in made.items()}
    return write_text_folder(folder, texts)
