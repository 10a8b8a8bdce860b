"""The media of a snapshot by name, each fetched when it is asked for: a few notes name few of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from storage.errors import Damaged
from storage.format.blob import PART_BYTES
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest
from storage.listings import LostRange
from storage.repository import Repository
from storage.retrieval import folder_entries, retrieve_entries
from tasks.cache_trouble import cache_trouble
from tasks.media import MEDIA_FOLDER


class SnapshotMedia:
    """Gives the content of a media file in parts, or None when it can't be had.

    `folder` is a private one: a file lies there until the next is asked for, so that nothing is given of one that is
    not whole. `damaged` names those that the snapshot has, or may have, and the repository does not hold whole.
    """

    def __init__(self, repository: Repository, manifest: Manifest, folder: Path) -> None:
        self.damaged: set[str] = set()
        self._repository = repository
        self._manifest = manifest
        self._folder = folder
        self._lost: list[LostRange] = []

    def __call__(self, name: str) -> Iterable[bytes] | None:
        entry = self._entries.get(name) or self._entries.get(_composed(name))
        if entry is None:
            if any(_may_name(lost, name) for lost in self._lost):
                self.damaged.add(name)
            return None
        path = self._folder / "one-media-file"

        def write(_: FolderEntry, parts: Iterable[bytes]) -> None:
            with cache_trouble(self._folder), path.open("wb") as file:
                file.writelines(parts)

        if retrieve_entries(self._repository, [entry], write):
            self.damaged.add(name)
            return None
        return _parts(path)

    @cached_property
    def _entries(self) -> dict[str, FolderEntry]:
        """The files by name, and by the composed form that Anki makes of names in notes; systems differ in that."""
        stored = self._manifest.folder(MEDIA_FOLDER)
        found: dict[str, FolderEntry] = {}
        if stored is None:
            return found
        try:
            for entry in folder_entries(self._repository, stored, lost=lambda names, _: self._lost.append(names)):
                found[entry.name.decode(errors="surrogateescape")] = entry
        except Damaged:
            self._lost.append(LostRange(None, None))
        for name in list(found):
            found.setdefault(_composed(name), found[name])
        return found


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _may_name(lost: LostRange, name: str) -> bool:
    encoded = name.encode(errors="surrogatepass")
    return (lost.after or b"") < encoded and (lost.to is None or encoded <= lost.to)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part
