"""Putting a package of notes into a closed collection, as an ordinary change that the next sync carries on.

Anki's own library does the import, but never on the living files. It works on a private copy of the collection, beside
which lie copies of those media files alone whose names are in the package. What results is proven, and then

1. media that are new are written to the profile's media folder, each whole or not at all and never over a file that
   is there (`install_media.write_media_file`): killed here, the folder holds a few files more that no note names yet;
2. the collection is put in the place of the old one in a single step (`install.install_collection`): killed at any
   moment, the profile opens as exactly the old or exactly the new state.

So no failure leaves anything half done, and doing it again ends in the same state. In contrast to a restore `col.scm`
stays as it is, and all that is new has the usn -1: to a sync it is what the user might have done by hand.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.anki_library import anki_troubles, database, opened_in_anki, scratch_folder
from profiles.collection_copy import SourceStamp, copy_collection, stamp
from profiles.durable import told_plainly
from profiles.errors import AnkiIsOpen, AnkiRefused, MediaLeftOut, SourceBusy
from profiles.install import install_collection
from profiles.install_media import checked_media_name, finish_media, write_media_file
from profiles.lock_probe import holder_of
from profiles.packages.reading import open_package_at
from profiles.proof import CollectionFacts, prove
from profiles.recovery.kept_settings import Unused, keep_settings

if TYPE_CHECKING:
    from anki.collection import Collection, ImportLogWithChanges

_MEDIA_FOLDER = "collection.media"
_PART_BYTES = 1 << 20
_WRITES_AT_ONCE = 8
_ADVICE = "Import the package with Anki itself: File > Import"


@dataclass(frozen=True, slots=True)
class Added:
    """What came into the collection. Notes: `new`; `updated`, as the package holds a later state of them, or was to
    overwrite them; `duplicates`, there already in this or a later state; `conflicting`, there under another note type
    and left alone.

    `cards` is how many cards more there are; notes that were there may have got back cards that they had lost. `media`
    are the files added, under the names that they got. `remarks` are sentences about what is not as it was.
    """

    new: int
    updated: int
    duplicates: int
    conflicting: int
    cards: int
    media: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the collection was changed at all."""
        return bool(self.new or self.updated or self.cards)


def _go_on(_step: str) -> None:
    """Nothing to do before a step, outside tests."""


def add_to_collection(
    package: Path,
    collection: Path,
    scratch: Path,
    *,
    media_folder: Path | None = None,
    overwriting: bool = False,
    before_step: Callable[[str], None] = _go_on,
) -> Added:
    """Import a package of notes with their scheduling into `collection`, which Anki must have closed.

    Notes, note types and decks that are there stay as they are, except for notes of which the package holds a later
    state, and when `overwriting` for all that are in the package: they get its fields and tags, and keep their cards'
    schedules. The settings of decks that are there stay too; decks that are not come with theirs. Media go into
    `media_folder`, by default the one beside the collection; a file of the same name but other content is added under a
    name of its own, and the notes are made to name that, as Anki does. A note type that is gone comes back; of one that
    has other fields or card types since, the notes come under a copy of the old one, and `remarks` says so.
    `before_step` is called with the name of each step that touches the profile before it is taken: tests stop there.

    Raises PackageUnusable, AnkiIsOpen, SourceBusy (the collection changed meanwhile), CollectionMissing,
    CollectionDamaged (also before anything is touched), SourceUnreadable, TargetUnusable, and AnkiRefused when Anki's
    import gives up or the collection is of an older or newer Anki than the library. After each of them the collection
    is as it was.
    """
    _refuse_while_open(collection)
    with open_package_at(package, of_notes=True) as opened_package:
        names = tuple(media.name for media in opened_package.media)
    living_media = Path(os.path.realpath(media_folder or collection.parent / _MEDIA_FOLDER))
    with scratch_folder(scratch) as folder:
        before, work = folder / "before.anki2", folder / "work"
        seen = copy_collection(collection, before).stamp
        with opened_in_anki(before, work, original=collection) as (anki, facts):
            _refuse_other_schema(anki, facts, collection)
            place = Path(anki.media.dir())
            mirrored = _mirror(names, living_media, place)
            result = _import(anki, package, collection, overwriting=overwriting)
        after = work / "collection.anki2"
        keep_settings(before, after, result.unused)
        new_facts = _proven(after, facts, collection)
        added = replace(result.added, cards=new_facts.cards - facts.cards)
        if not added.changed:
            return added
        _refuse_while_open(collection)
        before_step("add-media")
        media, remarks = _add_media(place, mirrored, living_media)
        _install(after, collection, seen, before_step)
    return replace(added, media=media, remarks=(*added.remarks, *remarks))


def _refuse_while_open(collection: Path) -> None:
    holder = holder_of(collection)
    if holder is not None:
        by = f" ({holder.command})" if holder.command else ""
        raise AnkiIsOpen(
            f"Another program has {collection} open{by}",
            "Close Anki and add the notes again, or import the package in Anki; nothing was changed",
        )


def _refuse_other_schema(anki: Collection, facts: CollectionFacts, collection: Path) -> None:
    if database(anki).scalar("select ver from col") != facts.schema_version:
        raise AnkiRefused(
            f"{collection} is of an Anki so old (schema {facts.schema_version}) that it could not open what Recollect "
            "would make of it",
            _ADVICE,
        )


@dataclass(frozen=True, slots=True)
class _Result:
    added: Added
    unused: Unused


def _import(anki: Collection, package: Path, collection: Path, *, overwriting: bool) -> _Result:
    from anki.collection import ImportAnkiPackageOptions, ImportAnkiPackageRequest  # noqa: PLC0415
    from anki.import_export_pb2 import ImportAnkiPackageUpdateCondition as Update  # noqa: PLC0415

    types, decks, presets = _note_types(anki), _decks(anki), _presets(anki)
    request = ImportAnkiPackageRequest(
        package_path=str(package),
        options=ImportAnkiPackageOptions(
            with_scheduling=True,
            with_deck_configs=True,
            # Merging would change the note types that are there, and with them `scm`: a one-way sync.
            merge_notetypes=False,
            update_notes=Update.Value(
                f"IMPORT_ANKI_PACKAGE_UPDATE_CONDITION_{'ALWAYS' if overwriting else 'IF_NEWER'}"
            ),
            update_notetypes=Update.Value("IMPORT_ANKI_PACKAGE_UPDATE_CONDITION_NEVER"),
        ),
    )
    with anki_troubles(f"Anki's import of {package} into a copy of {collection} gave up", _ADVICE):
        log = anki.import_anki_package(request).log
        new_types = {id_: name for id_, name in _note_types(anki).items() if id_ not in types}
        used_types = set(database(anki).list("select distinct mid from notes"))
        came = {id_: name for id_, name in new_types.items() if id_ in used_types}
        remarks = (*_about_note_types(anki, came, types), *_about_notes(log))
        used_presets = {preset for id_, preset in _decks(anki).items() if id_ not in decks}
        unused = Unused(new_types.keys() - used_types, _presets(anki) - presets - used_presets)
    return _Result(
        Added(
            new=len(log.new),
            updated=len(log.updated),
            duplicates=len(log.duplicate),
            conflicting=len(log.conflicting),
            cards=0,
            remarks=remarks,
        ),
        unused,
    )


def _note_types(anki: Collection) -> dict[int, str]:
    return {int(note_type.id): note_type.name for note_type in anki.models.all_names_and_ids()}


def _decks(anki: Collection) -> dict[int, int]:
    """The preset of each deck; a filtered one has none, which is 0."""
    return {int(deck["id"]): int(deck.get("conf", 0)) for deck in anki.decks.all()}


def _presets(anki: Collection) -> set[int]:
    return {int(preset["id"]) for preset in anki.decks.all_config()}


def _about_note_types(anki: Collection, came: dict[int, str], before: dict[int, str]) -> Iterator[str]:
    # rslib/src/import_export/package/apkg/import/notes.rs, import_notetypes: one that is not there is added under its
    # own id, one with another schema under a new id; each keeps the id it had in the package as its original one.
    from anki.models import NotetypeId  # noqa: PLC0415

    for id_, name in came.items():
        note_type = anki.models.get(NotetypeId(id_))
        original = before.get((note_type or {}).get("originalId") or id_)
        if original is None:
            yield f"The note type {name!r} was not in the collection any more and came back with its notes"
        else:
            yield (
                f"The note type {original!r} has other fields or card types than it had then, so its notes came back "
                f"under a copy of the old one, {name!r}"
            )


def _about_notes(log: ImportLogWithChanges.Log) -> Iterator[str]:
    if count := len(log.conflicting):
        one = count == 1
        yield (
            f"{count} {'note is' if one else 'notes are'} still there, but under another note type or one that has "
            f"changed since, and {'was' if one else 'were'} left as {'it is' if one else 'they are'}"
        )


def _proven(after: Path, before: CollectionFacts, collection: Path) -> CollectionFacts:
    facts = prove(after)
    # An import adds and never removes; and were `scm` another, the next sync would have to go one way.
    if (facts.schema_modified_ms, facts.last_sync_ms) != (before.schema_modified_ms, before.last_sync_ms) or (
        facts.notes < before.notes or facts.cards < before.cards or facts.reviews < before.reviews
    ):
        raise AnkiRefused(f"Anki's import did more to a copy of {collection} than add notes", _ADVICE)
    return facts


def _mirror(names: tuple[str, ...], living: Path, place: Path) -> frozenset[str]:
    """Copy what the profile holds under names of the package to where Anki compares; the names that lie there then.

    A file without content is no obstacle: Anki does not count it as there.
    """
    mirrored = set()
    for name in names:
        with suppress(MediaLeftOut), told_plainly(f"The media file {name!r} could not be copied"):
            source = living / checked_media_name(name)
            if _is_file(source) and source.stat().st_size:
                shutil.copyfile(source, place / name)
                mirrored.add(name)
    return frozenset(mirrored)


def _add_media(place: Path, mirrored: frozenset[str], living: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put what Anki's import added to its media folder into the profile's; the names, and what to know."""
    names = sorted(path.name for path in place.iterdir() if path.name not in mirrored)
    # Each file is awaited on the disk; several at once take hardly longer.
    with (
        told_plainly(f"The media of the notes could not be added to {living}"),
        ThreadPoolExecutor(_WRITES_AT_ONCE, thread_name_prefix="media") as pool,
    ):
        troubles = dict(zip(names, pool.map(lambda name: _add_file(place / name, living), names), strict=True))
    added = tuple(name for name, trouble in troubles.items() if trouble is None)
    # What a killed run has left is to go also where it had added everything.
    if living.is_dir():
        finish_media(living)
    return added, tuple(trouble for trouble in troubles.values() if trouble)


def _add_file(source: Path, living: Path) -> str | None:
    """Add one file; why not, in a sentence, which is empty when the profile has that very file."""
    there = living / source.name
    empty = _is_file(there) and there.stat().st_size == 0
    try:
        write_media_file(living, source.name, _parts(source), replacing=empty)
    except MediaLeftOut as left_out:
        return "" if _same(source, there) else left_out.problem
    return None


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            yield part


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.stat().st_size == other.stat().st_size and all(
            a == b for a, b in zip(_parts(one), _parts(other), strict=True)
        )
    return False


def _install(after: Path, collection: Path, seen: SourceStamp, before_step: Callable[[str], None]) -> None:
    prepared = collection.with_name(f".recollect-{secrets.token_hex(8)}.anki2")
    compared = False

    def before_swap(step: str) -> None:
        nonlocal compared
        before_step(step)
        # The first step at which the collection is locked and still in its place; `install_collection` itself has seen
        # to nothing but what changed since it folded the log.
        if step in ("swap-folded", "remove-journal") and not compared:
            compared = True
            if stamp(collection) != seen:
                raise SourceBusy(
                    f"{collection} has changed while the notes were being prepared, so nothing was added",
                    "Close Anki and add the notes again",
                )

    try:
        before_step("prepare")
        with told_plainly(f"The collection with the notes could not be written to {collection.parent}"):
            shutil.copyfile(after, prepared)
        install_collection(prepared, collection, before_swap=before_swap)
    finally:
        prepared.unlink(missing_ok=True)
