"""zstd for what shrinks; what does not is kept as it is, found by trying. `docs/format.md` §3.2."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import zstandard

from storage.errors import Damaged

RAW = 0
ZSTD = 1
_LEVEL = 3
_WORTH_IT = 0.97
"""A saving below three per cent is not worth the time that every later read would spend on it."""

_SAMPLE_BYTES = 4 * 1024
_LONG_BYTES = 8 * _SAMPLE_BYTES
"""Nearly all long pieces are pictures and sounds, which don't shrink anywhere: trying them whole took a fifth of the
time of a first backup."""


class _Tools(threading.local):
    """zstd contexts are costly to make and must not be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_tools = _Tools()


def compress(plain: bytes) -> bytes:
    """A method byte, then `plain` in the shorter of the two forms; of a long one samples tell which that is."""
    if len(plain) <= _LONG_BYTES or any(map(_shrinks, _samples(plain))):
        squeezed = _tools.compressor.compress(plain)
        if len(squeezed) < len(plain) * _WORTH_IT:
            return bytes((ZSTD,)) + squeezed
        del squeezed  # as long as a part: of those there should be few at once
    return bytes((RAW,)) + plain


def _samples(plain: bytes) -> Iterator[bytes]:
    """Its beginning, which in pictures may be a description that shrinks, its middle and its end."""
    for start in (0, (len(plain) - _SAMPLE_BYTES) // 2, len(plain) - _SAMPLE_BYTES):
        yield plain[start : start + _SAMPLE_BYTES]


def _shrinks(plain: bytes) -> bool:
    return len(_tools.compressor.compress(plain)) < len(plain) * _WORTH_IT


def decompress(packed: bytes, length: int) -> bytes:
    """The plain bytes, which must be exactly `length`; never makes room for more than that."""
    if not packed:
        raise _damaged("it is empty")
    method, body = packed[0], packed[1:]
    if method == RAW:
        plain = body
    elif method == ZSTD:
        plain = _inflate(body, length)
    else:
        raise _damaged(f"its compression method {method} is unknown")
    if len(plain) != length:
        raise _damaged(f"it holds {len(plain)} bytes instead of {length}")
    return plain


def unpacks_to(packed: bytes, plain: bytes) -> bool:
    """Whether `decompress` would give exactly `plain`; what is kept as it is, is compared where it lies."""
    if packed[:1] == bytes((RAW,)):
        return memoryview(packed)[1:] == plain
    return decompress(packed, len(plain)) == plain


def _inflate(body: bytes, length: int) -> bytes:
    """A frame says how long its content is; one that says more than `length` is refused unread (a bomb)."""
    try:
        declared = zstandard.frame_content_size(body)
        if declared != length or not length:  # nothing is never worth a frame
            raise _damaged(f"it unpacks to {declared} bytes instead of {length}")
        return _tools.decompressor.decompress(body, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as fault:
        raise _damaged("it can't be decompressed") from fault


def _damaged(how: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: a stored piece is not what was stored, {how}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
