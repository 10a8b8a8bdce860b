from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.packages.unreadable import Unreadable
from profiles.packages.zstd_stream import unpacked

MIB = 1 << 20


def in_pieces(data: bytes, piece_bytes: int) -> Iterator[bytes]:
    return iter([data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)])


def frame(content: bytes, *, checksum: bool = False, sized: bool = False, level: int = 3) -> bytes:
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=sized)
    if sized:
        return compressor.compress(content)
    stream = compressor.compressobj()
    return stream.compress(content) + stream.flush()


def skippable(content: bytes) -> bytes:
    return (0x184D2A53).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


CONTENTS = st.one_of(
    st.binary(max_size=2_000),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=50), st.integers(1, 20_000)),
    st.builds(lambda seed: random.Random(seed).randbytes(300_000), st.integers(0, 3)),
)
FRAMES = st.builds(
    lambda content, checksum, sized, level: (content, frame(content, checksum=checksum, sized=sized, level=level)),
    CONTENTS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([-5, 1, 3, 12]),
)


@settings(deadline=None)
@given(st.lists(FRAMES, min_size=1, max_size=4), st.integers(1, MIB), st.booleans())
def test_frames_of_all_kinds_are_unpacked_however_they_are_cut(
    frames: list[tuple[bytes, bytes]], piece_bytes: int, skip: bool
) -> None:
    stream = b"".join(packed + skippable(b"passed over") * skip for _content, packed in frames)
    piece_bytes = max(piece_bytes, len(stream) // 2_000 + 1)
    assert b"".join(unpacked(in_pieces(stream, piece_bytes))) == b"".join(content for content, _packed in frames)


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_stream_that_is_cut_short_anywhere_is_told(made: tuple[bytes, bytes], data: st.DataObject) -> None:
    _content, packed = made
    kept = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(Unreadable):
        list(unpacked(in_pieces(packed[:kept], 1 << 16)))


def test_each_cut_of_a_small_stream_is_told() -> None:
    packed = frame(b"one" * 50, checksum=True) + skippable(b"two") + frame(b"")
    wholes = {len(frame(b"one" * 50, checksum=True)), len(packed) - len(frame(b"")), len(packed)}
    for kept in range(len(packed)):
        if kept in wholes:
            continue
        with pytest.raises(Unreadable):
            list(unpacked(in_pieces(packed[:kept], 7)))


@pytest.mark.parametrize("garbage", [b"\0", b"garbage after the end", b"\x28\xb5\x2f"])
def test_what_follows_the_last_frame_must_be_one(garbage: bytes) -> None:
    with pytest.raises(Unreadable):
        list(unpacked(iter([frame(b"content") + garbage])))


def test_nothing_is_no_stream() -> None:
    with pytest.raises(Unreadable, match="cut short"):
        list(unpacked(iter([])))


@given(st.binary(max_size=400))
def test_any_bytes_are_unpacked_or_told_to_be_no_stream(noise: bytes) -> None:
    for stream in (noise, b"\x28\xb5\x2f\xfd" + noise):
        try:
            list(unpacked(in_pieces(stream, 50)))
        except Unreadable:
            continue


def test_a_frame_that_wants_a_gigabyte_of_window_is_refused() -> None:
    # RFC 8878 §3.1.1.1.2: an exponent of 21 over 10 bits.
    with pytest.raises(Unreadable):
        list(unpacked(iter([b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"])))


def test_what_swells_ten_thousandfold_is_never_in_memory_whole() -> None:
    bomb = frame(bytes(200 * MIB))
    assert len(bomb) < MIB
    total = 0
    tracemalloc.start()
    try:
        for piece in unpacked(in_pieces(bomb, MIB)):
            assert len(piece) <= MIB
            total += len(piece)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 200 * MIB
    assert peak < 20 * MIB


def test_what_goes_wrong_while_pieces_are_fetched_passes_through() -> None:
    def pieces() -> Iterator[bytes]:
        yield frame(b"x" * MIB)[:50]
        raise LookupError

    with pytest.raises(LookupError):
        list(unpacked(pieces()))
