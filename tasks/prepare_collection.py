"""The step *prepare-collection*: fetched from a snapshot, proven, and laid out as a package wants it."""

from __future__ import annotations

from pathlib import Path

from profiles.packages.layout import Layout
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.cache_trouble import cache_trouble
from tasks.collection_copies import prove_stored, stored_collection
from tasks.media import COLLECTION
from tasks.step import step


@step("prepare-collection", retried=True)
def prepare_collection(repository: Repository, manifest: Manifest, folder: Path, layout: Layout) -> Path:
    """A private copy of a snapshot's collection in `folder`, as it goes into a package; returns its path.

    Neither `scm` nor `mod` is stamped, unlike in a restore: Anki's import sets both to the time of the import before it
    puts the collection in its place (rslib/src/import_export/package/colpkg/import.rs), so the next sync asks which
    side to keep. Until then a package tells what was backed up.

    Raises what fetching it raises, CollectionDamaged, and AnkiRefused where it can't be turned back for an older Anki.
    """
    fetched = folder / COLLECTION
    with cache_trouble(folder):
        stored_collection(repository, manifest, fetched)
    prove_stored(fetched, manifest)
    if layout is Layout.LATEST:
        return fetched
    # It brings Anki's own library with it, which takes a good part of a second to load.
    from profiles.packages.legacy import turn_back  # noqa: PLC0415

    return turn_back(fetched, folder / "older")
