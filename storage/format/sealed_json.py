"""Small sealed records, and the frame that manifests share with them. `docs/format.md` §7, §11, §12.

The plain bytes are the length of a JSON text (`u32`) and the text compressed. The text is an object with `format` and
exactly the keys of its kind; it is sealed for that kind's purpose, under its own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.errors import Damaged, UnsupportedFormat
from storage.format.compression import compress, decompress
from storage.format.sealing import MOST_ADDED_BYTES, Purpose, Seal

_LENGTH_BYTES = 4

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What all records of one kind have in common."""

    purpose: Purpose
    version: int
    """What `format` says. A record with another number is one of another version of Recollect, and no damage."""
    keys: tuple[str, ...]
    """The keys beside `format`."""
    max_bytes: int
    """Of the JSON text: a longer one is refused before it is unpacked."""
    complaint: str
    """What is to be said of an object that is none of these, behind its name."""
    advice: str

    @property
    def largest(self) -> int:
        """Bytes of one as it is stored."""
        return self.max_bytes + MOST_ADDED_BYTES

    def write(self, seal: Seal, name: str, content: Mapping[str, Any]) -> bytes:
        """The bytes of a record stored as `name`: `content` behind its `format`, in the order in which it comes."""
        text = json.dumps({"format": self.version, **content}, separators=(",", ":")).encode()
        return seal.seal(self.purpose, name.encode(), framed(text))

    def read(self, seal: Seal, name: str, stored: bytes, parse: Callable[[dict[str, Any]], Record]) -> Record:
        """What `parse` makes of the record stored as `name`, whose keys it can rely on.

        Raises Damaged, also where `parse` raises ValueError, KeyError or TypeError, and UnsupportedFormat for another
        version's.
        """
        packed = seal.unseal(self.purpose, name.encode(), stored)
        try:
            content = json.loads(unframed(packed, self.max_bytes))
            if not isinstance(content, dict) or type(version := content.get("format")) is not int:
                raise ValueError("format")
            if version != self.version:
                raise UnsupportedFormat(
                    f"{name} was written by another version of Recollect", "Update Recollect and try again"
                )
            if content.keys() != {"format", *self.keys}:
                raise ValueError("keys")
            return parse(content)
        except (ValueError, KeyError, TypeError, RecursionError) as fault:
            raise self.damaged(name) from fault

    def damaged(self, name: str) -> Damaged:
        """What a person is to hear of an object at `name` that is none of these."""
        return Damaged(f"Damage in the repository: {name} {self.complaint}", self.advice)


def framed(text: bytes) -> bytes:
    """A JSON text as it is sealed."""
    return len(text).to_bytes(_LENGTH_BYTES, "little") + compress(text)


def unframed(packed: bytes, max_bytes: int) -> bytes:
    """The JSON text. Raises ValueError when its length is missing or above `max_bytes`, Damaged when it is not its."""
    length = int.from_bytes(packed[:_LENGTH_BYTES], "little")
    if len(packed) < _LENGTH_BYTES or length > max_bytes:
        raise ValueError("length")
    return decompress(packed[_LENGTH_BYTES:], length)
