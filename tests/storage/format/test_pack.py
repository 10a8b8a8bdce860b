from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.format.blob import MAX_BLOB_BYTES, BlobId, BlobKind, Location, PackId, pack_name, pack_of_name
from storage.format.compression import compress
from storage.format.keyring import Keyring, with_new_generation
from storage.format.pack import (
    HEAD_BYTES,
    HEAD_MAGIC,
    LARGEST_TABLE_BYTES,
    MAX_STORED_BYTES,
    TAIL_BYTES,
    TAIL_MAGIC,
    build_pack,
    compress_table,
    decode_blob,
    encode_blob,
    padded_length,
    read_pack,
    read_table,
    table_start,
)
from storage.format.sealing import AesSeal, OpenSeal, Purpose

SEAL = OpenSeal(bytes(16))
PACK = PackId(bytes(range(16)))
BLOBS = st.lists(st.tuples(st.sampled_from(BlobKind), st.binary(max_size=500)), max_size=12)


def packed(blobs: list[tuple[BlobKind, bytes]]) -> bytes:
    return build_pack(
        SEAL, PACK, [encode_blob(SEAL, kind, SEAL.blob_id(plain), plain) for kind, plain in blobs]
    ).content


def unpacked(content: bytes) -> list[tuple[BlobKind, bytes]]:
    return [
        (
            entry.location.kind,
            decode_blob(SEAL, entry.id, entry.location, content[entry.location.offset :][: entry.location.stored]),
        )
        for entry in read_pack(SEAL, PACK, content)
    ]


@given(BLOBS)
def test_a_pack_tells_itself_what_it_holds(blobs: list[tuple[BlobKind, bytes]]) -> None:
    assert unpacked(packed(blobs)) == sorted(blobs, key=lambda one: one[0] is BlobKind.NODE)
    assert build_pack(SEAL, PACK, []).entries == ()


def test_a_pack_tells_under_which_key_it_is_sealed() -> None:
    older = AesSeal(bytes(16), Keyring(bytes(32), ((3, bytes(32)),)))
    newer = AesSeal(bytes(16), with_new_generation(Keyring(bytes(32), ((3, bytes(32)),))))
    blob = encode_blob(older, BlobKind.DATA, older.blob_id(b"a"), b"a")
    pack = build_pack(older, PACK, [blob])
    assert [entry.generation for entry in pack.entries] == [3]
    assert read_pack(newer, PACK, pack.content) == pack.entries
    assert [entry.generation for entry in read_pack(SEAL, PACK, packed([(BlobKind.DATA, b"a")]))] == [0]


class PaddingSeal(OpenSeal):
    """As a seal that hides lengths."""

    pads = True


@given(BLOBS)
def test_padding_leaves_few_lengths_and_no_trace_in_what_is_read(blobs: list[tuple[BlobKind, bytes]]) -> None:
    seal = PaddingSeal(bytes(16))
    encoded = [encode_blob(seal, kind, seal.blob_id(plain), plain) for kind, plain in blobs]
    bare, padded = build_pack(SEAL, PACK, list(encoded)), build_pack(seal, PACK, list(encoded))
    assert padded.entries == bare.entries == read_pack(seal, PACK, padded.content)
    body = HEAD_BYTES + sum(len(blob.stored) for blob in encoded)
    # The table's own length tells only how many blobs there are.
    assert len(padded.content) - len(bare.content) == padded_length(body) - body


@given(st.integers(2, 2**40))
def test_a_padded_length_is_at_most_an_eighth_longer_and_one_of_few(length: int) -> None:
    padded = padded_length(length)
    assert length <= padded <= length * 1.12 + 1
    assert padded_length(padded) == padded
    exponent = padded.bit_length() - 1
    assert padded % (1 << max(0, exponent - exponent.bit_length())) == 0


def test_padding_is_not_what_a_table_can_lie_about() -> None:
    for padding in (1, 2**32 - 1):
        table = SEAL.seal(Purpose.PACK_TABLE, PACK, compress_table([], padding))
        content = HEAD_MAGIC + PACK + table + len(table).to_bytes(4, "little") + TAIL_MAGIC
        with pytest.raises(Damaged):
            read_pack(SEAL, PACK, content)


@given(BLOBS)
def test_the_table_is_found_from_the_tail_alone(blobs: list[tuple[BlobKind, bytes]]) -> None:
    content = packed(blobs)
    start = table_start(PACK, len(content), content[-TAIL_BYTES:])
    assert read_table(SEAL, PACK, len(content), content[start:]) == read_pack(SEAL, PACK, content)


@settings(max_examples=300)
@given(BLOBS, st.data())
def test_a_flipped_bit_never_gives_wrong_bytes(blobs: list[tuple[BlobKind, bytes]], data: st.DataObject) -> None:
    content = bytearray(packed(blobs))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        unpacked(bytes(content))


@given(BLOBS, st.data())
def test_a_pack_cut_short_or_grown_is_damage(blobs: list[tuple[BlobKind, bytes]], data: st.DataObject) -> None:
    content = packed(blobs)
    cut = data.draw(st.integers(0, len(content) - 1))
    added = data.draw(st.binary(min_size=1, max_size=60))
    for spoiled in (content[:cut], content[cut:], content + added, added + content, content[:HEAD_BYTES] + added):
        if spoiled != content:
            with pytest.raises(Damaged):
                unpacked(spoiled)


def test_a_pack_under_another_name_is_damage() -> None:
    with pytest.raises(Damaged, match=bytes(16).hex()):
        read_pack(SEAL, PackId(bytes(16)), packed([(BlobKind.PAGE, b"page")]))


def test_a_blob_is_refused_under_another_id_or_kind_and_from_another_repository() -> None:
    page, other = SEAL.blob_id(b"page"), SEAL.blob_id(b"other")
    encoded = encode_blob(SEAL, BlobKind.PAGE, page, b"page")

    def decoded(seal: OpenSeal = SEAL, blob: BlobId = page, kind: BlobKind = BlobKind.PAGE, length: int = 4) -> bytes:
        return decode_blob(seal, blob, Location(kind, PACK, HEAD_BYTES, len(encoded.stored), length), encoded.stored)

    assert decoded() == b"page"
    for wrong in ({"seal": OpenSeal(b"x" * 16)}, {"blob": other}, {"kind": BlobKind.NODE}, {"length": 5}):
        with pytest.raises(Damaged):
            decoded(**wrong)


def test_sealed_bytes_that_are_not_those_of_the_id_are_refused() -> None:
    """Whoever can write to an open repository can make valid seals, but not a second content for an id."""
    page = SEAL.blob_id(b"page")
    forged = SEAL.seal(Purpose.BLOB, bytes((BlobKind.PAGE,)) + page, compress(b"evil"))
    with pytest.raises(Damaged, match="not the one"):
        decode_blob(SEAL, page, Location(BlobKind.PAGE, PACK, HEAD_BYTES, len(forged), 4), forged)


def test_a_blob_longer_than_readers_accept_is_never_stored() -> None:
    with pytest.raises(ValueError, match="longer"):
        encode_blob(SEAL, BlobKind.DATA, BlobId(bytes(32)), bytes(MAX_BLOB_BYTES + 1))


def test_the_longest_blob_stays_within_the_overhead_that_readers_allow() -> None:
    noise = os.urandom(MAX_BLOB_BYTES)
    encoded = encode_blob(SEAL, BlobKind.DATA, SEAL.blob_id(noise), noise)
    assert len(encoded.stored) <= MAX_STORED_BYTES


def test_what_does_not_survive_compression_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.format.pack.compress", lambda plain: compress(plain[:-1] + b"?"))
    with pytest.raises(Damaged, match="on this computer"):
        encode_blob(SEAL, BlobKind.PAGE, SEAL.blob_id(b"page"), b"page")


def hostile(table: bytes, *, body: bytes = b"", declared: int | None = None) -> bytes:
    """A pack with a table of one's own, rightly sealed."""
    sealed = SEAL.seal(Purpose.PACK_TABLE, PACK, table)
    length = len(sealed) if declared is None else declared
    return HEAD_MAGIC + PACK + body + sealed + length.to_bytes(4, "little") + TAIL_MAGIC


def row(kind: int, stored: int, length: int) -> bytes:
    return bytes((kind,)) + bytes(32) + stored.to_bytes(4, "little") + length.to_bytes(4, "little")


def table(*rows: bytes, count: int | None = None) -> bytes:
    return (len(rows) if count is None else count).to_bytes(4, "little") + bytes(4) + compress(b"".join(rows))


@pytest.mark.parametrize(
    "content",
    [
        hostile(b""),
        hostile(b"\1\0\0"),
        hostile(table(row(1, 60, 5), count=2), body=bytes(60)),
        hostile(table(row(1, 60, 5), count=2**32 - 1), body=bytes(60)),
        hostile(table(*[row(1, 0, 0)] * 3_000_000), body=bytes(60)),
        hostile(table(row(0, 60, 5)), body=bytes(60)),
        hostile(table(row(4, 60, 5)), body=bytes(60)),
        hostile(table(row(1, 61, 5)), body=bytes(60)),
        hostile(table(row(1, 59, 5)), body=bytes(60)),
        hostile(table(row(1, 60, MAX_BLOB_BYTES + 1)), body=bytes(60)),
        hostile(table(row(1, 2**32 - 1, 5)), body=bytes(60)),
        hostile(table(), declared=0),
        hostile(table(), declared=2**32 - 1),
    ],
)
def test_a_hostile_table_is_damage(content: bytes) -> None:
    with pytest.raises(Damaged):
        read_pack(SEAL, PACK, content)


def test_more_rows_than_any_pack_has_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    end = hostile(table(count=LARGEST_TABLE_BYTES // 41 + 1))[HEAD_BYTES:]
    monkeypatch.setattr("storage.format.pack.decompress", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(Damaged, match="makes no sense"):
        read_table(SEAL, PACK, 2**32, end)


def test_a_table_never_claims_a_longer_read_than_a_blob_may_need() -> None:
    size = MAX_STORED_BYTES + 1
    with pytest.raises(Damaged):
        read_pack(SEAL, PACK, hostile(table(row(1, size, 5)), body=bytes(size)))


@given(st.binary(min_size=16, max_size=16))
def test_pack_names_lead_back_to_their_pack(pack: bytes) -> None:
    assert pack_of_name(pack_name(PackId(pack))) == pack


@pytest.mark.parametrize(
    "name",
    [
        "packs/ab/ab.pack",
        f"packs/ab/{'0' * 32}.pack",
        f"packs/AB/AB{'0' * 30}.pack",
        f"packs/ab/ab{' ' * 2}{'0' * 28}.pack",
        f"packs/ab/ab{'0' * 30}.pack\n",
        f"packs/ab/ab{'0' * 30}",
        f"index/ab/ab{'0' * 30}.pack",
        f"packs/ab/../ab/ab{'0' * 30}.pack",
        "packs/ab/ab" + "\N{ARABIC-INDIC DIGIT ZERO}" * 30 + ".pack",
    ],
)
def test_no_other_name_is_taken_for_a_pack(name: str) -> None:
    assert pack_of_name(name) is None
