"""A package of notes (.apkg) out of a private copy, which brings them back as they were.

Anki's own import of such a package gives notes and cards the ids, guids, tags and schedules that they had, as ordinary
changes that the next sync carries on (`adding` does it without Anki's window). In Anki: File > Import; there "Import
any learning progress" has to be ticked, which Anki remembers from one import to the next, but does not begin with.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.anki_library import anki_troubles, database, opened_in_anki, scratch_folder
from profiles.durable import sync_file, sync_folder, told_plainly
from profiles.errors import AnkiRefused, MediaLeftOut, NotesMissing, TargetUnusable
from profiles.install_media import write_media_file
from profiles.packages.media_names import refusal_by_anki
from profiles.recovery.media_names import media_names

if TYPE_CHECKING:
    from anki.collection import Collection

_TEXT_INSTEAD = "Write the notes as text files instead"

_DAY_MS = 24 * 60 * 60 * 1000
_FROM_THE_FUTURE = (
    "select id from notes where id > ? union select nid from cards where id > ?"
    " union select nid from cards where id in (select cid from revlog where id > ?)"
)

Media = Callable[[str], Iterable[bytes] | None]
"""Gives the content of the media file of a name in parts, or None when it can't be had."""


@dataclass(frozen=True, slots=True)
class CutPackage:
    """A finished package, and what could not be put into it.

    `left_out` are ids of notes that the copy does not hold or not with its note type, and of notes that are themselves,
    with a card or with a review, from the future (ids are times; Anki packs none of those). `media` are the files in
    the package, `missing_media` those that notes refer to and that can't be had, `unpackable_media` those that can
    be had, but under a name that Anki's packages can't carry.
    """

    path: Path
    notes: int
    cards: int
    left_out: tuple[int, ...]
    media: tuple[str, ...]
    missing_media: tuple[str, ...]
    unpackable_media: tuple[str, ...]


def cut_apkg(
    collection_copy: Path,
    media: Media,
    notes: Sequence[int],
    target: Path,
    scratch: Path,
    *,
    original: Path | None = None,
) -> CutPackage:
    """Write the notes with these ids to the new file `target`, with their cards, reviews, decks, options and media.

    `collection_copy` is a private copy, one file with its WAL folded in, of any schema from 11 on; it is only read.
    `media` is asked for what the notes and their note types refer to, and for nothing else; names are hostile until
    checked, and those that lead elsewhere are never asked for. The work is done below `scratch`. `original` is what a
    person knows the copy by. `target` appears whole or not at all, in the format of Anki 2.1.50 and newer.

    Raises NotesMissing when none of the notes can be had, TargetUnusable (`target` exists, or can't be written),
    CollectionDamaged, SourceUnreadable, and AnkiRefused when Anki's export or import gives up;
    what `media` raises passes through.
    """
    if target.exists():
        raise TargetUnusable(f"{target} exists already", "Choose another name for the package")
    named = original or collection_copy
    with scratch_folder(scratch) as folder:
        work = folder / "work"
        with opened_in_anki(collection_copy, work, original=original) as (collection, _):
            found = _exportable(collection, notes)
            if not found:
                raise NotesMissing(
                    f"None of the {len(notes)} notes is in {named} so that Anki could pack it",
                    "Choose notes that are there",
                )
            packed, missing, unpackable = _lay_out_media(collection, media, found, named)
            package = folder / "notes.apkg"
            cards = _export(collection, found, package, named)
        shutil.rmtree(work, ignore_errors=True)
        _rehearse(package, found, folder, named)
        _publish(package, target)
    there = set(found)
    return CutPackage(
        path=target,
        notes=len(found),
        cards=cards,
        left_out=tuple(id_ for id_ in dict.fromkeys(notes) if id_ not in there),
        media=packed,
        missing_media=missing,
        unpackable_media=unpackable,
    )


def _exportable(collection: Collection, notes: Sequence[int]) -> list[int]:
    """Those of `notes` that are there, but for those for whose sake Anki would give up all of them: without their note
    type, or with an id more than a day ahead of the clock (rslib/src/import_export/gather.rs, check_ids)."""
    known = {note_type.id for note_type in collection.models.all_names_and_ids()}
    tomorrow = (time.time_ns() // 1_000_000) + _DAY_MS
    future = set(database(collection).list(_FROM_THE_FUTURE, tomorrow, tomorrow, tomorrow))
    there = {id_ for id_, note_type in database(collection).execute("select id, mid from notes") if note_type in known}
    return sorted(there.intersection(notes) - future)


def _lay_out_media(
    collection: Collection, media: Media, notes: Sequence[int], named: Path
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Fill the scratch media folder, from which Anki's export takes what it finds: what got there, what is missing, and
    what can't be packed."""
    with anki_troubles(f"Anki's library can't tell which media the notes of {named} refer to"):
        names = media_names(collection, notes)
        wanted = sorted(names.named | names.rendered)
    place = Path(collection.media.dir())
    packed, missing, unpackable = [], [], []
    for name in wanted:
        parts = media(name)
        if parts is None:
            if name in names.named:
                missing.append(name)
            continue
        try:
            if why := refusal_by_anki(name):
                # A single such name would make Anki give up the whole package.
                raise MediaLeftOut(f"Anki's packages can't carry a file named {name!r}: {why}", "Rename it in Anki")
            write_media_file(place, name, parts, replacing=False, synced=False)
        except MediaLeftOut:
            unpackable.append(name)
        else:
            packed.append(name)
    return tuple(packed), tuple(missing), tuple(unpackable)


def _export(collection: Collection, notes: list[int], package: Path, named: Path) -> int:
    """Let Anki write the package; returns the number of cards in it."""
    from anki.collection import ExportAnkiPackageOptions, NoteIdsLimit  # noqa: PLC0415
    from anki.notes import NoteId  # noqa: PLC0415

    with anki_troubles(f"Anki's library can't pack the notes of {named}", _TEXT_INSTEAD):
        count = collection.export_anki_package(
            out_path=str(package),
            options=ExportAnkiPackageOptions(
                with_scheduling=True, with_deck_configs=True, with_media=True, legacy=False
            ),
            limit=NoteIdsLimit([NoteId(id_) for id_ in notes]),
        )
        chosen = set(notes)
        cards = sum(note in chosen for note in database(collection).list("select nid from cards"))
    if count != len(notes):
        raise AnkiRefused(f"Anki's library packed {count} of {len(notes)} notes of {named}", _TEXT_INSTEAD)
    return cards


def _rehearse(package: Path, notes: list[int], folder: Path, named: Path) -> None:
    """Import the package into an empty collection: what Anki writes of a half-broken copy it may not read again."""
    from anki.collection import Collection, ImportAnkiPackageOptions, ImportAnkiPackageRequest  # noqa: PLC0415

    place = folder / "rehearsal"
    place.mkdir()
    could_not = f"Anki's import does not bring back the notes of {named} from a package"
    with anki_troubles(could_not, _TEXT_INSTEAD):
        collection = Collection(str(place / "collection.anki2"))
        try:
            options = ImportAnkiPackageOptions(with_scheduling=True, with_deck_configs=True)
            log = collection.import_anki_package(
                ImportAnkiPackageRequest(package_path=str(package), options=options)
            ).log
        finally:
            collection.close()
    back = {note.id.nid for note in log.new}
    if back != set(notes):
        raise AnkiRefused(f"{could_not}: {len(back)} of {len(notes)} come", _TEXT_INSTEAD)


def _publish(package: Path, target: Path) -> None:
    unfinished = target.with_name(f".recollect-{secrets.token_hex(8)}.tmp")
    with told_plainly(f"{target} could not be written"):
        try:
            shutil.copyfile(package, unfinished)
            sync_file(unfinished)
            unfinished.replace(target)
            sync_folder(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)
