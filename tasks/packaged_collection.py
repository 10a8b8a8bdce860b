"""The collection of a package, unpacked into a private folder for a while, and proven there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from profiles.errors import CollectionDamaged
from profiles.packages.reading import Package
from recollect.progress import current_progress
from tasks.media import COLLECTION
from tasks.private_folder import private_folder
from tasks.snapshot import Proven, prove_copy


@dataclass(frozen=True, slots=True)
class UnpackedCollection:
    """A private copy, which is gone when the context ends, and what its proof found."""

    copy: Path
    proven: Proven


@contextmanager
def unpacked_collection(package: Package, path: Path, named: str) -> Iterator[UnpackedCollection]:
    """Unpack the collection of the package that lies at `path`; `named` is what progress calls it.

    Raises PackageUnusable, CollectionDamaged, SourceUnreadable, and TargetUnusable when the disk is too small.
    """
    with private_folder() as folder:
        copy = folder / COLLECTION
        with current_progress().stage(f"{named}: unpacking", package.collection_bytes) as stage:
            package.extract_collection(copy, stage.advance)
        try:
            proven = prove_copy(copy, path)
        except CollectionDamaged as damage:
            advice = "Use another backup: Anki itself would not import this one"
            raise CollectionDamaged(damage.problem, advice) from damage
        yield UnpackedCollection(copy, proven)
