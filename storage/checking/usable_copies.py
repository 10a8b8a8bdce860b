"""Which copies of blobs can be had, and which needed blobs lie only where nothing can be relied on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import numpy as np

from storage.copies import Copies
from storage.format.blob import BlobId, PackId
from storage.index import Index


class UsableCopies:
    """The copies that an index knows, less those that were found damaged."""

    def __init__(self, index: Index, bad: Mapping[PackId, frozenset[BlobId]]) -> None:
        """`bad` names the copies that were found damaged, by pack."""
        self._copies = Copies(index)
        self._whole = np.ones(len(index.pack_of_row), dtype=bool)
        for pack, blobs in bad.items():
            rows = np.flatnonzero(self._copies.in_packs({pack}))
            for row, blob in zip(rows, index.ids(rows), strict=True):
                self._whole[row] = blob not in blobs
        self._usable = self._copies.also_among(self._whole)

    def lacking(self, blobs: list[BlobId]) -> set[BlobId]:
        """Those of `blobs`, which a snapshot needs, of which no copy can be had."""
        rows = self._copies.need(blobs)
        can_be_had = rows >= 0
        can_be_had[can_be_had] = self._usable[rows[can_be_had]]
        return {blobs[number] for number in np.flatnonzero(~can_be_had).tolist()}

    def elsewhere(self, blobs: Iterable[BlobId]) -> int:
        """Of how many of `blobs` another copy is whole."""
        rows = self._copies.index.rows(list(blobs))
        return int(np.count_nonzero(self._usable[rows[rows >= 0]]))

    def stranded(self, unreliable: Set[PackId]) -> int:
        """How many blobs are needed, and can be had, but from `unreliable` packs alone."""
        reliable = self._copies.also_among(self._whole & ~self._copies.in_packs(unreliable))
        return self._copies.count(self._copies.needed() & self._usable & ~reliable)


def only_in(index: Index, packs: Set[PackId]) -> list[PackId]:
    """Those of `packs` that hold a blob which lies in none but them."""
    copies = Copies(index)
    doubtful = copies.in_packs(packs)
    numbers = np.unique(index.pack_of_row[doubtful & ~copies.also_among(~doubtful)])
    return [index.pack_ids[number] for number in numbers.tolist()]
