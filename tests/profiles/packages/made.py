"""Profiles and packages for the tests: real ones by Anki, and such as no Anki would make."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import zstandard
from anki._backend import RustBackend
from anki.collection import Collection
from anki.import_export_pb2 import MediaEntries, PackageMetadata

from profiles.packages.reading import Package

NOTES = 40
REVIEWS = 6

MEDIA: dict[str, bytes] = {
    "picture.png": b"\x89PNG" + hashlib.sha256(b"picture").digest() * 3_000,
    "empty.txt": b"",
    ".hidden": b"hidden",
    "grün 🎨.jpg": b"colour" * 1_000,
    "日本語.mp3": b"sound",
    "with space and 'quotes' & more; %41.txt": b"odd",
    "n" * 116 + ".png": b"long",
    "Thumbs.db": b"litter",
    "UPPER.PNG": b"upper",
    "upper.png": b"lower",
    "0": b"a name like a number",
    "collection.anki2": b"a name like the collection",
    "meta": b"a name like the meta",
}
"""All of them names that Anki lets into a package."""


def make_profile(folder: Path, media: Mapping[str, bytes] = MEDIA) -> Path:
    """A profile as Anki leaves it when it is closed: notes, cards, reviews, media. Returns the collection."""
    # Not before anki.collection: the two need each other.
    from anki.cards import Card
    from anki.scheduler.v3 import CardAnswer, Scheduler

    folder.mkdir()
    path = folder / "collection.anki2"
    collection = Collection(str(path))
    note_type = collection.models.by_name("Basic (and reversed card)")
    deck = collection.decks.id("Words::Of Old")
    assert note_type is not None
    assert deck is not None
    for number in range(NOTES):
        note = collection.new_note(note_type)
        note.fields = [f"front {number} ü", f"back {number} " + "long " * number]
        note.tags = ["oﬃce", f"n{number % 3}"]
        collection.add_note(note, deck)
    collection.decks.set_current(deck)
    scheduler = collection.sched
    assert isinstance(scheduler, Scheduler)
    for _ in range(REVIEWS):
        queued = scheduler.get_queued_cards().cards[0]
        card = Card(collection, backend_card=queued.card)
        card.start_timer()
        scheduler.answer_card(scheduler.build_answer(card=card, states=queued.states, rating=CardAnswer.GOOD))
    collection.close()
    media_folder = folder / "collection.media"
    media_folder.mkdir(exist_ok=True)
    for name, content in media.items():
        (media_folder / name).write_bytes(content)
    return path


def rows(collection: Path) -> dict[str, list[tuple[object, ...]]]:
    """All notes, cards and reviews of a closed collection."""
    with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
            for table in ("notes", "cards", "revlog")
        }


def media_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def media_of(package: Package) -> dict[str, bytes]:
    return {media.name: b"".join(package.parts(media)) for media in package.media}


def zipped(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, *, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.comment = comment
    return out.getvalue()


def compressed(content: bytes) -> bytes:
    """A zstd frame as Anki's: without the size of what is in it."""
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(content) + stream.flush()


def meta(version: int) -> bytes:
    return PackageMetadata(version=version).SerializeToString()  # type: ignore[arg-type]


def latest_map(*entries: tuple[str, bytes]) -> bytes:
    """Made with Anki's own message, not with ours."""
    return MediaEntries(
        entries=[
            MediaEntries.MediaEntry(name=name, size=len(content), sha1=hashlib.sha1(content).digest())
            for name, content in entries
        ]
    ).SerializeToString()


def latest_members(collection: bytes, *entries: tuple[str, bytes], listing: bytes | None = None) -> dict[str, bytes]:
    listing = latest_map(*entries) if listing is None else listing
    return {
        "meta": meta(3),
        "collection.anki21b": compressed(collection),
        "collection.anki2": b"the note that asks for a newer Anki",
        **{str(number): compressed(content) for number, (_name, content) in enumerate(entries)},
        "media": compressed(listing),
    }


def latest(collection: bytes, *entries: tuple[str, bytes], listing: bytes | None = None) -> bytes:
    return zipped(latest_members(collection, *entries, listing=listing).items())


def legacy(collection: bytes, *entries: tuple[str, bytes], listing: str | None = None) -> bytes:
    """Layout legacy1, as Anki 2.1.28 made its backups."""
    listing = json.dumps({number: name for number, (name, _) in enumerate(entries)}) if listing is None else listing
    return zipped(
        [
            ("collection.anki2", collection),
            *((str(number), content) for number, (_name, content) in enumerate(entries)),
            ("media", listing.encode()),
        ]
    )


def imported(package: bytes, folder: Path) -> Path:
    """What Anki makes of it: a new profile."""
    folder.mkdir()
    (folder / "it.colpkg").write_bytes(package)
    RustBackend().import_collection_package(
        col_path=str(folder / "collection.anki2"),
        backup_path=str(folder / "it.colpkg"),
        media_folder=str(folder / "collection.media"),
        media_db=str(folder / "collection.media.db2"),
    )
    return folder / "collection.anki2"
