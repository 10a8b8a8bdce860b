"""Folding index files: many small ones become few, so that a repository of years opens as fast as a new one.

The new file is stored before the old ones are removed. A reader meets a blob in the old file, in the new one, or in
both; one who listed the old file and finds it gone lists again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import Damaged, ObjectMissing
from storage.format.blob import PackId
from storage.format.index_table import INDEX_SCHEMA, LARGEST_INDEX, ROWS_PER_FILE, read_index, write_index_table
from storage.holdings import Holdings
from storage.repository import Repository
from storage.store import StoredObject
from storage.stored_size import read_listed

SMALL_FILE_BYTES = 4 * 1024 * 1024
MOST_SMALL_FILES = 32
"""A backup writes one index file or a few: this many come together in a day or two."""


def foldable(holdings: Holdings, *, least: int = MOST_SMALL_FILES) -> tuple[str, ...]:
    """The names of the small index files, if there are at least so many of them that folding them is worth it."""
    small: list[StoredObject] = [file for file in holdings.index_files if file.size < SMALL_FILE_BYTES]
    return tuple(file.name for file in small) if len(small) >= least else ()


def fold(repository: Repository, names: Iterable[str], *, even_one: bool = False) -> int:
    """Put the rows of these index files into one (or into few); returns how many files were replaced.

    Rows of packs that are gone are left out. A file that can't be read, or is gone by now, is left alone; so is a
    single one, which another could not be better than, unless it is to be written anew `even_one` as it is.
    Only what the store itself still has is folded: what another run folded meanwhile would be written once more, and
    two large files that say the same would stay for ever.
    """
    names = list(names)
    if not names:
        return 0
    there = {item.name: item for item in repository.store.list("index")}
    present = repository.holdings().packs
    tables: list[pa.Table] = []
    folded: list[str] = []
    for name in names:
        if name not in there:
            continue
        try:
            content = read_listed(repository.store, there[name], LARGEST_INDEX)
            tables.append(read_index(repository.seal, name, content))
        except (Damaged, ObjectMissing):
            continue
        folded.append(name)
    if len(folded) < (1 if even_one else 2):
        return 0
    for table in _joined(tables, present):
        name = f"index/{os.urandom(16).hex()}"
        content = write_index_table(repository.seal, name, table)
        repository.store.write(name, content)
        if repository.store.size(name) != len(content):
            raise Damaged(
                f"The index file {name} did not arrive whole in {repository.store.url}; those it replaces stay",
                "Check that disk or server, then try again",
            )
    for name in folded:
        repository.store.remove(name)
    return len(folded)


def _joined(tables: list[pa.Table], present: Iterable[PackId]) -> Iterator[pa.Table]:
    joined = pa.concat_tables([INDEX_SCHEMA.empty_table(), *tables])
    there = pa.array(sorted(present), INDEX_SCHEMA.field("pack").type)
    joined = joined.filter(pc.is_in(joined.column("pack"), value_set=there))
    # A blob that an earlier fold and the file it was made of both name lies in one place all the same.
    joined = joined.group_by(["id", "pack"], use_threads=False).aggregate(
        [(name, "min") for name in ("kind", "offset", "stored", "length", "generation")]
    )
    columns = {name.removesuffix("_min"): joined.column(name) for name in joined.column_names}
    whole = pa.table({field.name: columns[field.name] for field in INDEX_SCHEMA}, schema=INDEX_SCHEMA)
    whole = whole.sort_by([("pack", "ascending"), ("offset", "ascending")])  # as they were written: that shrinks best
    for begin, end in pairwise(_cuts(whole)):
        yield whole.slice(begin, end - begin)


def _cuts(table: pa.Table) -> list[int]:
    """Where a table that is sorted by packs is cut into files, from its first row to its end.

    Never within a pack: one that any index file names is not asked itself for what lies in it, so that the other part
    would be lost with the other file.
    """
    packs = table.column("pack").combine_chunks().dictionary_encode()
    packs = packs.combine_chunks() if isinstance(packs, pa.ChunkedArray) else packs
    begins = np.flatnonzero(np.diff(packs.indices.to_numpy(zero_copy_only=False))) + 1
    cuts = [0]
    while table.num_rows - cuts[-1] > ROWS_PER_FILE:
        later = begins[begins > cuts[-1]]
        if not len(later):
            break
        fitting = later[later <= cuts[-1] + ROWS_PER_FILE]
        cuts.append(int(fitting[-1] if len(fitting) else later[0]))
    return [*cuts, table.num_rows] if table.num_rows else cuts
