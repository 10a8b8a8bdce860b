"""The step *checksum*: what the snapshot is made of, and what of it the repository does not hold yet."""

from __future__ import annotations

from recollect.progress import current_progress
from storage.format.blob import PART_BYTES, BlobKind
from storage.format.manifest import Manifest
from storage.intake import FolderListing, IdentifiedFile, IdentifiedFolder, identify_file, identify_folder
from tasks.job import Job
from tasks.media import COLLECTION, DELETION_LOG, MEDIA_FOLDER, reliable
from tasks.media_reading import MediaReader, version_of
from tasks.snapshot import Source
from tasks.step import step


class Contents:
    """What a snapshot is made of. Not a dataclass: Prefect would look through every id."""

    def __init__(
        self,
        *,
        files: list[IdentifiedFile],
        media: IdentifiedFolder,
        reader: MediaReader,
        new_bytes: int,
        unchanged: bool,
    ) -> None:
        self.files = files
        self.media = media
        self.reader = reader
        self.new_bytes = new_bytes
        self.unchanged = unchanged


@step("checksum", retried=True)
def checksum(job: Job, source: Source) -> Contents:
    """Find out what is new, before a byte is sent; of files that must be new it is enough to know that.

    Ends when the copy is proven.
    """
    repository = job.repository
    index, seal = repository.index(), repository.seal
    reader = MediaReader(job.profile.media_folder)
    media_bytes = sum(file.size for file in source.media.files)
    total = source.evidence.size + media_bytes
    with current_progress().stage(
        f"{job.profile.name}: looking for what is new", total, len(source.media.files)
    ) as stage:
        files = [
            identify_file(
                seal,
                COLLECTION,
                job.staged_collection,
                kind=BlobKind.PAGE,
                piece_bytes=source.evidence.page_size,
                advance=stage.advance,
            )
        ]
        if source.has_deletion_log:
            files.append(
                identify_file(
                    seal,
                    DELETION_LOG,
                    job.staged_deletion_log,
                    kind=BlobKind.DATA,
                    piece_bytes=PART_BYTES,
                    advance=stage.advance,
                )
            )
        media = identify_folder(
            seal,
            index,
            MEDIA_FOLDER,
            files=[version_of(file) for file in source.media.files],
            known=reliable(source.media.files, job.known_files()),
            listed_at_ns=source.media_listed_at_ns,
            read=reader,
            advance=stage.advance,
        )
    new_bytes = media.new_bytes + sum(len(index.missing(file.pieces)) * file.stored.piece_bytes for file in files)
    # What the repository lost is stored again, by a snapshot of its own.
    unchanged = (
        media.listing is not None
        and not new_bytes
        and _same_as(job.last_manifest(), files, media.listing)
        and not index.missing(
            [node for nodes in (media.listing.nodes, *(file.nodes for file in files)) for node, _ in nodes]
        )
    )
    source.proven()
    return Contents(files=files, media=media, reader=reader, new_bytes=new_bytes, unchanged=unchanged)


def _same_as(last: Manifest | None, files: list[IdentifiedFile], media: FolderListing) -> bool:
    """Whether the last snapshot holds exactly this."""
    return (
        last is not None
        and [file.stored for file in files] == list(last.files)
        and [media.stored] == list(last.folders)
    )
