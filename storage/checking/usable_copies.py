"""Which copies of blobs can be had, and which blobs snapshots need: by rows of an index, for they are many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from storage.format.blob import BlobId, PackId
from storage.index import Index


class UsableCopies:
    """The copies that an index knows, less those that were found damaged."""

    def __init__(self, index: Index, bad: Mapping[PackId, frozenset[BlobId]]) -> None:
        """`bad` names the copies that were found damaged, by pack."""
        self._index = index
        self._groups = index.groups()
        self._whole = np.ones(len(self._groups), dtype=bool)
        for pack, blobs in bad.items():
            rows = rows_in(index, {pack})
            for row, blob in zip(rows, index.ids(rows), strict=True):
                self._whole[row] = blob not in blobs
        self._usable = self._having(self._whole)
        self._needed = np.zeros(len(self._groups), dtype=bool)

    def lacking(self, blobs: list[BlobId]) -> set[BlobId]:
        """Those of `blobs`, which a snapshot needs, of which no copy can be had."""
        rows = self._index.rows(blobs)
        known = rows >= 0
        self._needed[rows[known]] = True
        can_be_had = known.copy()
        can_be_had[known] = self._usable[rows[known]]
        return {blobs[number] for number in np.flatnonzero(~can_be_had).tolist()}

    def elsewhere(self, blobs: Iterable[BlobId]) -> int:
        """Of how many of `blobs` another copy is whole."""
        rows = self._index.rows(list(blobs))
        return int(np.count_nonzero(self._usable[rows[rows >= 0]]))

    def stranded(self, unreliable: Iterable[PackId]) -> int:
        """How many blobs are needed, and can be had, but from `unreliable` packs alone."""
        reliable = np.ones(len(self._groups), dtype=bool)
        reliable[rows_in(self._index, unreliable)] = False
        return int(np.count_nonzero(self._needed & self._usable & ~self._having(self._whole & reliable)))

    def _having(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """By first row of a blob: whether one of its copies is among `rows`."""
        having = np.zeros(len(self._groups), dtype=bool)
        having[self._groups[rows]] = True
        return having


def only_in(index: Index, packs: Iterable[PackId]) -> list[PackId]:
    """Those of `packs` that hold a blob which lies in none but them."""
    doubtful = np.zeros(len(index.pack_of_row), dtype=bool)
    doubtful[rows_in(index, packs)] = True
    groups = index.groups()
    elsewhere = np.zeros(len(groups), dtype=bool)
    elsewhere[groups[~doubtful]] = True
    numbers = np.unique(index.pack_of_row[doubtful & ~elsewhere[groups]])
    return [index.pack_ids[number] for number in numbers.tolist()]


def rows_in(index: Index, packs: Iterable[PackId]) -> npt.NDArray[np.intp]:
    """The rows of an index that lie in `packs`."""
    wanted = frozenset(packs)
    if not wanted or not index.pack_ids:
        return np.empty(0, dtype=np.intp)
    among = np.array([pack in wanted for pack in index.pack_ids], dtype=bool)
    return np.flatnonzero(among[index.pack_of_row])
