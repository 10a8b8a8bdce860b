"""Keeps `docs/format.md` true: what it says in tables and numbers is read from the page and compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.format import blob, compression, deletion_table, index_table, listing, manifest, pack, sealing
from storage.format.audit_row import AUDIT_COLUMNS, LARGEST_FILE
from storage.format.blob import BlobKind, pack_name
from storage.format.configuration import FORMAT, Configuration, write_configuration
from storage.format.deletion_table import DELETIONS_SCHEMA, How
from storage.format.index_table import INDEX_SCHEMA
from storage.format.pack import decode_blob, read_pack
from storage.format.sealing import OpenSeal, Purpose
from tests.storage.format.example_pack import BLOBS, PACK, REPOSITORY_ID

PAGE = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")


def section(number: int) -> str:
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"section {number} is missing"
    return found[0]


@pytest.fixture(scope="module")
def example() -> bytes:
    dump = re.search(r"```hex\n(.*?)```", PAGE, re.DOTALL)
    assert dump
    lines = [line.split("  ") for line in dump[1].splitlines()]
    assert [int(offset, 16) for offset, _ in lines] == [16 * number for number in range(len(lines))]
    return bytes.fromhex("".join(digits for _, digits in lines))


def test_the_example_is_a_pack_of_the_blobs_that_the_page_speaks_of(example: bytes) -> None:
    seal = OpenSeal(REPOSITORY_ID)
    entries = read_pack(seal, PACK, example)
    found = [
        (e.location.kind, decode_blob(seal, e.id, e.location, example[e.location.offset :][: e.location.stored]))
        for e in entries
    ]
    assert found == list(BLOBS)
    for told in (REPOSITORY_ID.hex(), PACK.hex(), pack_name(PACK), BLOBS[0][1].decode(), "512 zero bytes"):
        assert f"{told}" in section(4)


def test_every_line_of_the_examples_table_is_true(example: bytes) -> None:
    rows = re.findall(r"^\| 0x(\w+) \| 0x(\w+) \| (.*) \|$", section(4), re.MULTILINE)
    pieces = [(int(start, 16), int(end, 16), what) for start, end, what in rows]
    assert [start for start, _, _ in pieces] == [0, *(end for _, end, _ in pieces[:-1])]
    assert pieces[-1][1] == len(example)
    hello, page = (OpenSeal(REPOSITORY_ID).blob_id(plain) for _, plain in BLOBS)
    known = {"pack id": PACK, "id of `Hello, Anki!`": hello, "id of the page": page}
    checked = 0
    for start, end, what in pieces:
        content = example[start:end]
        number = re.search(r"(?:scheme:|method|kind|rows:|padding:|length|table:) (\d+)", what)
        text = re.fullmatch(r"`(.*)`", what)
        if text or what in known:
            assert content == (text[1].encode() if text else known[what])
        elif number:
            assert int.from_bytes(content, "little") == int(number[1])
        else:
            assert what.startswith(("tag", "a zstd frame of 512"))
            continue
        checked += 1
    assert checked >= 20


def test_the_tables_name_every_column_and_key_and_no_other() -> None:
    def first_column(text: str) -> list[str]:
        return [
            name for cell in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
        ]

    assert first_column(section(5)) == INDEX_SCHEMA.names
    assert first_column(section(8)) == DELETIONS_SCHEMA.names
    assert first_column(section(9)) == [column.name for column in AUDIT_COLUMNS]
    keys = re.findall(r'^  "(\w+)"', write_configuration(Configuration("0" * 32, "")).decode(), re.MULTILINE)
    assert first_column(section(1)) == keys


def test_the_deletion_archives_columns_are_of_the_types_that_the_page_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section(8), re.MULTILINE)
    assert rows == [
        (field.name, f"{str(field.type).replace('element', 'item')}{', may be empty' if field.nullable else ''}")
        for field in DELETIONS_SCHEMA
    ]
    (how,) = re.findall(r"^\| `how` .*$", section(8), re.MULTILINE)
    assert re.findall(r"`(\w+)`: ", how) == list(How)


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    def says(number: int, what: str) -> None:
        assert what in section(number).replace("\n", " "), what

    says(1, f"the integer `{FORMAT}`")
    says(2, f"`{sealing._TAG_CONTEXT}`")
    says(2, f"| {sealing.TAG_BYTES} | tag |")
    for purpose in Purpose:
        says(2, f"| `{purpose}` |")
    says(3, f"{blob.MAX_BLOB_BYTES:,}".replace(",", " "))
    for kind in BlobKind:
        says(3, f"| {kind.value} {kind.name.lower()} |")
    assert (compression.RAW, compression.ZSTD) == (0, 1)
    says(3, f"at most {sealing.MOST_ADDED_BYTES} more")
    for magic in (pack.HEAD_MAGIC, pack.TAIL_MAGIC):
        says(4, f"| {len(magic)} | `{magic.decode()}`")
    says(5, f"at most {pack.MAX_STORED_BYTES:,}".replace(",", " "))
    says(6, f"{listing.MAX_COUNT:,}".replace(",", " "))
    says(6, f"1 to {listing.MAX_LEVELS} levels")
    says(6, f"1 to {listing._MAX_ENTRIES} (a pieces node: 1 to {listing.PIECES_PER_NODE})")
    says(6, f"1 to {listing.MAX_NAME_BYTES}")
    says(6, f"{listing._CUT_BITS} \N{MULTIPLICATION SIGN} level")
    assert manifest.MAX_MANIFEST_BYTES == 1024 * 1024
    says(7, f"the integer `{manifest.MANIFEST_FORMAT}`")
    for largest in (index_table.LARGEST_INDEX, deletion_table.LARGEST_DELETIONS):
        assert largest == 256 * 1024 * 1024
    assert "an index file or a file of a deletion archive 256 MiB (2^28), a row of the audit table 512 KiB" in PAGE
    assert LARGEST_FILE == 512 * 1024
    assert pack.LARGEST_TABLE_BYTES == 2**26
    says(4, "more than 64 MiB (2^26 bytes)")


def test_every_section_that_a_docstring_cites_is_there() -> None:
    root = Path(__file__).parents[3] / "storage"
    cited = {
        number
        for path in root.rglob("*.py")
        for number in re.findall(r"format\.md` §([\d.]*\d)", path.read_text(encoding="utf-8"))
    }
    assert {"1", "2", "3", "3.2", "4", "5", "6", "7"} <= cited
    for number in cited:
        assert re.search(rf"^(## {number}\. |\*\*{re.escape(number)} )", PAGE, re.MULTILINE), number
