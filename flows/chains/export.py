"""Exporting: a snapshot as a package that Anki imports, written to wherever it is wanted."""

from __future__ import annotations

from profiles.packages.layout import Layout
from recollect.units import size
from storage.errors import Damaged, TargetUnwritable
from storage.format.manifest import Manifest
from storage.repository import Repository
from storage.stores.outgoing_file import OutgoingFile
from tasks.audit import Report, audited, counts_of
from tasks.catalog import LATEST, SAFETY
from tasks.chosen import chosen_manifest
from tasks.export_package import NO_MEDIA, ExportedPackage, PackableMedia, export_package, packable_media, tell_all
from tasks.outgoing import outgoing_file
from tasks.prepare_collection import prepare_collection
from tasks.private_folder import private_folder
from tasks.repositories import on_this_computer, open_named

ENDING = ".colpkg"
IMPORT_ADVICE = (
    "In Anki, import it with File > Import: it replaces the whole collection of the profile that is open, and the next "
    "sync asks which side to keep"
)


def export(
    target: str,
    snapshot: str = LATEST,
    *,
    profile: str | None = None,
    media: bool = True,
    layout: Layout = Layout.LATEST,
    overwrite: bool = False,
    repository_name: str = "default",
) -> Report:
    """Write a snapshot as a package to `target`, a full path or a URL; a file that is there is kept unless `overwrite`.

    `layout` is LATEST, or LEGACY2 for an Anki before 2.1.50.
    """
    repository = open_named(repository_name)
    with audited("export", profile or "", repository) as audit:
        file = _file_to_write(target, repository_name, overwrite=overwrite)
        manifest = chosen_manifest(repository, snapshot, profile)
        audit.profile, audit.profile_key = manifest.profile, manifest.profile_key
        audit.note(snapshot=manifest.id)
        with private_folder() as folder:
            collection = prepare_collection(repository, manifest, folder, layout)
            chosen = packable_media(repository, manifest) if media else NO_MEDIA
            package = export_package(repository, manifest, collection, chosen, file, layout=layout, overwrite=overwrite)
        written = package.written
        audit.note(**counts_of(manifest) | {"media_files": written.media_files, "media_bytes": written.media_bytes})
        audit.note(bytes_read=written.collection_bytes + written.media_bytes)
        audit.warnings += [*_warnings(repository, manifest, file), *chosen.remarks(), *package.remarks()]
        tell_all(chosen, package)
        _refuse_to_call_it_whole(manifest, file, chosen, package)
        audit.told.append(IMPORT_ADVICE)
        audit.completed(
            f"The snapshot {manifest.id} of {manifest.profile} is exported to {file.url}: "
            f"{manifest.facts.get('notes')} notes, {written.media_files} media files, {size(written.bytes_written)}"
        )
    return audit.report()


def _file_to_write(target: str, repository_name: str, *, overwrite: bool) -> OutgoingFile:
    file = outgoing_file(target, repository_name)
    # Not only a matter of taste: no collection, and nothing of Anki's, is ever replaced by a package this way.
    if not file.url.lower().endswith(ENDING):
        raise TargetUnwritable(
            f"{file.url} is no name for a package: Anki knows one by its ending", f"Let the name end in {ENDING}"
        )
    if not overwrite and file.is_there():
        raise TargetUnwritable(
            f"{file.url} is there already", "Choose another name; or replace that file, with --overwrite"
        )
    return file


def _warnings(repository: Repository, manifest: Manifest, file: OutgoingFile) -> list[str]:
    found = []
    if manifest.facts.get("suspect"):
        found.append(f"This snapshot is suspect: {manifest.facts['suspect']}")
    if manifest.facts.get("purpose") == SAFETY:
        found.append("This snapshot was taken before a restore, of the state that was to be replaced")
    if repository.seal.generation and not on_this_computer(file.url):
        found.append(
            f"The package is not encrypted, unlike the repository: whoever may read {file.url} can read it all"
        )
    return found


def _refuse_to_call_it_whole(
    manifest: Manifest, file: OutgoingFile, media: PackableMedia, package: ExportedPackage
) -> None:
    """All that is whole was written; what the repository lost is a failure that someone should hear of."""
    advice = "Export an earlier or later snapshot for the rest; `recollect repair` may be able to heal this one"
    if media.unlisted:
        raise Damaged(
            f"The collection of the snapshot {manifest.id} is exported to {file.url}, but none of its media, which "
            f"can't be listed: {media.unlisted.problem}",
            advice,
        ) from media.unlisted
    lost = len(package.damaged) + media.lost_files
    if lost:
        wanted = len(media.entries) + media.lost_files
        raise Damaged(
            f"{lost} of {wanted} media files of the snapshot {manifest.id} are damaged in the repository and not in "
            f"the package {file.url}; all else is",
            advice,
        )
