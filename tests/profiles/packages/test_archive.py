from __future__ import annotations

import hashlib
import io
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.errors import SourceUnreadable
from profiles.packages.archive import PIECE_BYTES, opened_archive
from profiles.packages.bounds import Bounds
from profiles.packages.unreadable import Unreadable
from tests.profiles.packages.made import zipped

LARGE = random.Random(1).randbytes(3 * PIECE_BYTES + 17)
MEMBERS = {"meta": b"\x08\x03", "0": b"zero", "1": b"", "2": LARGE, "ü": b"umlaut"}

BOUNDS = Bounds(members=100, directory_bytes=200_000)


def contents(package: bytes) -> dict[str, bytes]:
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive:
        return {name: b"".join(archive.pieces(name)) for name in archive.names()}


def refused(package: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why), opened_archive(io.BytesIO(package), "it", BOUNDS):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_in_pieces_of_a_mebibyte_at_most(method: int) -> None:
    with opened_archive(io.BytesIO(zipped(MEMBERS.items(), method)), "it", BOUNDS) as archive:
        for name, content in MEMBERS.items():
            pieces = list(archive.pieces(name))
            assert b"".join(pieces) == content
            assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
            assert archive.unpacked_bytes(name) == len(content)
            assert archive.refusal(name) is None
        assert set(archive.names()) == set(MEMBERS)
        assert "3" not in archive
        assert archive.refusal("3") == "the package holds no member 3"


@pytest.mark.parametrize("garbage", [b"", b"trailing garbage", b"\0" * 60_000])
@pytest.mark.parametrize("before", [b"", b"leading garbage"])
def test_garbage_around_it_changes_nothing(before: bytes, garbage: bytes) -> None:
    assert contents(before + zipped(MEMBERS.items()) + garbage) == MEMBERS


def test_a_comment_is_no_harm() -> None:
    assert contents(zipped(MEMBERS.items(), comment=b"a comment")) == MEMBERS


class _Zip64(io.RawIOBase):
    """Can only be written to, so that zipfile puts sizes after the members."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.content += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def test_zip64_and_sizes_that_follow_are_read() -> None:
    out = _Zip64()
    with zipfile.ZipFile(cast("BinaryIO", out), "w") as archive:
        for name, content in MEMBERS.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert contents(bytes(out.content)) == MEMBERS


def test_what_is_no_zip_file_is_told_apart() -> None:
    refused(b"", "it is empty")
    refused(b"hello", "packages are zip files")
    refused(b"SQLite format 3\0" + bytes(4_000), "a collection itself")
    refused(zipped(MEMBERS.items())[:-30], "cut short")
    refused(zipped(MEMBERS.items())[: len(LARGE)], "cut short")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_in_one_go_are_refused(method: int) -> None:
    with opened_archive(io.BytesIO(zipped([("0", b"content")], method)), "it", BOUNDS) as archive:
        assert archive.refusal("0") == "its member 0 is compressed in a way that Anki does not know"
        with pytest.raises(Unreadable, match="in a way that Anki does not know"):
            list(archive.pieces("0"))


def patched(package: bytes, name: str, offset: int, layout: str, value: int, *, local: bool = False) -> bytes:
    """The package with one number of the member's directory entry (and local header) replaced: APPNOTE 4.3.12."""
    spoilt = bytearray(package)
    at = package.rindex(name.encode(), 0, package.rindex(b"PK\x05\x06")) - 46
    assert package[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(layout, spoilt, at + offset, value)
    if local:
        at = package.index(b"PK\x03\x04" + package[at + 6 : at + 12])
        struct.pack_into(layout, spoilt, at + offset - 2, value)
    return bytes(spoilt)


FLAGS, METHOD, CRC, PACKED, SIZE, PLACE = 8, 10, 16, 20, 24, 42


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_encrypted_members_are_refused(flag: int) -> None:
    package = patched(zipped([("secret", b"content"), ("0", b"zero")]), "secret", FLAGS, "<H", flag)
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive:
        assert archive.refusal("secret") == "its member secret is encrypted"
        assert b"".join(archive.pieces("0")) == b"zero"


@pytest.mark.parametrize("method", [1, 9, 93, 99, 65_535])
def test_unknown_methods_are_refused(method: int) -> None:
    package = patched(zipped([("other", b"content")]), "other", METHOD, "<H", method)
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive, pytest.raises(Unreadable, match="not know"):
        list(archive.pieces("other"))


@pytest.mark.parametrize("claim", [0, 6, 8, 4_000_000_000])
def test_a_stored_member_that_lies_about_its_size_is_refused(claim: int) -> None:
    package = patched(zipped([("liar", b"content")]), "liar", SIZE, "<L", claim)
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive, pytest.raises(Unreadable, match="claims a size"):
        list(archive.pieces("liar"))


@pytest.mark.parametrize("claim", [0, 1, 6_999, 7_001, 4_000_000_000])
def test_a_deflated_member_that_lies_about_its_size_gives_no_wrong_bytes(claim: int) -> None:
    package = patched(zipped([("liar", b"content" * 1_000)], zipfile.ZIP_DEFLATED), "liar", SIZE, "<L", claim)
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive, pytest.raises(Unreadable, match="is damaged"):
        list(archive.pieces("liar"))


def test_a_member_that_is_not_where_the_directory_says_is_refused() -> None:
    package = zipped([("0", b"zero"), ("last", b"content")])
    refused(patched(package, "last", PACKED, "<L", 4_000_000_000), "does not fit")
    refused(patched(package, "last", PLACE, "<L", 4_000_000_000), "does not fit")
    elsewhere = io.BytesIO(patched(package, "last", PLACE, "<L", 36))
    with opened_archive(elsewhere, "it", BOUNDS) as archive, pytest.raises(Unreadable, match="is damaged"):
        list(archive.pieces("last"))


def test_members_that_overlap_are_refused() -> None:
    """A quine of one member that many names share: what makes a zip bomb of this kind."""
    package = zipped([("first", LARGE), ("second", b"one"), ("third", b"two")])
    refused(patched(patched(package, "second", PLACE, "<L", 0), "second", PACKED, "<L", len(LARGE)), "overlap")
    refused(patched(package, "third", PLACE, "<L", 100), "overlap")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused_and_no_other() -> None:
    package = zipped([("0", b"first"), ("1", b"one"), ("0", b"second")])
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive:
        assert list(archive.names()) == ["0", "1"]
        assert "several members 0" in str(archive.refusal("0"))
        with pytest.raises(Unreadable, match="several members 0"):
            list(archive.pieces("0"))
        assert b"".join(archive.pieces("1")) == b"one"


def test_a_zero_byte_in_a_name_makes_no_other_name_of_it() -> None:
    package = zipped([("metaX", b"hidden")]).replace(b"metaX", b"meta\0")
    with opened_archive(io.BytesIO(package), "it", BOUNDS) as archive:
        assert "meta" not in archive


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_flipped_bit_of_a_member_is_found(method: int) -> None:
    content = {"only": hashlib.sha256(b"no two stretches alike").hexdigest().encode() * 2}
    package = zipped(content.items(), method)
    found = 0
    members = range(34 * 8, package.index(b"PK\x01\x02") * 8)
    for bit in members:
        spoilt = bytearray(package)
        spoilt[bit // 8] ^= 1 << bit % 8
        try:
            assert contents(bytes(spoilt)) == content
        except Unreadable:
            found += 1
    # Deflated, the same may be said in more than one way.
    assert found == len(members) if method == zipfile.ZIP_STORED else found > 0.9 * len(members)


def test_more_members_than_allowed_are_refused_before_they_are_made() -> None:
    many = zipped([(str(number), b"") for number in range(20_000)])
    bounds = Bounds(members=19_999)
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="more than 19,999 files"), opened_archive(io.BytesIO(many), "it", bounds):
            pass
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(many)
    with opened_archive(io.BytesIO(many), "it", Bounds(members=20_000)) as archive:
        assert sum(1 for _ in archive.names()) == 20_000


def test_a_directory_larger_than_allowed_is_never_read() -> None:
    many = zipped([(str(number) + "x" * 5_000, b"") for number in range(90)])
    refused(many, "more than 100 files")


@settings(deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_zip_file_it_is_read_right_or_refused(data: st.DataObject) -> None:
    small = {"meta": b"\x08\x03", "0": b"zero" * 9, "empty": b"", "ü": b"umlaut"}
    package = bytearray(zipped(small.items(), data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(package) - 1))
        match data.draw(st.sampled_from(["flip", "set", "cut", "insert"])):
            case "flip":
                package[place] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                package[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
            case "cut":
                del package[place : place + data.draw(st.integers(1, 30))]
            case _:
                package[place:place] = data.draw(st.binary(min_size=1, max_size=30))
        if not package:
            return
    try:
        with opened_archive(io.BytesIO(bytes(package)), "it", BOUNDS) as archive:
            for name in archive.names():
                try:
                    content = b"".join(archive.pieces(name))
                except Unreadable:
                    continue
                # A name may be spoilt without a sign, content only together with its checksum.
                assert content in small.values()
    except Unreadable:
        pass


class _Failing(io.BytesIO):
    failing = False

    def read(self, length: int | None = -1) -> bytes:
        if self.failing:
            raise OSError(5, "Input/output error")
        return super().read(length)


def test_a_disk_that_fails_is_not_taken_for_a_damaged_file() -> None:
    file = _Failing(zipped(MEMBERS.items()))
    with opened_archive(file, "a disk", BOUNDS) as archive:
        file.failing = True
        with pytest.raises(SourceUnreadable, match="a disk could not be read: Input/output error"):
            list(archive.pieces("2"))
    with pytest.raises(SourceUnreadable), opened_archive(file, "a disk", BOUNDS):
        pass


class _Sluggish(io.BytesIO):
    def read(self, length: int | None = -1) -> bytes:
        return super().read(length if length is None or length < 0 else min(length, 1_000))


def test_a_file_that_gives_less_than_it_is_asked_for_is_read_whole() -> None:
    with opened_archive(_Sluggish(zipped(MEMBERS.items())), "it", BOUNDS) as archive:
        assert {name: b"".join(archive.pieces(name)) for name in archive.names()} == MEMBERS


def test_the_file_stays_open(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(zipped(MEMBERS.items()))
    with (tmp_path / "it").open("rb") as file:
        with opened_archive(file, "it", BOUNDS):
            pass
        with pytest.raises(Unreadable), opened_archive(io.BytesIO(b"no zip"), "it", BOUNDS):
            pass
        assert not file.closed
