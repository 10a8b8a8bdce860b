"""Folding index files: many small ones become few, so that a repository of years opens as fast as a new one.

The new file is stored before the old ones are removed. A reader meets a blob in the old file, in the new one, or in
both; one who listed the old file and finds it gone lists again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import Damaged, ObjectMissing
from storage.format.blob import PackId
from storage.format.index_table import INDEX_SCHEMA, write_index_table
from storage.holdings import Holdings
from storage.repository import Repository
from storage.store import StoredObject

SMALL_FILE_BYTES = 4 * 1024 * 1024
MOST_SMALL_FILES = 32
"""A backup writes one index file or a few: this many come together in a day or two."""

_ROWS_PER_FILE = 500_000
"""Some 30 MB: a reader holds a few of them in memory at one time."""


def foldable(holdings: Holdings, *, least: int = MOST_SMALL_FILES) -> tuple[str, ...]:
    """The names of the small index files, if there are at least so many of them that folding them is worth it."""
    small: list[StoredObject] = [file for file in holdings.index_files if file.size < SMALL_FILE_BYTES]
    return tuple(file.name for file in small) if len(small) >= least else ()


def fold(repository: Repository, names: Iterable[str], *, even_one: bool = False) -> int:
    """Put the rows of these index files into one (or into few); returns how many files were replaced.

    Rows of packs that are gone are left out. A file that can't be read, or is gone by now, is left alone; so is a
    single one, which another could not be better than, unless it is to be written anew `even_one` as it is.
    """
    names = list(names)
    if not names:
        return 0
    present = repository.holdings().packs
    tables: list[pa.Table] = []
    folded: list[str] = []
    for name in names:
        try:
            tables.append(repository.read_index_file(name))
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
    for start in range(0, whole.num_rows, _ROWS_PER_FILE):
        yield whole.slice(start, _ROWS_PER_FILE)
