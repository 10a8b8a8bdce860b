"""Anki's deletion log, `deleted.txt`: the notes that were deleted on this computer, as text that nobody escaped.

Anki appends one row for each note that is deleted in the browser or while reviewing (qt/aqt/main.py, hook
`notes_will_be_deleted`): note id, note type id, then each field, joined by tabs and ended by a line feed, in UTF-8.
The first line is a header: `nid<TAB>mid<TAB>fields` in files begun before Anki 26.05, and since then
`#guid column:1`, `#notetype column:2`, `#nid<TAB>mid<TAB>fields`. Fields are written as they are, so tabs and line
feeds inside a field look like those between fields and rows. The rules by which rows are told apart:

- A row starts on a line that begins with two whole numbers, each followed by a tab, when they can be a note's id and
  a note type's id: a 13-digit number (milliseconds since 1970, what Anki gives a note) before a known note type or a
  number from 2^30 on; or any number before a known note type whose id is 2^30 or more. (Anki numbers note types in
  milliseconds too; tools that make decks draw numbers from 2^30 on.)
- Any other line goes on with the row above it.
- With fewer parts than the note type has fields, the missing ones are empty (the type has gained fields since).
- With more parts, tabs stand inside fields. A part that leaves an HTML element open goes on in the next one, up to
  the part that closes it; whatever is still too much is left in the last field, tabs included.

No text is ever dropped: the fields of a row joined by tabs give back the row.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise

from profiles.note_types import NoteType

_EXCERPT_LENGTH = 40
_REMARK_LIMIT = 1_000
# More parts than any real note has fields: beyond this a row is not cut further, so that a hostile one stays small.
_PART_LIMIT = 1_000

_LOWEST_LIKELY_NOTE_TYPE_ID = 1 << 30
_TIMESTAMP_IN_MILLISECONDS = range(10**12, 10**13)

_BOM = codecs.BOM_UTF8
_ROW_START = re.compile(rb"(?m)^(?:\xef\xbb\xbf)?(-?[1-9][0-9]{0,18})\t(-?[1-9][0-9]{0,18})\t")
_UNFINISHED_ROW_START = re.compile(rb"-?[1-9][0-9]{0,18}(?:\t(?:-?[1-9][0-9]{0,18}\t?)?)?")
_UTF_8_ROW_IN_UTF_16 = re.compile(rb"[1-9][0-9]{12}\t[1-9][0-9]{9,18}\t")
_NEITHER_HEADER_NOR_COMMENT = re.compile(rb"(?m)^(?!(?:\xef\xbb\xbf)?(?:#|nid\tmid\tfields$|$)).+$")
_LINE_FEED_ALONE = re.compile(rb"(?<!\r)\n")

_HEADER_LINES = (b"nid\tmid\tfields", b"#nid\tmid\tfields", b"#guid column:1", b"#notetype column:2")
_HEADER_ENDS = tuple(b"\n" + bom + line for line in _HEADER_LINES for bom in (b"", _BOM))

# A tag that opens or closes an element; those that HTML lets stand without an end tag say nothing about where a
# field ends.
_NEVER_CLOSED = (
    "area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|"
    "li|p|td|th|tr|thead|tbody|tfoot|dt|dd|option|optgroup|colgroup|rp|rt"
)
_TAG = re.compile(rf"<(/?)(?!(?:{_NEVER_CLOSED})\b)[a-z][^<>]*(?<!/)>", re.IGNORECASE)

# Bytes that are not UTF-8, as `surrogateescape` leaves them, read the way Windows editors write them.
_STRAY_BYTES = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(0x80, 0x100)
}


@dataclass(frozen=True, slots=True)
class DeletedNote:
    """A note as the deletion log holds it; `note_type` is None and `field_names` empty when its type is unknown."""

    note_id: int
    note_type_id: int
    note_type: str | None
    field_names: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """16 bytes that stand for this deletion: the same for the same ids and text, whenever it is read.

        Fields count as the text of their row: joined by tabs, without tabs at the end. So the key stays the same
        when the note type gains a field, becomes known, or is deleted between two readings of one log.
        """
        row = "\t".join(self.fields).rstrip("\t")
        text = f"{self.note_id}\n{self.note_type_id}\n{row}"
        return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class DeletionLog:
    """The deleted notes in the order of the log, and what could not be made out for sure, by line."""

    notes: tuple[DeletedNote, ...]
    unreadable: tuple[str, ...]


def parse_deletion_log(data: bytes, note_types: Mapping[int, NoteType]) -> DeletionLog:
    """Read a whole `deleted.txt` against the note types of the same profile. Never fails; time and memory are linear.

    `unreadable` names lines from 1 on, quotes no more than 40 characters, and is cut after 1000 entries.
    """
    remarks = _Remarks()
    data = _finished_rows(_unix_lines(_utf_8(data, remarks)), remarks)
    accepted = (match for match in _ROW_START.finditer(data) if _starts_a_row(match, note_types))
    notes: list[DeletedNote] = []
    line, counted_to = 1, 0
    for row, following in pairwise(chain([None], accepted, [None])):
        limit = following.start() if following else len(data)
        if row is None:
            _report_preamble(data, limit, remarks)
            continue
        line += data.count(b"\n", counted_to, row.start())
        counted_to = row.start()
        content = data[row.end() : _end_of_row(data, row.end(), limit)]
        notes.append(_note(row, content, note_types, line, remarks))
    return DeletionLog(tuple(notes), remarks.listed())


@dataclass(slots=True)
class _Remarks:
    """What a person should know about the log; bounded, since a hostile file could fill the memory with it."""

    entries: list[str] = field(default_factory=list)
    omitted: int = 0

    def add(self, remark: str) -> None:
        if len(self.entries) < _REMARK_LIMIT:
            self.entries.append(remark)
        else:
            self.omitted += 1

    def listed(self) -> tuple[str, ...]:
        more = [f"and {self.omitted} more rows like these"] if self.omitted else []
        return (*self.entries, *more)


def _utf_8(data: bytes, remarks: _Remarks) -> bytes:
    """Turn a file that an editor saved as UTF-16 back into UTF-8; Anki may have appended rows of UTF-8 to it since."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data
    appended = _UTF_8_ROW_IN_UTF_16.search(data)
    end = appended.start() if appended else len(data)
    text = data[:end].decode("utf-16", errors="replace")
    if "\ufffd" in text:
        remarks.add("some characters of the part that is in UTF-16 could not be read")
    return text.encode("utf-8") + data[end:]


def _unix_lines(data: bytes) -> bytes:
    """Undo CRLF line ends as far as an editor wrote them.

    Anki writes LF alone, so CRLF from the first line on means that the file was saved by an editor, up to where Anki
    went on appending. Everywhere else a CR belongs to a field.
    """
    first = _LINE_FEED_ALONE.search(data)
    end = first.start() if first else len(data)
    if data.find(b"\r\n", 0, end) < 0:
        return data
    return data[:end].replace(b"\r\n", b"\n") + data[end:]


def _finished_rows(data: bytes, remarks: _Remarks) -> bytes:
    """Set aside the beginning of a row that was cut off before its fields; joined to the row above it would alter it.

    Anki ends each row with a line feed, so only the last line of a file can be cut short.
    """
    if not data or data.endswith(b"\n"):
        return data
    start = data.rfind(b"\n") + 1
    line = data.count(b"\n") + 1
    if _UNFINISHED_ROW_START.fullmatch(data, start):
        remarks.add(f"line {line}: a row is cut off before its fields: {_excerpt(data[start:])}")
        return data[:start]
    remarks.add(f"line {line}: the last line has no line end and may be cut short")
    return data


def _starts_a_row(match: re.Match[bytes], note_types: Mapping[int, NoteType]) -> bool:
    note_id, note_type_id = int(match[1]), int(match[2])
    if not (-(2**63) <= note_id < 2**63 and -(2**63) <= note_type_id < 2**63):
        return False
    likely = note_type_id >= _LOWEST_LIKELY_NOTE_TYPE_ID
    known = note_type_id in note_types
    if note_id in _TIMESTAMP_IN_MILLISECONDS:
        return known or likely
    return known and likely


def _report_preamble(data: bytes, end: int, remarks: _Remarks) -> None:
    """Say which lines before the first row are neither header nor comment."""
    strange = _NEITHER_HEADER_NOR_COMMENT.finditer(data, 0, end)
    first = next(strange, None)
    if first is None:
        return
    line = data.count(b"\n", 0, first.start()) + 1
    others = sum(1 for _ in strange)
    more = f" (and {others} more lines)" if others else ""
    remarks.add(f"line {line}: text before the first note{more}: {_excerpt(data[first.start() : first.end()])}")


def _end_of_row(data: bytes, start: int, limit: int) -> int:
    """Return where the row's text ends: before its line feed, and before the header of a log appended to this one."""
    end = limit - 1 if data.endswith(b"\n", start, limit) else limit
    while data.endswith(_HEADER_ENDS, start, end):
        end = data.rfind(b"\n", start, end)
    return end


def _note(
    row: re.Match[bytes], content: bytes, note_types: Mapping[int, NoteType], line: int, remarks: _Remarks
) -> DeletedNote:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="surrogateescape").translate(_STRAY_BYTES)
        remarks.add(f"line {line}: bytes that are not UTF-8 were read as Windows-1252")
    note_id, note_type_id = int(row[1]), int(row[2])
    note_type = note_types.get(note_type_id)
    if note_type is None or not note_type.fields:
        return DeletedNote(note_id, note_type_id, None, (), tuple(text.split("\t", _PART_LIMIT - 1)))
    count = len(note_type.fields)
    if text.count("\t") >= count:
        remarks.add(f"line {line}: more tabs than its {count} fields need: where they belong is a guess")
    return DeletedNote(note_id, note_type_id, note_type.name, note_type.fields, _fields(text, count))


def _fields(text: str, count: int) -> tuple[str, ...]:
    """Cut a row into exactly `count` fields; see the rules at the top of this module."""
    parts = text.split("\t", count - 1 + _PART_LIMIT)
    parts += [""] * (count - len(parts))
    surplus = len(parts) - count
    if not surplus:
        return tuple(parts)
    opened = [_elements_left_open(part) for part in parts]
    fields: list[str] = []
    position = 0
    while position < len(parts):
        end = position + 1
        if len(fields) == count - 1:
            end = len(parts)
        elif opened[position] > 0:
            end = _end_of_element(opened, position, surplus)
        fields.append("\t".join(parts[position:end]))
        surplus -= end - position - 1
        position = end
    return tuple(fields)


def _end_of_element(opened: list[int], position: int, surplus: int) -> int:
    """Return the end of the stretch of parts that closes what the part at `position` leaves open, if there is one."""
    depth = opened[position]
    for end in range(position + 1, min(position + 1 + surplus, len(opened))):
        depth += opened[end]
        if depth <= 0:
            return end + 1
    return position + 1


def _elements_left_open(part: str) -> int:
    return sum(-1 if tag[1] else 1 for tag in _TAG.finditer(part))


def _excerpt(content: bytes) -> str:
    text = content[: 4 * _EXCERPT_LENGTH].decode("utf-8", errors="replace")[:_EXCERPT_LENGTH]
    return "".join(character if character.isprintable() else " " for character in text)
