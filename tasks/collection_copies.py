"""Private copies of collections, as they are now and as they were, each fetched only as far as another lacks it.

Two states of one collection share most of their pages.
"""

from __future__ import annotations

from pathlib import Path

from profiles.collection_copy import copy_collection
from profiles.discovery import Profile
from profiles.errors import CollectionDamaged
from profiles.proof import CollectionFacts, prove
from recollect.progress import current_progress
from storage.format.blob import BlobKind
from storage.format.manifest import Manifest, StoredFile
from storage.intake import identify_file
from storage.repository import Repository
from storage.retrieval import FileAtHand, retrieve_file
from tasks.media import COLLECTION


def present_collection(repository: Repository, profile: Profile, target: Path) -> FileAtHand:
    """A consistent copy of the profile's collection as it is now. Anki may have it open.

    Raises what copying it raises.
    """
    with current_progress().stage(f"{profile.name}: copying the collection", None) as stage:
        evidence = copy_collection(profile.collection, target, progress=stage)
    return at_hand(repository, target, evidence.page_size)


def at_hand(repository: Repository, path: Path, piece_bytes: int) -> FileAtHand:
    """What a private copy holds of what may have to be fetched; `piece_bytes` is its page size."""
    identified = identify_file(
        repository.seal, COLLECTION, path, kind=BlobKind.PAGE, piece_bytes=piece_bytes, advance=lambda _: None
    )
    return FileAtHand(path, piece_bytes, identified.pieces)


def stored_collection(
    repository: Repository, manifest: Manifest, target: Path, near: FileAtHand | None = None
) -> FileAtHand:
    """The collection of a snapshot, written to `target`; what the copy `near` shares with it is not fetched.

    Raises what fetching it raises, and CollectionDamaged for a snapshot without one.
    """
    stored = collection_of(manifest)
    with current_progress().stage(f"{manifest.profile}: fetching the collection", stored.size) as stage:
        pieces = retrieve_file(repository, stored, target, stage.advance, at_hand=near)
    return FileAtHand(target, stored.piece_bytes, pieces)


def prove_stored(copy: Path, manifest: Manifest) -> CollectionFacts:
    """Prove a private copy of a snapshot's collection, and that it is the one which the manifest speaks of.

    Raises what `prove` raises, CollectionDamaged for either.
    """
    facts = prove(copy)
    counted = {"notes": facts.notes, "cards": facts.cards, "reviews": facts.reviews}
    promised = {name: manifest.facts.get(name) for name in counted}
    # What a manifest does not tell is unknown, and no contradiction.
    if any(promised[name] not in {None, counted[name]} for name in counted):
        raise CollectionDamaged(
            f"The collection of the snapshot {manifest.id} holds {counted} instead of {promised}",
            "Name another snapshot",
        )
    return facts


def collection_of(manifest: Manifest) -> StoredFile:
    """The collection among a snapshot's files. Raises CollectionDamaged when there is none."""
    stored = manifest.file(COLLECTION)
    if stored is None:
        raise CollectionDamaged(f"The snapshot {manifest.id} holds no collection", "Name another snapshot")
    return stored
