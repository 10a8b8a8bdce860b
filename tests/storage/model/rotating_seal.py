"""A seal as one who opened the repository at some moment has it: with the keys up to the newest of that moment."""

from __future__ import annotations

from storage.errors import WrittenUnderNewerKey
from storage.format.sealing import HEADER_BYTES, OpenSeal, Purpose

MOST_KEYS = 0xFFFF
_SCHEME = bytes((7,))


class RotatingSeal(OpenSeal):
    """Tells keys apart by their numbers and hides nothing, so that blob ids are those of an open repository."""

    def __init__(self, repository_id: bytes, newest: int) -> None:
        super().__init__(repository_id)
        self.generation = newest

    def generation_of(self, sealed: bytes, /) -> int:
        return int.from_bytes(sealed[1:HEADER_BYTES], "little")

    def seal(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        return _SCHEME + self.generation.to_bytes(2, "little") + super().seal(purpose, name, plain)

    def unseal(self, purpose: Purpose, name: bytes, sealed: bytes) -> bytes:
        if sealed[:1] == _SCHEME and self.generation_of(sealed) > self.generation:
            raise WrittenUnderNewerKey(f"The {purpose} was written under a newer key", "This is a test")
        return super().unseal(purpose, name, sealed[HEADER_BYTES:])
