"""A computer with Anki's sample profiles, a repository and settings in force: what the tests of the chains live in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from anki.collection import Collection

from flows.chains.backup import back_up
from flows.chains.restore import restore
from profiles.sample import make_sample_base_folder
from profiles.unicase import register
from recollect.settings import Settings, load_settings
from storage.audit_table import read_rows
from storage.format.audit_row import AuditRow, Outcome
from storage.format.blob import BlobId, pack_name
from storage.format.manifest import Manifest
from storage.repository import Repository, SnapshotRef
from storage.stores.address import open_store
from tasks import repositories, settings_in_force
from tasks.audit import Report
from tests.faults.faulty_store import FaultyStore

COLLECTION = "collection.anki2"
MEDIA = "collection.media"

# Keeps the collection in argv[1] open until its standard input ends.
_ANKI_THAT_STAYS_OPEN = """
import sys
from anki.collection import Collection
col = Collection(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
col.close()
"""

# Adds the notes argv[2:] to the collection argv[1], and dies with them in the write-ahead log.
_ANKI_THAT_CRASHES = """
import os, signal, sys
from anki.collection import Collection
col = Collection(sys.argv[1])
for front in sys.argv[2:]:
    note = col.new_note(col.models.by_name("Basic"))
    note["Front"] = front
    col.add_note(note, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True, slots=True)
class House:
    """A base folder with the profiles Ada and Ben, and where they are backed up to."""

    base: Path
    repo: str
    cache: Path
    config: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def load(self, **overrides: Any) -> Settings:
        """The settings of this house, with some replaced."""
        own = {
            "base": self.base,
            "repo": self.repo,
            "repo_options": dict(self.options),
            "cache": self.cache,
            "state": self.state,
        }
        return load_settings({**own, **self.settings, **overrides}, config=self.config)

    @contextmanager
    def set(self, **overrides: Any) -> Iterator[House]:
        """The house with other settings, which are in force within the context."""
        other = replace(self, settings={**self.settings, **overrides})
        with settings_in_force.using(other.load()):
            yield other

    @property
    def state(self) -> Path:
        """What this computer must remember, which no cleaner takes away with the cache."""
        return self.cache.with_name("state")

    def folder(self, profile: str = "Ada") -> Path:
        return self.base / profile

    def collection(self, profile: str = "Ada") -> Path:
        return self.base / profile / COLLECTION

    def media(self, profile: str = "Ada") -> Path:
        return self.base / profile / MEDIA

    @property
    def repository(self) -> Repository:
        """The repository, opened anew."""
        return repositories.open_named()

    def snapshots(self, profile: str = "Ada") -> list[SnapshotRef]:
        return [ref for ref in self.repository.snapshots() if ref.profile_key.startswith(f"{profile}-")]

    def manifest(self, ref: SnapshotRef) -> Manifest:
        return self.repository.manifest(ref)

    def rows(self, action: str | None = None) -> list[AuditRow]:
        """The audit table, oldest row first."""
        read = read_rows(self.repository.store, action=action)
        assert read.damaged == ()
        return list(read.rows[::-1])

    def restored(self, folder: Path, profile: str = "Ada", snapshot: str = "latest") -> Path:
        """A snapshot restored into the new folder `folder`."""
        report = restore(profile, snapshot, to=folder)
        assert report.outcome is Outcome.COMPLETED, report.message
        return folder


@pytest.fixture(scope="session")
def sample_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, made once; tests work on copies of it."""
    base = tmp_path_factory.mktemp("sample") / "Anki2"
    make_sample_base_folder(base)
    return base


@pytest.fixture
def house(sample_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Ada and Ben at home, with an empty place for their repository."""
    for name in [name for name in os.environ if name.startswith("RECOLLECT_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "recollect.toml"
    config.touch()
    made = House(tmp_path / "Anki2", str(tmp_path / "repository"), tmp_path / "cache", config)
    copy_base(sample_base, made.base)
    with settings_in_force.using(made.load()):
        yield made


def copy_base(sample: Path, base: Path) -> None:
    """Copy a base folder so that its collections are its youngest files.

    A backup waits until a closed collection's times have aged by a tick of the clock. The media have aged by then
    too, so the next backup can tell by `stat` alone that nothing changed.
    """
    shutil.copytree(sample, base)
    for collection in base.glob(f"*/{COLLECTION}"):
        os.utime(collection)


def stored(report: Report) -> str:
    """The snapshot that a backup made."""
    assert report.outcome is Outcome.COMPLETED, report.message
    assert report.row.snapshot is not None
    return report.row.snapshot


def back_up_well(profile: str = "Ada", **options: Any) -> str:
    """Back up a profile, and return the snapshot made."""
    return stored(back_up(profile, **options))


def through_faults(monkeypatch: pytest.MonkeyPatch) -> FaultyStore:
    """Let the repository of the settings be reached through a store that counts, and can fail."""
    settings = settings_in_force.active_settings()
    store = FaultyStore(open_store(settings.repo or "", settings.repo_options))
    monkeypatch.setattr(repositories, "open_store", lambda *_: store)
    return store


@contextmanager
def opened(collection: Path) -> Iterator[Collection]:
    """The collection in Anki's own library, in this process."""
    found = Collection(str(collection))
    try:
        yield found
    finally:
        found.close()


def add_note(collection: Path, front: str, back: str = "") -> None:
    with opened(collection) as anki:
        note_type = anki.models.by_name("Basic")
        assert note_type is not None
        note = anki.new_note(note_type)
        note["Front"], note["Back"] = front, back
        anki.add_note(note, 1)  # type: ignore[arg-type]


def answer_a_card(collection: Path) -> None:
    """One review, as a person does it."""
    with opened(collection) as anki:
        card = anki.sched.getCard()
        if card is None:
            anki.decks.set_current(anki.decks.id_for_name("Chemistry"))  # type: ignore[arg-type]
            card = anki.sched.getCard()
        assert card is not None
        card.start_timer()
        anki.sched.answerCard(card, 3)


def fronts(collection: Path) -> set[str]:
    """The first field of every note, as Anki finds them after its own check of the whole file."""
    with opened(collection) as anki:
        assert anki.db is not None
        assert anki.db.scalar("pragma integrity_check") == "ok"
        return {fields.split("\x1f")[0] for fields in anki.db.list("select flds from notes")}


def tables_of(collection: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a closed collection; nothing beside it is touched."""
    with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        register(database)
        names = [name for (name,) in database.execute("select name from sqlite_schema where type = 'table'")]
        return {name: sorted(database.execute(f'select * from "{name}"').fetchall(), key=repr) for name in names}


def digests(folder: Path) -> dict[bytes, str]:
    """The files of a folder by the bytes of their names, each with a digest of its content."""
    return {
        os.fsencode(path.name): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink()
    }


def tree_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Everything below a folder: its time of change, and a digest of what is in it."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mtime_ns,
            hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


@contextmanager
def anki_open(collection: Path) -> Iterator[int]:
    """A real Anki in another process that has the collection open; its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", _ANKI_THAT_STAYS_OPEN, str(collection)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def crash_anki(collection: Path, *added: str) -> None:
    """Let a real Anki add notes and die, which leaves them in the write-ahead log."""
    subprocess.run([sys.executable, "-c", _ANKI_THAT_CRASHES, str(collection), *added], check=False)
    assert collection.with_name(f"{COLLECTION}-wal").stat().st_size > 0


def spoil(house: House, blob: BlobId) -> None:
    """Change a byte in the middle of a stored piece, in the repository's own file."""
    place = house.repository.index().find(blob)
    assert place is not None
    pack = Path(house.repo) / pack_name(place.pack)
    content = bytearray(pack.read_bytes())
    content[place.offset + place.stored // 2] ^= 1
    pack.write_bytes(content)
    shutil.rmtree(house.cache / "repositories")


def never(*_: object, **__: object) -> Any:
    raise AssertionError("this should not have been called")
