"""Which packages of Anki's became snapshots before, so that none becomes two."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from blake3 import blake3

from profiles.errors import PackageUnusable
from storage.file_memory import FileMemory
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository
from tasks.catalog import ADOPTED
from tasks.job import memory_of
from tasks.package_time import PackageTime, TimeFrom

_CHUNK: Final = 1 << 20
_NOTE: Final = "adopted packages"
_NOTED: Final = 4
"""Of each path: size, mtime in ns, digest, snapshot."""


def digest_of(path: Path) -> str:
    """A name for the bytes of a package: their BLAKE3 in hex. Raises PackageUnusable when it can't be read."""
    digest = blake3()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise PackageUnusable(
            f"The package {path} can't be read: {error.strerror or error}", "Check the disk, and that you may read it"
        ) from error
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package as it lies on the disk: its size in bytes, its time of change in ns since 1970."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """The snapshot that a package became, which may have been let go since."""

    snapshot: str
    time: PackageTime | None
    let_go: bool


class AdoptedBefore:
    """Which packages became snapshots of a profile: as manifests tell, and as this computer remembers.

    What retention or a person let go is not to come back by itself, as long as Anki keeps its file: only the memory
    knows of that. Losing it means that such a package is adopted once more.
    """

    def __init__(self, repository: Repository | None, key: ProfileKey) -> None:
        self._notes: dict[str, list[object]] = {}
        self._manifests: dict[str, list[Manifest]] = {}
        self._sizes: set[object] = set()
        if repository is None:
            return
        self._notes = _notes(memory_of(repository, key))
        for manifest in repository.manifests(repository.snapshots(key)):
            if isinstance(manifest, Manifest) and manifest.facts.get("purpose") == ADOPTED:
                self._manifests.setdefault(str(manifest.facts.get("package_digest")), []).append(manifest)
                self._sizes.add(manifest.facts.get("package_bytes"))

    def as_snapshot(self, file: PackageFile, said: datetime | None) -> Known | None:
        """What the package became whose name `said` a time; None when it is not known to have become anything.

        The same bytes under a name that says another time are another package. Only what may be the same is read.
        """
        noted = self._notes.get(str(file.path))
        remembered = noted is not None and noted[:2] == [file.size, file.mtime_ns]
        if remembered and noted is not None:
            digest, snapshot = str(noted[2]), str(noted[3])
        elif file.size in self._sizes:
            digest, snapshot = digest_of(file.path), ""
        else:
            return None
        for manifest in self._manifests.get(digest, ()):
            # By the clock on the wall: the zone that a name means is the one that this computer is in just now.
            if said is None or manifest.taken_at.replace(tzinfo=None) == said.replace(tzinfo=None):
                told_by = manifest.facts.get("time_from")
                time = PackageTime(manifest.taken_at, TimeFrom(told_by)) if told_by in set(TimeFrom) else None
                return Known(manifest.id, time, let_go=False)
        if not remembered:
            return None
        return Known(snapshot, PackageTime(said, TimeFrom.NAME) if said else None, let_go=True)


def remember_adopted(repository: Repository, key: ProfileKey, file: PackageFile, digest: str, snapshot: str) -> None:
    """Remember what a package became. What does not lie in its place any more is forgotten."""
    memory = memory_of(repository, key)
    notes = {place: noted for place, noted in _notes(memory).items() if os.path.lexists(place)}
    notes[str(file.path)] = [file.size, file.mtime_ns, digest, snapshot]
    memory.keep({}, {}, {_NOTE: json.dumps(notes)})


def _notes(memory: FileMemory) -> dict[str, list[object]]:
    try:
        found = json.loads(memory.note(_NOTE) or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: noted for path, noted in found.items() if isinstance(noted, list) and len(noted) == _NOTED}
