"""A base folder with Anki's list of profiles in it, and what the tests of changing that list ask of it."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

SCHEMA = "create table profiles (name text primary key collate nocase, data blob not null)"
RawRow = tuple[object, object]


def profile(**others: object) -> bytes:
    """What Anki keeps of a profile."""
    kept = {"numBackups": 50, "syncKey": "a secret", "syncMedia": True, "autoSync": True, "lastColour": "#00f"}
    return pickle.dumps(kept | others, protocol=4)


def make_base(base: Path, rows: Mapping[str, bytes]) -> Path:
    """A base folder whose list has `rows`, and a folder for each profile."""
    base.mkdir()
    with closing(sqlite3.connect(base / "prefs21.db")) as db, db:
        db.execute(SCHEMA)
        db.executemany("insert into profiles values (?, ?)", rows.items())
    for name in rows:
        if name != "_global":
            (base / name).mkdir()
    return base


def rows_in(base: Path) -> dict[object, object]:
    """All rows as Anki would find them, after its own check; looked at in a copy, so that nothing is mended."""
    look = base.with_name(base.name + "-look")
    look.mkdir()
    try:
        for suffix in ("", "-journal", "-wal"):
            if (source := base / f"prefs21.db{suffix}").exists():
                shutil.copyfile(source, look / source.name)
        with closing(sqlite3.connect(look / "prefs21.db")) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            return dict(db.execute("select name, data from profiles order by rowid").fetchall())
    finally:
        shutil.rmtree(look)


def make_hot_journal(base: Path) -> None:
    """Leave the list as a program leaves it that dies half way through changing every row."""
    prefs, journal = base / "prefs21.db", base / "prefs21.db-journal"
    with closing(sqlite3.connect(prefs, isolation_level=None)) as db:
        db.execute("pragma cache_size = 1")
        db.execute("begin exclusive")
        db.execute("update profiles set data = data || zeroblob(3000), name = 'Renamed ' || name")
        half_done = {path: path.read_bytes() for path in (prefs, journal)}
        db.execute("rollback")
    for path, content in half_done.items():
        path.write_bytes(content)
    assert journal.stat().st_size > 4096


def make_wal(base: Path) -> None:
    """Leave the newest changes in a -wal, as another tool might that was killed."""
    prefs, wal = base / "prefs21.db", base / "prefs21.db-wal"
    with closing(sqlite3.connect(prefs, isolation_level=None)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("insert into profiles values ('From the wal', ?)", (profile(),))
        left = {path: path.read_bytes() for path in (prefs, wal)}
    for path, content in left.items():
        path.write_bytes(content)
    assert wal.stat().st_size > 0


# Keeps what it is told open, as Anki does: "list PATH" the list of profiles, "collection PATH" a collection.
OTHER_ANKI = """
import sys
from anki.collection import Collection
from anki.db import DB
held = []
for line in sys.stdin:
    order, _, path = line.rstrip("\\n").partition(" ")
    if order == "list":
        held.append(DB(path))
        assert held[-1].scalar("pragma integrity_check") == "ok"
    else:
        held.append(Collection(path))
    print("open", flush=True)
"""

LINUX_OR_MAC = sys.platform in ("linux", "darwin")
