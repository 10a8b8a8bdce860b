"""Copies of blobs, by rows of an index, for they are many: which of them are needed, and which lie elsewhere too."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt

from storage.format.blob import BlobId, PackId
from storage.index import Index, Rows

Mask = npt.NDArray[np.bool_]
"""For each row of an index a yes or a no."""


class Copies:
    """The copies that an index knows, and the blobs that snapshots need."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.first_rows = index.groups()
        """Of each row the first row of its blob: rows of one blob share it."""
        self._needed = np.zeros(len(self.first_rows), dtype=bool)

    def need(self, blobs: Sequence[BlobId]) -> Rows:
        """Mark blobs as needed; returns the first row of each, -1 where the index does not know it at all."""
        rows = self.index.rows(blobs)
        self._needed[rows[rows >= 0]] = True
        return rows

    def needed(self) -> Mask:
        """The rows of blobs that are needed: all copies."""
        return self._needed[self.first_rows]

    def in_packs(self, packs: Set[PackId]) -> Mask:
        """The rows that lie in `packs`."""
        return self.in_numbered(np.array([pack in packs for pack in self.index.pack_ids], dtype=bool))

    def in_numbered(self, packs: Mask) -> Mask:
        """The rows that lie in those packs, by their numbers in the index, for which `packs` says yes."""
        return np.asarray(packs[self.index.pack_of_row])

    def also_among(self, rows: Mask) -> Mask:
        """The rows whose blob has a copy among `rows`, be it another one."""
        among = np.zeros(len(self.first_rows), dtype=bool)
        among[self.first_rows[rows]] = True
        return among[self.first_rows]

    def one_each(self, rows: Rows) -> Rows:
        """Of the copies of each blob among `rows` the one that comes first there."""
        return np.asarray(rows[np.unique(self.first_rows[rows], return_index=True)[1]], dtype=np.intp)

    def count(self, rows: Mask) -> int:
        """How many blobs have copies among `rows`."""
        return len(np.unique(self.first_rows[rows]))
