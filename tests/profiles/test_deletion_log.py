from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import SupportsIndex, overload

import pytest
from anki.collection import Collection
from hypothesis import given
from hypothesis import strategies as st

from profiles.deletion_log import DeletedNote, DeletionLog, parse_deletion_log
from profiles.note_types import NoteType, read_note_types
from tests.profiles.desktop_log import NEW_HEADER, OLD_HEADER, logging_deletions, row

BASIC = NoteType(1_600_000_000_000, "Basic", ("Front", "Back"))
WIDE = NoteType(1_700_000_000_001, "Wide", ("A", "B", "C", "D"))
DRAWN = NoteType(1 << 30, "Made by a tool", ("Only",))
NOTE_TYPES = {note_type.id: note_type for note_type in (BASIC, WIDE, DRAWN)}
FIRST = 1_650_000_000_000
HEADERS = {
    "old": OLD_HEADER,
    "new": NEW_HEADER,
    "none": b"",
    "with a byte order mark": b"\xef\xbb\xbf" + NEW_HEADER,
    "only a byte order mark": b"\xef\xbb\xbf",
    "with directives of the user": b"#separator:tab\n#html:true\n" + NEW_HEADER,
    "the one after the other": OLD_HEADER + NEW_HEADER,
}


def parse(*rows: bytes, header: bytes = NEW_HEADER) -> DeletionLog:
    return parse_deletion_log(header + b"".join(rows), NOTE_TYPES)


def fields_of(log: DeletionLog) -> list[tuple[str, ...]]:
    return [note.fields for note in log.notes]


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_rows_are_read_under_every_header(header: bytes) -> None:
    log = parse(row(FIRST, BASIC.id, ("a", "b")), row(FIRST + 1, WIDE.id, "wxyz"), header=header)
    assert log == DeletionLog(
        (
            DeletedNote(FIRST, BASIC.id, "Basic", ("Front", "Back"), ("a", "b")),
            DeletedNote(FIRST + 1, WIDE.id, "Wide", ("A", "B", "C", "D"), ("w", "x", "y", "z")),
        ),
        (),
    )


@pytest.mark.parametrize("first", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("second", [OLD_HEADER, NEW_HEADER, b"\xef\xbb\xbf" + OLD_HEADER, OLD_HEADER + NEW_HEADER, b""])
def test_logs_put_one_after_the_other_are_read_as_one(first: bytes, second: bytes) -> None:
    rows = row(FIRST, BASIC.id, ("a", "b\nb")), row(FIRST + 1, BASIC.id, ("c", "d"))
    assert parse(rows[0], second, rows[1], second, header=first) == parse(*rows)


def test_a_header_in_the_middle_of_a_field_belongs_to_the_field() -> None:
    text = "a\n#guid column:1\nnid\tmid\tfields\nb"
    assert fields_of(parse(row(FIRST, WIDE.id, ("", text))))[0] == ("", "a\n#guid column:1\nnid", "mid", "fields\nb")


@pytest.mark.parametrize("header", [OLD_HEADER, NEW_HEADER], ids=["old", "new"])
def test_a_log_as_the_desktop_program_writes_it_gives_the_notes_back(header: bytes, tmp_path: Path) -> None:
    path, log_path = tmp_path / "collection.anki2", tmp_path / "deleted.txt"
    collection = Collection(str(path))
    expected = []
    for name, fields in (
        ("Basic", ["plain", "<b>html &amp; more</b>"]),
        ("Basic", ['"quoted" start', "line\nfeed\n\nand another\n"]),
        ("Cloze", ["{{c1::日本語}} 🎴 #no comment", ""]),
        ("Basic", ["# no comment", "\n#guid column:1\nstill the field"]),
    ):
        note_type = collection.models.by_name(name)
        assert note_type is not None
        note = collection.new_note(note_type)
        note.fields = fields
        collection.add_note(note, collection.decks.id("Default"))
        names = tuple(field["name"] for field in note_type["flds"])
        expected.append(DeletedNote(note.id, note.mid, name, names, tuple(collection.get_note(note.id).fields)))
    with logging_deletions(log_path, header):
        collection.remove_notes([expected[0].note_id, expected[1].note_id])
        collection.remove_notes([note.note_id for note in expected[2:]])
    collection.close()

    log = parse_deletion_log(log_path.read_bytes(), read_note_types(path))

    assert log == DeletionLog(tuple(expected), ())


def test_an_editor_on_windows_changes_no_note() -> None:
    written = NEW_HEADER + row(FIRST, BASIC.id, ("a", "b\n\nb")) + row(FIRST + 1, BASIC.id, ("c", "d\n"))
    edited = written.replace(b"\n", b"\r\n")
    assert parse_deletion_log(edited, NOTE_TYPES) == parse_deletion_log(written, NOTE_TYPES)


def test_rows_that_anki_appends_after_an_editor_on_windows_are_read_too() -> None:
    edited = (OLD_HEADER + row(FIRST, BASIC.id, ("a", "b"))).replace(b"\n", b"\r\n")
    log = parse(row(FIRST + 1, BASIC.id, ("c", "d")), row(FIRST + 2, BASIC.id, ("e", "f\r\ng\r")), header=edited)
    assert fields_of(log) == [("a", "b"), ("c", "d"), ("e", "f\r\ng\r")]


def test_carriage_returns_in_a_log_of_ankis_own_belong_to_the_field() -> None:
    assert fields_of(parse(row(FIRST, BASIC.id, ("a\r", "b\r\nc\r")))) == [("a\r", "b\r\nc\r")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_log_that_an_editor_saved_as_utf_16_is_read_with_what_anki_appended_since(encoding: str) -> None:
    saved = ("\ufeff" + (NEW_HEADER + row(FIRST, BASIC.id, ("日本", "é\t"))).decode()).encode(encoding)
    log = parse(row(FIRST + 1, BASIC.id, ("naïve", "日")), header=saved)
    assert [note.note_id for note in log.notes] == [FIRST, FIRST + 1]
    assert fields_of(log) == [("日本", "é\t"), ("naïve", "日")]


def test_characters_of_utf_16_that_are_lost_are_reported() -> None:
    saved = b"\xff\xfe" + (NEW_HEADER + row(FIRST, BASIC.id, ("a", "b"))).decode().encode("utf-16-le") + b"\x00\xd8"
    log = parse_deletion_log(saved, NOTE_TYPES)
    assert "UTF-16" in log.unreadable[0]
    assert log.notes[0].note_id == FIRST


def test_bytes_of_another_encoding_are_kept_as_windows_writes_them_and_reported() -> None:
    log = parse(
        row(FIRST, BASIC.id, ("good", "日本")),
        b"%d\t%d\tcaf\xe9 \x93x\x94 \x81\t\xe6\x97\xa5 and \xff\n" % (FIRST + 1, BASIC.id),
        row(FIRST + 2, BASIC.id, ("good", "é")),
    )
    assert fields_of(log) == [("good", "日本"), ("café “x” \x81", "日 and ÿ"), ("good", "é")]
    assert log.unreadable == ("line 5: bytes that are not UTF-8 were read as Windows-1252",)


def test_a_field_that_the_note_type_gained_since_is_empty() -> None:
    log = parse(row(FIRST, WIDE.id, ("a", "b")))
    assert fields_of(log) == [("a", "b", "", "")]
    assert log.unreadable == ()


def test_tabs_that_can_not_be_placed_stay_in_the_last_field_and_are_reported() -> None:
    log = parse(row(FIRST, BASIC.id, ("a", "b", "", "c", "")))
    assert fields_of(log) == [("a", "b\t\tc\t")]
    assert log.unreadable == ("line 4: more tabs than its 2 fields need: where they belong is a guess",)


@pytest.mark.parametrize(
    "fields",
    [
        ("<pre>if x:\n\treturn\n\telse:\n</pre>", "back", "c", "d"),
        ("a", "b", "<table>\t<tr>\t<td>1<td>2</table>", "x\ty"),
        ("<br><p>a", "<div>\t<div>x</div>\t</div>", "<PRE>\t</pre>", "d"),
        ("<svg><path/>\t<path/></svg>", "b", "", ""),
        ("<b>never closed", "b", "c", "d\t"),
    ],
)
def test_a_tab_inside_an_html_element_does_not_end_the_field(fields: tuple[str, ...]) -> None:
    assert fields_of(parse(row(FIRST, WIDE.id, fields))) == [fields]


def test_a_note_of_an_unknown_type_keeps_its_parts() -> None:
    unknown = 1_500_000_000_000
    log = parse(row(FIRST, unknown, ("a", "b\nb", "c")), row(FIRST + 1, BASIC.id, ("d", "e")))
    assert log.notes[0] == DeletedNote(FIRST, unknown, None, (), ("a", "b\nb", "c"))
    assert log.notes[1].fields == ("d", "e")


def test_a_hostile_row_of_an_unknown_type_is_not_cut_into_millions_of_fields() -> None:
    text = "x\t" * 5_000
    (fields,) = fields_of(parse(row(FIRST, 1 << 40, (text,))))
    assert len(fields) == 1_000
    assert "\t".join(fields) == text


@pytest.mark.parametrize(
    "line",
    [
        f"{FIRST}\t12\tabout a dozen",
        f"{FIRST}\tfront",
        f"123\t{(1 << 30) + 1}\tunknown type, unlikely note",
        f"{'9' * 30}\t{BASIC.id}\ttoo long for an id",
        f"{2**63}\t{BASIC.id}\ttoo large for an id",
        f"{FIRST}\t{2**63}\ttoo large for an id",
        f" {FIRST}\t{BASIC.id}\tindented",
        f"0{FIRST}\t{BASIC.id}\tleading zero",
        f"{FIRST} {BASIC.id}\tno tab",
        f"{FIRST}\t{BASIC.id}",
        "٤٤٤٤٤٤٤٤٤٤٤٤٤\t٤٤٤٤٤٤٤٤٤٤٤٤٤\tdigits of another script",
        "",
        "# no comment",
    ],
)
def test_a_line_that_can_not_start_a_row_goes_on_with_the_one_above(line: str) -> None:
    log = parse(row(FIRST - 1, DRAWN.id, (f"a\n{line}\nb",)))
    assert fields_of(log) == [(f"a\n{line}\nb",)]


@pytest.mark.parametrize(
    ("note_id", "note_type_id"),
    [
        (1, BASIC.id),
        (-5, BASIC.id),
        (2**63 - 1, BASIC.id),
        (-(2**63), DRAWN.id),
        (9_999_999_999_999, BASIC.id),
        (FIRST, (1 << 30) + 7),
        (FIRST, 2**63 - 1),
    ],
)
def test_ids_of_any_size_are_seen_where_the_note_type_vouches_for_them(note_id: int, note_type_id: int) -> None:
    log = parse(row(FIRST - 1, BASIC.id, ("a", "b")), row(note_id, note_type_id, ("c", "d")))
    assert [(note.note_id, note.note_type_id) for note in log.notes] == [(FIRST - 1, BASIC.id), (note_id, note_type_id)]


def test_a_small_note_type_id_counts_only_before_a_likely_note() -> None:
    note_types = {1: NoteType(1, "Tiny", ("Only",))}
    log = parse_deletion_log(b"%d\t1\ta\n5\t1\tsome table\n" % FIRST, note_types)
    assert [(note.note_id, note.fields) for note in log.notes] == [(FIRST, ("a\n5\t1\tsome table",))]


def test_text_before_the_first_row_is_reported_once_and_shortly() -> None:
    log = parse(b"\n", b"x" * 50 + b"\n", b"more\n" * 9, row(FIRST, BASIC.id, ("a", "b")))
    assert log.unreadable == (f"line 5: text before the first note (and 9 more lines): {'x' * 40}",)
    assert len(log.notes) == 1


@pytest.mark.parametrize(
    "tail", [b"1", b"1650000000009", b"1650000000009\t", b"1650000000009\t16", b"1650000000009\t16\t"]
)
def test_a_row_cut_off_before_its_fields_does_not_alter_the_row_above(tail: bytes) -> None:
    whole = row(FIRST, BASIC.id, ("a", "b"))
    log = parse(whole, tail)
    assert log.notes == parse(whole).notes
    assert len(log.unreadable) == 1
    assert log.unreadable[0].startswith("line 5: a row is cut off before its fields: 1")


def test_a_last_row_without_a_line_end_is_kept_and_reported() -> None:
    log = parse(row(FIRST, BASIC.id, ("a", "b")), row(FIRST + 1, BASIC.id, ("c", "d"))[:-1])
    assert fields_of(log) == [("a", "b"), ("c", "d")]
    assert log.unreadable == ("line 5: the last line has no line end and may be cut short",)


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xfe\x00", *HEADERS.values()])
def test_an_empty_log_holds_nothing_and_nothing_is_wrong_with_it(data: bytes) -> None:
    assert parse_deletion_log(data, NOTE_TYPES).notes == ()


def test_remarks_on_a_hostile_log_are_bounded() -> None:
    log = parse(*(row(FIRST + number, BASIC.id, ("a", "b", "c")) for number in range(3_000)))
    assert len(log.notes) == 3_000
    assert len(log.unreadable) == 1_001
    assert log.unreadable[-1] == "and 2000 more rows like these"


# What a log may hold, made of what is awkward in it. A header alone at the end of a field is left out: there it can't
# be told from the header of another log.
awkward = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["\t", "\n", '"', "#", "<pre>", "</pre>", "<b", ">", "\x00", "\x85", "\u2028", "\r", " ", "1"]),
    ),
    max_size=8,
).map("".join)
note_types = st.sampled_from([*NOTE_TYPES.values()])


@st.composite
def logged(draw: st.DrawFn, text: st.SearchStrategy[str]) -> list[DeletedNote]:
    notes = []
    for number in range(draw(st.integers(1, 6))):
        note_type = draw(note_types)
        fields = tuple(draw(text) for _ in note_type.fields)
        notes.append(DeletedNote(FIRST + number, note_type.id, note_type.name, note_type.fields, fields))
    return notes


def written(notes: list[DeletedNote], header: bytes) -> bytes:
    return header + b"".join(row(note.note_id, note.note_type_id, note.fields) for note in notes)


@given(logged(awkward.map(lambda text: text.replace("\t", " "))), st.sampled_from([OLD_HEADER, NEW_HEADER]))
def test_fields_without_tabs_come_back_exactly(notes: list[DeletedNote], header: bytes) -> None:
    assert parse_deletion_log(written(notes, header), NOTE_TYPES) == DeletionLog(tuple(notes), ())


@given(logged(awkward), st.sampled_from([OLD_HEADER, NEW_HEADER]))
def test_no_note_and_no_text_is_ever_lost(notes: list[DeletedNote], header: bytes) -> None:
    log = parse_deletion_log(written(notes, header), NOTE_TYPES)
    assert [note.note_id for note in log.notes] == [note.note_id for note in notes]
    for read, note in zip(log.notes, notes, strict=True):
        assert "\t".join(read.fields) == "\t".join(note.fields)
        assert len(read.fields) == len(note.fields)
        assert read.key == note.key


@given(st.one_of(st.binary(max_size=300), logged(awkward).map(lambda notes: written(notes, NEW_HEADER))), st.data())
def test_no_input_makes_it_fail(data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(0, 3))):
        start = draw.draw(st.integers(0, len(data)))
        data = data[:start] + draw.draw(st.binary(max_size=6)) + data[start + draw.draw(st.integers(0, 6)) :]
    log = parse_deletion_log(data, NOTE_TYPES)
    for note in log.notes:
        assert len(note.key) == 16
        assert not note.field_names or len(note.fields) == len(note.field_names)
    assert all("\n" not in remark for remark in log.unreadable)


def test_the_key_tells_apart_what_differs() -> None:
    note = DeletedNote(1, 23, "Basic", ("Front", "Back"), ("a", "b"))
    others = [
        replace(note, note_id=12, note_type_id=3),
        replace(note, note_id=2),
        replace(note, fields=("a", "c")),
        replace(note, fields=("", "a", "b")),
        replace(note, fields=("a\nb",)),
        replace(note, fields=("a", "b ")),
    ]
    assert len({note.key, *(other.key for other in others)}) == 7
    assert len(note.key) == 16


@given(logged(awkward))
def test_the_key_outlives_changes_of_the_note_types(notes: list[DeletedNote]) -> None:
    data = written(notes, NEW_HEADER)
    keys = [note.key for note in parse_deletion_log(data, NOTE_TYPES).notes]
    wider = {id_: replace(note_type, fields=(*note_type.fields, "New")) for id_, note_type in NOTE_TYPES.items()}
    narrower = {id_: replace(note_type, fields=note_type.fields[:1]) for id_, note_type in NOTE_TYPES.items()}
    for later in (wider, narrower, {}):
        assert [note.key for note in parse_deletion_log(data, later).notes] == keys


class Watched(bytes):
    """A log that adds up how many bytes were copied out of it."""

    copied = 0

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> bytes: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> int | bytes:
        part = super().__getitem__(index)
        self.copied += len(part) if isinstance(part, bytes) else 1
        return part


def work(data: bytes) -> tuple[int, int]:
    """Return how many calls a parse makes, and how many bytes it copies out of the log."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    watched = Watched(data)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        parse_deletion_log(watched, NOTE_TYPES)
    finally:
        sys.setprofile(before)
    return calls, watched.copied


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "many rows": lambda size: b"".join(row(FIRST + number, BASIC.id, ("a", "b")) for number in range(size)),
    "one row of many lines": lambda size: row(FIRST, BASIC.id, ("a", "x\n" * size)),
    "one row of tabs": lambda size: row(FIRST, BASIC.id, ("\t" * size,)),
    "one row of an unknown type": lambda size: row(FIRST, 1 << 40, ("\tx" * size,)),
    "rows of many tabs": lambda size: row(FIRST, BASIC.id, ("<b>\t" * 50,)) * (size // 50),
    "header after header": lambda size: row(FIRST, BASIC.id, ("a", "b")) + NEW_HEADER * size,
    "headers between rows": lambda size: (row(FIRST, BASIC.id, ("a", "b")) + NEW_HEADER) * size,
    "text before the first row": lambda size: b"strange\n" * size,
    "digits": lambda size: b"1" * size + b"\n" + b"1\t" * size + b"\n",
    "lines that nearly start a row": lambda size: row(FIRST, BASIC.id, ("a",)) + b"1234567890123\t1\t\n" * size,
    "bytes of another encoding": lambda size: b"%d\t%d\t\xe9\n" % (FIRST, BASIC.id) * size,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_work_grows_no_faster_than_the_log(hostile: Callable[[int], bytes]) -> None:
    counted = [(len(data), *work(data)) for data in (hostile(size) for size in (1_500, 6_000, 24_000))]
    for (size, calls, copied), (larger, more_calls, more_copied) in pairwise(counted):
        growth = larger / size
        assert more_calls <= growth * calls + 100
        assert more_copied <= growth * copied + 100
        assert more_copied <= 2 * larger


@pytest.mark.parametrize("pattern", [b"<a", b"<a ", b"a", b"<", b"<b>\t", b"<b>", b"1", b"1\t", b"\xc3", b"\t"])
def test_a_row_of_megabytes_without_an_end_is_read_in_bounded_memory(pattern: bytes) -> None:
    data = b"%d\t%d\t<b>\t\t" % (FIRST, WIDE.id) + pattern * (3_000_000 // len(pattern)) + b"\n"
    tracemalloc.start()
    try:
        log = parse_deletion_log(data, NOTE_TYPES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(log.notes) == 1
    assert peak < 16 * len(data)
