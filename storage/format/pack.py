"""Packs: stored objects that hold many blobs and say themselves which. `docs/format.md` §4.

    magic (16) | pack id (16) | sealed blobs, back to back | padding | sealed table | table length (u32) | magic (12)

The table lists each blob in order as kind (u8), id (32 bytes), stored length (u32), plain length (u32); numbers are
little-endian. It lies at the end, so that a pack is written in one go and its table found with one read of its tail.
The nodes of listings stand last, so that whoever walks a snapshot fetches them with few requests. Where the seal hides
what a pack holds, padding hides how long it is: the sizes of a shared deck's pictures are as good as its name.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from storage.errors import Damaged
from storage.format.blob import MAX_BLOB_BYTES, PACK_ID_BYTES, BlobId, BlobKind, Location, PackId
from storage.format.compression import compress, decompress, unpacks_to
from storage.format.sealing import MOST_ADDED_BYTES, TAG_BYTES, Purpose, Seal

HEAD_MAGIC = b"RECOLLECT PACK 1"
TAIL_MAGIC = b"RECOLLECTEND"
HEAD_BYTES = len(HEAD_MAGIC) + PACK_ID_BYTES
TAIL_BYTES = 4 + len(TAIL_MAGIC)

_ENTRY = struct.Struct("<B32sII")
_TABLE_LENGTH = struct.Struct("<I")
_TABLE_HEAD = struct.Struct("<II")

MAX_STORED_BYTES = MAX_BLOB_BYTES + MOST_ADDED_BYTES
"""A stored blob is never longer than this; a reader refuses to fetch a longer one."""

_LEAST_STORED_BYTES = 2 + TAG_BYTES
"""Even an empty blob is stored with a scheme byte, a method byte and a tag: a table that names more is a bomb."""

LARGEST_TABLE_BYTES = 64 * 1024 * 1024
"""No table is longer, sealed or plain: a pack of 24 MiB of nothing but the shortest blobs has one of 55 MiB."""


@dataclass(frozen=True, slots=True)
class EncodedBlob:
    """A blob as it will be stored: compressed and sealed."""

    kind: BlobKind
    id: BlobId
    length: int
    stored: bytes


@dataclass(frozen=True, slots=True)
class PackEntry:
    """A row of a pack's table, with the place worked out, and the generation of the key that the pack is sealed under.

    That is 0 without a key.
    """

    id: BlobId
    location: Location
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack, ready to be written."""

    id: PackId
    content: bytes
    entries: tuple[PackEntry, ...]


def encode_blob(seal: Seal, kind: BlobKind, blob: BlobId, plain: bytes) -> EncodedBlob:
    """Compress and seal a blob, then open it again: what can't be read back must never be stored."""
    if len(plain) > MAX_BLOB_BYTES:
        raise ValueError(f"A blob of {len(plain)} bytes is longer than any reader accepts")
    stored = seal.seal(Purpose.BLOB, _blob_name(kind, blob), compress(plain))
    encoded = EncodedBlob(kind, blob, len(plain), stored)
    if not unpacks_to(seal.unseal(Purpose.BLOB, _blob_name(kind, blob), stored), plain):
        raise Damaged(
            "A piece did not survive being compressed on this computer", "Check its memory, then run the backup again"
        )
    return encoded


def decode_blob(seal: Seal, blob: BlobId, location: Location, stored: bytes) -> bytes:
    """The plain bytes of a blob, checked against its seal and its id."""
    packed = seal.unseal(Purpose.BLOB, _blob_name(location.kind, blob), stored)
    plain = decompress(packed, location.length)
    if seal.blob_id(plain) != blob:
        raise _damaged(location.pack, "a piece in it is not the one that was stored")
    return plain


def build_pack(
    seal: Seal, pack: PackId, blobs: list[EncodedBlob], random_bytes: Callable[[int], bytes] = os.urandom
) -> Pack:
    """Lay out `blobs` as one pack. It empties the list as it goes: memory is not to hold the same twice."""
    blobs.sort(key=lambda blob: blob.kind is BlobKind.NODE)
    blobs.reverse()
    content, rows, entries = io.BytesIO(), [], []
    content.write(HEAD_MAGIC + pack)
    while blobs:
        blob = blobs.pop()
        offset = content.tell()
        content.write(blob.stored)
        rows.append(_ENTRY.pack(blob.kind, blob.id, len(blob.stored), blob.length))
        place = Location(blob.kind, pack, offset, len(blob.stored), blob.length)
        entries.append(PackEntry(blob.id, place, seal.generation))
    padding = padded_length(content.tell()) - content.tell() if seal.pads else 0
    content.write(random_bytes(padding))
    table = seal.seal(Purpose.PACK_TABLE, pack, compress_table(rows, padding))
    content.write(b"".join((table, _TABLE_LENGTH.pack(len(table)), TAIL_MAGIC)))
    return Pack(pack, content.getvalue(), tuple(entries))


def padded_length(length: int) -> int:
    """The Padmé length for `length` bytes: at most an eighth more, and one of few.

    Source: Nikitin and others, "Reducing Metadata Leakage from Encrypted Files … with PURBs" (2019), section 4.
    """
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def compress_table(rows: list[bytes], padding: int = 0) -> bytes:
    """The plain form of a table: its rows and the bytes of padding (each u32), then the rows compressed together."""
    return _TABLE_HEAD.pack(len(rows), padding) + compress(b"".join(rows))


def read_pack(seal: Seal, pack: PackId, content: bytes) -> tuple[PackEntry, ...]:
    """The table of a whole pack, which must be exactly as it was built."""
    if content[:HEAD_BYTES] != HEAD_MAGIC + pack:
        raise _damaged(pack, "it does not begin as a pack does")
    return read_table(seal, pack, len(content), content[table_start(pack, len(content), content[-TAIL_BYTES:]) :])


def table_start(pack: PackId, pack_bytes: int, tail: bytes) -> int:
    """Where the table of a pack of `pack_bytes` begins, told by its last `TAIL_BYTES` bytes."""
    if len(tail) != TAIL_BYTES or tail[4:] != TAIL_MAGIC:
        raise _damaged(pack, "it does not end as a pack does")
    start = pack_bytes - TAIL_BYTES - int(_TABLE_LENGTH.unpack(tail[:4])[0])
    if start < HEAD_BYTES:
        raise _damaged(pack, "its table is longer than the pack")
    if pack_bytes - start > LARGEST_TABLE_BYTES:
        raise _damaged(pack, "its table is longer than that of any pack")
    return start


def read_table(seal: Seal, pack: PackId, pack_bytes: int, end: bytes) -> tuple[PackEntry, ...]:
    """The entries of a pack of `pack_bytes` bytes; `end` is all of it from the table on."""
    table = seal.unseal(Purpose.PACK_TABLE, pack, end[:-TAIL_BYTES])
    blobs_end = pack_bytes - len(end)
    if len(table) < _TABLE_HEAD.size:
        raise _damaged(pack, "its table makes no sense")
    count, padding = _TABLE_HEAD.unpack_from(table)
    if count * _LEAST_STORED_BYTES + padding > blobs_end - HEAD_BYTES or count * _ENTRY.size > LARGEST_TABLE_BYTES:
        raise _damaged(pack, "its table makes no sense")
    rows = decompress(table[_TABLE_HEAD.size :], count * _ENTRY.size)
    generation = seal.generation_of(end)
    entries, offset = [], HEAD_BYTES
    for kind, blob, stored, length in _ENTRY.iter_unpack(rows):
        if (
            kind not in BlobKind._value2member_map_
            or length > MAX_BLOB_BYTES
            or stored > MAX_STORED_BYTES
            or offset + stored > blobs_end
        ):
            raise _damaged(pack, "its table makes no sense")
        entries.append(PackEntry(BlobId(blob), Location(BlobKind(kind), pack, offset, stored, length), generation))
        offset += stored
    if offset + padding != blobs_end:
        raise _damaged(pack, "its table leaves bytes unexplained")
    return tuple(entries)


def _blob_name(kind: BlobKind, blob: BlobId) -> bytes:
    return bytes((kind,)) + blob


def _damaged(pack: PackId, how: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: the pack {pack.hex()} can't be read, {how}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
