"""Unpacking zstd from anywhere: piece by piece, however much it may swell, and told when its end is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

from zstandard import ZstdDecompressor, ZstdError

from profiles.packages.unreadable import COPY_AGAIN, Unreadable

_PIECE_BYTES: Final = 1 << 20
_LARGEST_WINDOW: Final = 1 << 27
"""What Anki accepts, being what zstd accepts unless told otherwise; Anki's own packages need at most 8 MiB."""

_SKIPPABLE: Final = 0x184D2A50  # to …5F
_RUN = 1


class _Frames:
    """Follows where frames begin and end, unpacking none: RFC 8878 §3.1.

    The library ends in silence when a stream stops in the middle of a frame; in the end of a collection that would be
    a missing page. It does check everything else, so nothing is refused here.
    """

    def __init__(self) -> None:
        self._field = b""
        self._field_bytes = 4
        self._meet: Callable[[int], None] = self._meet_magic
        self._pass_over = 0
        self._checksum_bytes = 0
        self._any = False

    @property
    def ended(self) -> bool:
        """Whether at least one frame was there, and the last one is whole."""
        return self._any and self._meet == self._meet_magic and not self._field and not self._pass_over

    def follow(self, data: bytes) -> None:
        """Take in the next bytes of the stream."""
        position = 0
        while position < len(data):
            if self._pass_over:
                step = min(self._pass_over, len(data) - position)
                self._pass_over -= step
                position += step
                continue
            taken = data[position : position + self._field_bytes - len(self._field)]
            self._field += taken
            position += len(taken)
            if len(self._field) == self._field_bytes:
                value, self._field = int.from_bytes(self._field, "little"), b""
                self._meet(value)

    def _expect(self, field_bytes: int, meet: Callable[[int], None]) -> None:
        self._field_bytes, self._meet = field_bytes, meet

    def _meet_magic(self, magic: int) -> None:
        if magic & ~0xF == _SKIPPABLE:
            self._expect(4, self._meet_skippable_size)
        else:
            self._expect(1, self._meet_descriptor)

    def _meet_skippable_size(self, size: int) -> None:
        self._pass_over = size
        self._end_frame()

    def _meet_descriptor(self, flags: int) -> None:
        single_segment = bool(flags & 0x20)
        self._checksum_bytes = 4 if flags & 0x04 else 0
        content_size_bytes = (1 if single_segment else 0, 2, 4, 8)[flags >> 6]
        dictionary_id_bytes = (0, 1, 2, 4)[flags & 0x03]
        self._pass_over = content_size_bytes + dictionary_id_bytes + (0 if single_segment else 1)
        self._expect(3, self._meet_block)

    def _meet_block(self, header: int) -> None:
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        self._pass_over = 1 if kind == _RUN else size
        if last:
            self._pass_over += self._checksum_bytes
            self._end_frame()

    def _end_frame(self) -> None:
        self._any = True
        self._expect(4, self._meet_magic)


class _Source:
    """Pieces as a file that can be read; each is handed on whole, so none may be larger than what is asked for."""

    def __init__(self, pieces: Iterator[bytes], frames: _Frames) -> None:
        self._pieces = pieces
        self._frames = frames

    def read(self, _length: int) -> bytes:
        piece = next(self._pieces, b"")
        self._frames.follow(piece)
        return piece


def unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What the frames in `pieces` (of at most 1 MiB, none empty) hold, in pieces of at most 1 MiB.

    Raises Unreadable where they stop making sense, which may be after the last piece.
    """
    frames = _Frames()
    source = cast("BinaryIO", _Source(pieces, frames))
    decompressor = ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    reader = decompressor.stream_reader(source, read_size=_PIECE_BYTES, read_across_frames=True, closefd=False)
    try:
        while piece := reader.read(_PIECE_BYTES):
            yield piece
    except ZstdError as error:
        raise Unreadable("what is compressed in it can't be unpacked", COPY_AGAIN) from error
    if not frames.ended:
        raise Unreadable("what is compressed in it is cut short", COPY_AGAIN)
