"""Proof that a private copy of a collection is sound, and the figures a person knows it by."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.errors import CollectionDamaged, SourceUnreadable
from profiles.unicase import register

_TABLES: Final = ("col", "notes", "cards", "revlog")
_OLDEST_SCHEMA: Final = 11
_SKIPPED_SCHEMAS: Final = (12, 13)
_CACHE_KIB: Final = 64 * 1024
"""The check looks up every review in every index, here and there: pages that are kept need not be read again. With
SQLite's usual 2 MiB it took a quarter longer."""
_FINDINGS_LOOKED_AT: Final = 10_000
_ORDER_FINDING: Final = re.compile(
    r"row (?:\d+ )?(?:missing from index|not in PRIMARY KEY order for) (?P<by_row>.+)"
    r"|non-unique entry in index (?P<by_entry>.+)"
    r"|NULL value in (?P<by_column>.+)\.[^.]+",
    re.DOTALL,
)
"""How SQLite words what it finds when names stand in another order than it expects (src/pragma.c). In a table without
rowid it then also reports NULLs that are not there; quick_check, which looks at no order, reports only true ones."""
_NO_COLLATION: Final = re.compile(r"no such collation sequence: (.+)", re.DOTALL)
_MOST_UNKNOWN_COLLATIONS: Final = 16


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """A collection in figures. Times are named by their unit, counted from 1970; a page has `page_size` bytes.

    `schema_version` may be newer than the Anki this was written for knows: the copy is good all the same.
    """

    schema_version: int
    notes: int
    cards: int
    reviews: int
    last_review_ms: int | None
    modified_ms: int
    schema_modified_ms: int
    last_sync_ms: int
    created_s: int
    page_size: int
    pages: int


@contextmanager
def opened_copy(copy: Path, *, original: Path | None = None) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a private copy with no log beside it; nothing is left beside it afterwards.

    SQLite's errors become CollectionDamaged, which names the `original` where it is given, or SourceUnreadable when the
    file can't be read at all.
    """
    try:
        # immutable: no locks, no -shm, no -wal, although the header says WAL (https://www.sqlite.org/uri.html).
        uri = copy.absolute().as_uri() + "?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            # The file may come from anywhere: its schema must not call functions on its own account.
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            register(connection)
            yield connection
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            raise SourceUnreadable(
                f"{copy} could not be read: {error}", "Check the disk that it lies on, then try again"
            ) from error
        raise _damaged(original or copy, str(error)) from error


def prove(copy: Path, *, original: Path | None = None) -> CollectionFacts:
    """Check a private copy as strictly as Anki does before it imports a collection, and count what is in it.

    `original` is what a person knows: the file that the copy was made of, named in what is said of damage.

    Cards without notes and the like do not count as damage: Anki lives with them, and mends them in Check Database.
    Raises CollectionDamaged with the first finding, SourceUnreadable when the copy can't be read.
    """
    named = original or copy
    page_size = _checked_header(copy, named)
    with opened_copy(copy, original=original) as connection:
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        _check_structure(connection, named)
        # Only true tables: a view of that name could be made to run for ever.
        tables = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>0")
        }
        for table in _TABLES:
            if table not in tables:
                raise _damaged(named, f"there is no table {table}")
        (rows,) = connection.execute("SELECT count(*) FROM col").fetchone()
        if rows != 1:
            raise _damaged(named, f"the table col has {rows} rows instead of one")
        version, modified, schema_modified, last_sync, created = _integers(
            connection, named, "SELECT ver, mod, scm, ls, crt FROM col"
        )
        if version < _OLDEST_SCHEMA or version in _SKIPPED_SCHEMAS:
            raise _damaged(named, f"no Anki opens schema version {version}")
        notes, cards, reviews, last_review = _integers(
            connection,
            named,
            "SELECT (SELECT count(*) FROM notes), (SELECT count(*) FROM cards), (SELECT count(*) FROM revlog),"
            " (SELECT coalesce(max(id), 0) FROM revlog)",
        )
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return CollectionFacts(
        schema_version=version,
        notes=notes,
        cards=cards,
        reviews=reviews,
        last_review_ms=last_review if reviews else None,
        modified_ms=modified,
        schema_modified_ms=schema_modified,
        last_sync_ms=last_sync,
        created_s=created,
        page_size=page_size,
        pages=pages,
    )


def _checked_header(copy: Path, named: Path) -> int:
    """The page size, from a header that can be right (https://www.sqlite.org/fileformat2.html#the_database_header)."""
    try:
        with copy.open("rb") as file:
            head = file.read(100)
            size = file.seek(0, 2)
    except OSError as error:
        raise SourceUnreadable(
            f"{copy} could not be read: {error.strerror or error}", "Check the disk that it lies on, then try again"
        ) from error
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise _damaged(named, "it is empty" if not head else "it is not an SQLite database")
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        raise _damaged(named, "its header names an impossible page size")
    if size % page_size:
        raise _damaged(named, "it ends in the middle of a page")
    return page_size


def _check_structure(connection: sqlite3.Connection, named: Path) -> None:
    """SQLite's full check: the structure, and every index against its table. 0.15 s for 50 MB."""
    findings = _findings(connection, named, "integrity_check")
    if findings == ["ok"]:
        return
    structure = _findings(connection, named, "quick_check")
    if structure != ["ok"]:
        raise _damaged(named, structure[0])
    by_order = _ordered_by_unicase(connection)
    for finding in findings:
        order = _ORDER_FINDING.fullmatch(finding)
        table = by_order.get(order[order.lastgroup or 0]) if order else None
        if table is None or not _holds_letters_beyond_ascii(connection, table):
            raise _damaged(named, finding)


def _findings(connection: sqlite3.Connection, named: Path, check: str) -> list[str]:
    for _ in range(_MOST_UNKNOWN_COLLATIONS):
        try:
            return [str(row[0]) for row in connection.execute(f"PRAGMA {check}({_FINDINGS_LOOKED_AT})")]
        except sqlite3.OperationalError as error:
            # An add-on may have brought an order of its own; all but that order can be checked without knowing it.
            unknown = _NO_COLLATION.fullmatch(str(error))
            if unknown is None:
                raise
            connection.create_collation(unknown[1], lambda a, b: (a > b) - (a < b))
    raise _damaged(named, "it uses too many unknown collations")


def _ordered_by_unicase(connection: sqlite3.Connection) -> dict[str, str]:
    """Tables that have a column in `unicase` order, and their indexes, each with the name of the table."""
    rows = connection.execute(
        "SELECT name, tbl_name FROM sqlite_schema WHERE tbl_name IN"
        " (SELECT name FROM sqlite_schema WHERE type='table' AND sql LIKE '%collate unicase%')"
    )
    return dict(rows.fetchall())


def _holds_letters_beyond_ascii(connection: sqlite3.Connection, table: str) -> bool:
    """Whether a finding about the order in `table` may only mean that its Anki folds some letter otherwise than we do:
    each version of Unicode brings new ones, but none in ASCII."""
    quoted = table.replace('"', '""')
    rows = connection.execute(f'SELECT * FROM "{quoted}" NOT INDEXED')  # noqa: S608 - the name is quoted
    return any(isinstance(value, str) and not value.isascii() for row in rows for value in row)


def _integers(connection: sqlite3.Connection, named: Path, query: str) -> list[int]:
    values = list(connection.execute(query).fetchone())
    if not all(isinstance(value, int) for value in values):
        raise _damaged(named, "the table col or revlog holds something else where a number belongs")
    return values


def _damaged(named: Path, finding: str) -> CollectionDamaged:
    shown = "".join(character if character.isprintable() else " " for character in finding)[:200]
    return CollectionDamaged(
        f"The collection {named} is damaged: {shown}",
        "Open the collection in Anki and run Tools > Check Database; if that fails, restore an earlier snapshot",
    )
