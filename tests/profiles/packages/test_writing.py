from __future__ import annotations

import hashlib
import io
import random
import shutil
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from anki._backend import RustBackend
from anki.collection import Collection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.errors import CollectionMissing, PackageUnusable
from profiles.packages.layout import Layout
from profiles.packages.legacy import turn_back
from profiles.packages.reading import PART_BYTES, open_package
from profiles.packages.writing import MediaLost, MediaMember, WrittenPackage, write_package
from profiles.proof import prove
from tests.profiles.packages.made import MEDIA, imported, make_profile, media_in, media_of, rows

MIB = 1 << 20


class Pipe:
    """Something that can only be written to."""

    def __init__(self, most_at_once: int | None = None) -> None:
        self.content = bytearray()
        self.most_at_once = most_at_once

    def write(self, data: bytes | memoryview) -> int:
        taken = bytes(data[: self.most_at_once])
        self.content += taken
        return len(taken)


def members(media: Mapping[str, bytes]) -> list[MediaMember]:
    return [MediaMember(name, lambda content=content: iter([content])) for name, content in media.items()]  # type: ignore[misc]


def written(collection: Path, media: Iterable[MediaMember]) -> tuple[bytes, WrittenPackage]:
    pipe = Pipe()
    result = write_package(cast("BinaryIO", pipe), collection, media)
    return bytes(pipe.content), result


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_profile(tmp_path_factory.mktemp("profile") / "Ada").parent


@pytest.fixture
def collection(profile: Path) -> Path:
    return profile / "collection.anki2"


def test_anki_imports_what_was_written_and_everything_comes_back(collection: Path, tmp_path: Path) -> None:
    package, result = written(collection, members(MEDIA))

    there = imported(package, tmp_path / "there")

    assert rows(there) == rows(collection)
    assert media_in(there.parent / "collection.media") == MEDIA
    assert result == WrittenPackage(
        bytes_written=len(package),
        collection_bytes=collection.stat().st_size,
        media_files=len(MEDIA),
        media_bytes=sum(map(len, MEDIA.values())),
        left_out=(),
    )
    opened = Collection(str(there))
    assert opened.fix_integrity()[1]
    opened.close()


def test_without_media_it_is_imported_as_well(collection: Path, tmp_path: Path) -> None:
    package, result = written(collection, [])
    assert rows(imported(package, tmp_path / "there")) == rows(collection)
    assert (result.media_files, result.media_bytes) == (0, 0)


def test_a_collection_of_the_oldest_schema_is_packed_and_imported_as_well(profile: Path, tmp_path: Path) -> None:
    shutil.copytree(profile, tmp_path / "old")
    opened = Collection(str(tmp_path / "old" / "collection.anki2"))
    opened.close(downgrade=True)
    assert prove(tmp_path / "old" / "collection.anki2").schema_version == 11
    package, _result = written(tmp_path / "old" / "collection.anki2", [])
    assert rows(imported(package, tmp_path / "there")) == rows(profile / "collection.anki2")


def test_we_read_what_was_written(collection: Path, tmp_path: Path) -> None:
    package, _result = written(collection, members(MEDIA))
    with open_package(io.BytesIO(package), "it") as opened:
        opened.extract_collection(tmp_path / "out")
        assert opened.layout is Layout.LATEST
        assert opened.left_out == ()
        assert media_of(opened) == MEDIA
    assert (tmp_path / "out").read_bytes() == collection.read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(media=st.dictionaries(st.text(max_size=130), st.lists(st.binary(max_size=200), max_size=3), max_size=8))
def test_anki_takes_every_name_that_was_not_left_out(
    media: dict[str, list[bytes]], profile: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    small = profile.parent / "small.anki2"
    if not small.exists():
        Collection(str(small)).close()
    package, result = written(
        small,
        [MediaMember(name, lambda parts=parts: parts) for name, parts in media.items()],  # type: ignore[misc]
    )

    there = imported(package, tmp_path_factory.mktemp("names") / "there")

    folder = there.parent / "collection.media"
    kept = media_in(folder) if folder.exists() else {}
    assert len(kept) == result.media_files == len(media) - len(result.left_out)
    assert all(kept[name] == b"".join(media[name]) for name in kept)


REFUSED = ["e\u0301.png", "con.txt", "a:b.png", "trailing.", "a\xa0b", "x" * 121, "🥰.png", "../evil", "\udcff", ""]


def test_names_that_anki_refuses_are_left_out_and_said(collection: Path, tmp_path: Path) -> None:
    media = {"first.png": b"first", **dict.fromkeys(REFUSED, b"refused"), "last.png": b"last"}
    package, result = written(collection, members(media))
    assert media_in(imported(package, tmp_path / "there").parent / "collection.media") == {
        "first.png": b"first",
        "last.png": b"last",
    }
    assert len(result.left_out) == len(REFUSED)
    assert result.left_out[1] == ("The media file 'con.txt' is not in the package: Windows keeps its name for a device")


def test_anki_would_have_refused_the_whole_package_for_each_of_them(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiles.packages.writing.left_out_by_anki", lambda _name: None)
    for number, name in enumerate(REFUSED):
        if name == "\udcff":
            continue  # can't even be written down
        package, _result = written(collection, members({name: b"refused"}))
        with pytest.raises(Exception, match="not a valid"):
            imported(package, tmp_path / str(number))


def test_a_file_that_comes_twice_is_packed_once(collection: Path) -> None:
    package, result = written(collection, [*members({"a": b"first"}), *members({"a": b"second"})])
    assert result.left_out == ("The media file 'a' is not in the package: it comes twice",)
    with open_package(io.BytesIO(package), "it") as opened:
        assert media_of(opened) == {"a": b"first"}


def test_the_same_content_makes_the_same_bytes(collection: Path) -> None:
    assert written(collection, members(MEDIA)) == written(collection, members(MEDIA))


def test_a_file_that_takes_little_at_a_time_gets_everything(collection: Path) -> None:
    pipe = Pipe(most_at_once=1_000)
    result = write_package(cast("BinaryIO", pipe), collection, members(MEDIA))
    assert bytes(pipe.content) == written(collection, members(MEDIA))[0]
    assert result.bytes_written == len(pipe.content)


def test_the_members_stand_in_ankis_order_and_without_a_note_for_old_ankis(collection: Path) -> None:
    """An Anki before 2.1.50 would put the note in the collection's place: qt/aqt/importing.py, _replaceWithApkg."""
    package, _result = written(collection, members({"a": b"a", "b": b"b"}))
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.namelist() == ["meta", "collection.anki21b", "0", "1", "media"]
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
        # Each header leaves room for sizes beyond 4 GiB (APPNOTE 4.4.3: version 4.5).
        assert {member.extract_version for member in archive.infolist()} == {45}
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_old_anki_is_told_before_it_has_touched_its_collection(collection: Path) -> None:
    """The very steps of Anki 2.1.49; what it raises comes before it opens its own collection for writing."""
    package, _result = written(collection, [])
    archive = zipfile.ZipFile(io.BytesIO(package))
    assert "collection.anki21" not in archive.namelist()
    with pytest.raises(KeyError):
        archive.open("collection.anki2")


def test_bytes_are_told_as_they_come(collection: Path) -> None:
    heard: list[int] = []
    result = write_package(cast("BinaryIO", Pipe()), collection, members(MEDIA), heard.append)
    assert sum(heard) == result.collection_bytes + result.media_bytes


class _Lost(Exception):
    pass


def lost() -> Iterator[bytes]:
    yield b"the beginning"
    raise _Lost


def test_what_breaks_off_is_no_package_and_can_not_be_taken_for_one(collection: Path, tmp_path: Path) -> None:
    pipe = Pipe()
    with pytest.raises(_Lost):
        write_package(cast("BinaryIO", pipe), collection, [*members({"a": b"a"}), MediaMember("b", lost)])
    package = bytes(pipe.content)
    assert b"PK\x05\x06" not in package
    with pytest.raises(PackageUnusable, match="cut short"), open_package(io.BytesIO(package), "it"):
        pass
    with pytest.raises(Exception, match=r"Zip|zip|valid"):
        imported(package, tmp_path / "there")


def half() -> Iterator[bytes]:
    yield b"the beginning"
    raise MediaLost


@pytest.mark.parametrize("layout", [Layout.LATEST, Layout.LEGACY2])
def test_a_file_that_can_not_be_had_to_its_end_is_not_in_the_package_and_all_others_are(
    collection: Path, tmp_path: Path, layout: Layout
) -> None:
    pipe = Pipe()
    media = [MediaMember("gone", half), *members({"a": b"a"}), MediaMember("gone too", half), *members({"b": b"b"})]
    old = turn_back(collection, tmp_path / "old")
    result = write_package(cast("BinaryIO", pipe), old, [*media, MediaMember("last", half)], layout=layout)
    assert (result.media_files, result.media_bytes) == (2, 2)
    assert result.lost == ("gone", "gone too", "last")
    with zipfile.ZipFile(io.BytesIO(pipe.content)) as archive:
        assert archive.namelist()[2:] == ["0", "1", "media"]
        assert archive.testzip() is None
    there = imported(bytes(pipe.content), tmp_path / "there")
    assert media_in(there.parent / "collection.media") == {"a": b"a", "b": b"b"}
    assert rows(there) == rows(collection)


class _Full:
    def write(self, _data: bytes) -> int:
        raise OSError(28, "No space left on device")


def test_what_the_file_raises_passes_through(collection: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_package(cast("BinaryIO", _Full()), collection, [])


def test_a_collection_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CollectionMissing):
        write_package(cast("BinaryIO", Pipe()), tmp_path / "none.anki2", [])


class _Hash:
    def __init__(self) -> None:
        self.length = 0

    def write(self, data: bytes | memoryview) -> int:
        self.length += len(data)
        return len(data)


def test_a_large_file_is_never_in_memory_whole(collection: Path) -> None:
    block = random.Random(1).randbytes(PART_BYTES)
    out = _Hash()
    tracemalloc.start()
    try:
        write_package(cast("BinaryIO", out), collection, [MediaMember("large", lambda: (block for _ in range(12)))])
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert out.length > 12 * PART_BYTES
    assert peak < 5 * PART_BYTES


def test_more_files_than_a_plain_zip_file_can_count_are_written_and_read(collection: Path) -> None:
    count = 66_000
    package, result = written(collection, (MediaMember(f"{number}.txt", lambda: ()) for number in range(count)))
    assert result.media_files == count
    with open_package(io.BytesIO(package), "it") as opened:
        assert len(opened.media) == count
        assert opened.media[-1].name == f"{count - 1}.txt"
        assert list(opened.parts(opened.media[-1])) == []


@pytest.mark.torture
def test_a_media_file_of_more_than_four_gibibytes_goes_through_anki_and_back(collection: Path, tmp_path: Path) -> None:
    block = random.Random(2).randbytes(PART_BYTES)  # longer than any window: zstd can't shrink it
    times = 4 * 128 + 3

    def digest_of(parts: Iterable[bytes]) -> tuple[int, bytes]:
        digest, length = hashlib.sha256(), 0
        for part in parts:
            digest.update(part)
            length += len(part)
        return length, digest.digest()

    original = digest_of(block for _ in range(times))
    assert original[0] > 1 << 32
    with (tmp_path / "large.colpkg").open("wb") as out:
        write_package(
            out, collection, [MediaMember("large.bin", lambda: (block for _ in range(times))), *members({"b": b"b"})]
        )

    with (tmp_path / "large.colpkg").open("rb") as file, open_package(file, "large") as opened:
        assert [media.size for media in opened.media] == [None, 1]
        assert digest_of(opened.parts(opened.media[0])) == original
    RustBackend().import_collection_package(
        col_path=str(tmp_path / "collection.anki2"),
        backup_path=str(tmp_path / "large.colpkg"),
        media_folder=str(tmp_path / "collection.media"),
        media_db=str(tmp_path / "collection.media.db2"),
    )
    with (tmp_path / "collection.media" / "large.bin").open("rb") as file:
        assert digest_of(iter(lambda: file.read(PART_BYTES), b"")) == original
    assert rows(tmp_path / "collection.anki2") == rows(collection)
