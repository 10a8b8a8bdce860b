"""Deletions that were seen more than once, or from more than one side, made one of each note.

An archive only grows: what `deleted.txt` tells of a deletion and what two snapshots tell of it are rows of their own,
and a note that came back may go again. A row that tells nothing new is not written, as far as that can be told by then;
one of each note is made when the archive is read.

Anki may give the id of a note that is gone to a new one. Snapshots know a note's guid, which tells the two apart;
`deleted.txt` knows none, so what it tells is of the note that had the id last, by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from storage.format.deletion_table import ArchivedNote, How, Sighting

_ID_FOR_LIFE = slice(0, -4)
"""Of a snapshot's id: what stays when the snapshot is put back from the trash (`storage.format.manifest.renamed`)."""


class Sightings:
    """What an archive holds, as far as it tells whether a sighting is new to it."""

    def __init__(self, held: Iterable[Sighting]) -> None:
        """Begin with those that the archive holds."""
        self._keys: set[bytes] = set()
        self._spans: dict[tuple[int, str | None], list[tuple[str, str]]] = {}
        for sighting in held:
            self._take(sighting)

    def takes(self, note: ArchivedNote) -> bool:
        """Whether a sighting is new; it is held from then on."""
        sighting = Sighting(note.key, note.note_id, note.guid, note.last_snapshot, note.gone_in)
        if sighting.key in self._keys or self._is_told_more_exactly(sighting):
            return False
        self._take(sighting)
        return True

    def _take(self, sighting: Sighting) -> None:
        self._keys.add(sighting.key)
        if (span := _span(sighting)) is not None:
            self._spans.setdefault((sighting.note_id, sighting.guid), []).append(span)

    def _is_told_more_exactly(self, sighting: Sighting) -> bool:
        """Whether the note is known to have gone between two snapshots that lie within those of this sighting.

        So it is when those in between were let go since, and what is left is compared again.
        """
        if (span := _span(sighting)) is None:
            return False
        known = self._spans.get((sighting.note_id, sighting.guid), ())
        return any(span[0] <= held and gone <= span[1] for held, gone in known)


def each_note_once(rows: Iterable[ArchivedNote]) -> list[ArchivedNote]:
    """One of each note, as it was when it last went, with all that is known of it; in the order in which they went."""
    once: dict[bytes, ArchivedNote] = {}
    for row in sorted(rows, key=lambda row: row.gone_in):
        # Two runs at once may both archive a deletion; the first one counts.
        once.setdefault(row.key, row)
    logged: dict[int, list[ArchivedNote]] = {}
    compared: dict[int, dict[str | None, ArchivedNote]] = {}
    for row in once.values():
        if row.how is How.LOG:
            logged.setdefault(row.note_id, []).append(row)
            continue
        by_guid = compared.setdefault(row.note_id, {})
        if row.guid not in by_guid or _held_until(by_guid[row.guid]) < _held_until(row):
            by_guid[row.guid] = row
    notes = [
        note
        for note_id in logged | compared
        for note in _notes_of_an_id(logged.get(note_id, []), list(compared.get(note_id, {}).values()))
    ]
    return sorted(notes, key=lambda note: (note.gone_in, note.note_id, note.guid or ""))


def _notes_of_an_id(logged: list[ArchivedNote], compared: list[ArchivedNote]) -> list[ArchivedNote]:
    """The notes that had one id, one after the other: each of the `compared` ones has a guid of its own."""
    if not compared:
        return logged[-1:]
    compared = sorted(compared, key=_held_until)
    told: list[ArchivedNote | None] = [None] * len(compared)
    for log in logged:
        held_before = [place for place, other in enumerate(compared) if _held_until(other) < log.gone_in]
        told[held_before[-1] if held_before else 0] = log
    return [_of_both(log, other) for log, other in zip(told, compared, strict=True)]


def _of_both(log: ArchivedNote | None, other: ArchivedNote) -> ArchivedNote:
    """What `deleted.txt`, if it tells of it, and the comparison of two snapshots tell of one note."""
    if log is None or log.gone_in <= _held_until(other):
        return other  # it came back after what the log tells, and went another way
    first = min(log, other, key=lambda row: row.gone_in)
    told = replace(other, key=log.key, how=How.LOG, gone_in=first.gone_in, seen_at=first.seen_at)
    if _as_logged(log) == _as_logged(other):
        return told  # the log tells no fields apart: the snapshot knows them
    # It was changed after that snapshot, and the log has its last words.
    named = log if log.note_type is not None or log.note_type_id != other.note_type_id else other
    return replace(
        told,
        note_type_id=log.note_type_id,
        note_type=named.note_type,
        field_names=named.field_names if len(named.field_names) == len(log.fields) else log.field_names,
        fields=log.fields,
        modified_s=None,
    )


def _span(sighting: Sighting) -> tuple[str, str] | None:
    """Between which two snapshots a note went; None where only `deleted.txt` tells."""
    if sighting.last_snapshot is None:
        return None
    return sighting.last_snapshot[_ID_FOR_LIFE], sighting.gone_in[_ID_FOR_LIFE]


def _held_until(compared: ArchivedNote) -> str:
    return compared.last_snapshot or ""


def _as_logged(note: ArchivedNote) -> str:
    """The fields as a row of `deleted.txt` has them: joined by tabs, which nothing escapes, and cut to their end."""
    return "\t".join(note.fields).rstrip("\t")
