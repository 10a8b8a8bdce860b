"""Prints the example of `docs/format.md` §4: `python -m tests.storage.format.example_pack`."""

from __future__ import annotations

from storage.format.blob import BlobKind, PackId
from storage.format.pack import build_pack, encode_blob
from storage.format.sealing import OpenSeal

REPOSITORY_ID = bytes(range(16))
PACK = PackId(bytes(range(0xA0, 0xB0)))
BLOBS = ((BlobKind.DATA, b"Hello, Anki!"), (BlobKind.PAGE, bytes(512)))


def example() -> bytes:
    """A pack of two blobs: one that is stored as it is, one that is compressed."""
    seal = OpenSeal(REPOSITORY_ID)
    return build_pack(
        seal, PACK, (encode_blob(seal, kind, seal.blob_id(plain), plain) for kind, plain in BLOBS)
    ).content


if __name__ == "__main__":
    content = example()
    for start in range(0, len(content), 16):
        print(f"{start:04x}  {content[start : start + 16].hex(' ')}")
