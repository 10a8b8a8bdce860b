from __future__ import annotations

import contextlib
import os
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.format.compression import RAW, ZSTD, compress, decompress


@given(
    st.binary(max_size=3000) | st.builds(lambda part, times: part * times, st.binary(max_size=30), st.integers(0, 99))
)
def test_whatever_is_compressed_comes_back(plain: bytes) -> None:
    packed = compress(plain)
    assert decompress(packed, len(plain)) == plain
    assert len(packed) <= len(plain) + 1


def test_only_what_shrinks_is_compressed() -> None:
    assert compress(bytes(4096))[0] == ZSTD
    assert compress(os.urandom(4096))[0] == RAW
    assert compress(b"") == bytes((RAW,))


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_long_piece_is_compressed_when_it_shrinks_where_it_begins_in_its_middle_or_at_its_end(place: float) -> None:
    noise = bytearray(os.urandom(1_000_000))
    start = int(place * 400_000)
    noise[start : start + 600_000] = bytes(600_000)
    packed = compress(bytes(noise))
    assert packed[0] == ZSTD
    assert decompress(packed, len(noise)) == noise


def test_a_long_piece_that_shrinks_nowhere_is_not_tried_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    class Counting:
        def compress(self, plain: bytes) -> bytes:
            tried.append(len(plain))
            return plain

    plain = os.urandom(100_000)
    monkeypatch.setattr("storage.format.compression._tools", SimpleNamespace(compressor=Counting()))
    assert compress(plain) == bytes((RAW,)) + plain
    assert sum(tried) < 20_000


@given(st.binary(max_size=400), st.integers(0, 2000))
def test_bytes_of_any_kind_give_damage_or_the_length_that_was_asked_for(packed: bytes, length: int) -> None:
    with contextlib.suppress(Damaged):
        assert len(decompress(packed, length)) == length


@given(st.integers(0, 10_000), st.data())
def test_a_spoiled_frame_is_damage_or_has_the_right_length(size: int, data: st.DataObject) -> None:
    packed = bytearray(compress(bytes(size)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(Damaged):
        assert len(decompress(bytes(packed), size)) == size


@pytest.mark.parametrize("length", [0, 1, 4095, 4097])
def test_another_length_than_the_one_told_is_damage(length: int) -> None:
    for packed in (compress(bytes(4096)), compress(os.urandom(4096))):
        with pytest.raises(Damaged):
            decompress(packed, length)


def test_a_bomb_is_refused_before_room_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytes((ZSTD,)) + zstandard.ZstdCompressor().compress(bytes(64 * 1024 * 1024))

    class Unused:
        def decompress(self, *_: object, **__: object) -> bytes:
            raise AssertionError("the bomb was unpacked")

    monkeypatch.setattr("storage.format.compression._tools.decompressor", Unused())
    with pytest.raises(Damaged):
        decompress(bomb, 4096)


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    frame = bytearray(zstandard.ZstdCompressor().compress(bytes(1024 * 1024)))
    # Frame header descriptor: a content size of four bytes follows it, single segment (RFC 8878 §3.1.1.1).
    assert zstandard.frame_content_size(bytes(frame)) == 1024 * 1024
    at = bytes(frame).index((1024 * 1024).to_bytes(4, "little"))
    frame[at : at + 4] = (4096).to_bytes(4, "little")
    assert zstandard.frame_content_size(bytes(frame)) == 4096
    with pytest.raises(Damaged):
        decompress(bytes((ZSTD,)) + bytes(frame), 4096)


def test_a_frame_that_does_not_tell_its_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(4096))
    with pytest.raises(Damaged):
        decompress(bytes((ZSTD,)) + frame, 4096)


def test_bytes_behind_the_frame_are_refused() -> None:
    with pytest.raises(Damaged):
        decompress(compress(bytes(4096)) + b"\0", 4096)
    with pytest.raises(Damaged):
        decompress(bytes((ZSTD,)) + zstandard.ZstdCompressor().compress(b"") + b"\0", 0)


@pytest.mark.parametrize("packed", [b"", b"\x02abc", b"\xff"])
def test_an_unknown_method_is_damage(packed: bytes) -> None:
    with pytest.raises(Damaged):
        decompress(packed, 3)
