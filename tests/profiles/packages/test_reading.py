from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import sqlite3
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from anki.collection import Collection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.errors import PackagedMediaUnusable, PackageUnusable, TargetUnusable
from profiles.packages.bounds import Bounds
from profiles.packages.layout import Layout
from profiles.packages.reading import PART_BYTES, PackagedMedia, open_package, open_package_at
from profiles.proof import prove
from tests.profiles.packages.made import (
    MEDIA,
    compressed,
    latest,
    latest_map,
    latest_members,
    legacy,
    make_profile,
    media_of,
    meta,
    rows,
    zipped,
)

MIB = 1 << 20
COLLECTION = b"SQLite format 3\0" + random.Random(2).randbytes(5_000)
ENTRIES = (("a.png", b"first" * 40), ("empty", b""), ("日本.mp3", random.Random(3).randbytes(2_000)))


@dataclass(frozen=True)
class Taken:
    layout: Layout
    collection: bytes
    media: dict[str, bytes]
    left_out: tuple[str, ...]


def taken(package: bytes, folder: Path, bounds: Bounds | None = None, named: str = "it.colpkg") -> Taken:
    target = folder / "taken.anki2"
    target.unlink(missing_ok=True)
    with open_package(io.BytesIO(package), named, bounds=bounds) as opened:
        opened.extract_collection(target)
        return Taken(opened.layout, target.read_bytes(), media_of(opened), opened.left_out)


def refused(package: bytes, folder: Path, why: str, bounds: Bounds | None = None) -> PackageUnusable:
    with pytest.raises(PackageUnusable, match=why) as raised:
        taken(package, folder, bounds)
    assert str(raised.value).startswith("The package it.colpkg can't be used: ")
    assert raised.value.code == "package-unusable"
    assert not (folder / "taken.anki2").exists()
    return raised.value


# What Anki makes


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_profile(tmp_path_factory.mktemp("profile") / "Ada").parent


def exported(profile: Path, folder: Path, *, old: bool, include_media: bool = True) -> Path:
    shutil.copytree(profile, folder / "copy")
    collection = Collection(str(folder / "copy" / "collection.anki2"))
    collection.export_collection_package(str(folder / "made.colpkg"), include_media=include_media, legacy=old)
    return folder / "made.colpkg"


@pytest.mark.parametrize(("old", "layout"), [(False, Layout.LATEST), (True, Layout.LEGACY2)])
def test_what_anki_exports_is_read_equal(profile: Path, tmp_path: Path, old: bool, layout: Layout) -> None:
    package = exported(profile, tmp_path, old=old)

    with package.open("rb") as file, open_package(file, str(package)) as opened:
        opened.extract_collection(tmp_path / "out.anki2")
        assert opened.layout is layout
        assert opened.left_out == ()
        assert media_of(opened) == MEDIA
        assert {media.name: media.size for media in opened.media} == {
            name: len(content) for name, content in MEDIA.items()
        }
        assert (opened.collection_bytes is None) is (layout is Layout.LATEST)

    assert rows(tmp_path / "out.anki2") == rows(profile / "collection.anki2")
    assert prove(tmp_path / "out.anki2").schema_version == (11 if old else 18)
    if not old:
        assert (tmp_path / "out.anki2").read_bytes() == (profile / "collection.anki2").read_bytes()


def test_anki_and_we_agree_on_the_bytes_of_a_legacy_package(profile: Path, tmp_path: Path) -> None:
    package = exported(profile, tmp_path, old=True, include_media=False)
    result = taken(package.read_bytes(), tmp_path)
    with zipfile.ZipFile(package) as archive:
        assert result.collection == archive.read("collection.anki21") != archive.read("collection.anki2")
    assert result.media == {}


def test_an_automatic_backup_is_read_equal(profile: Path, tmp_path: Path) -> None:
    shutil.copytree(profile, tmp_path / "copy")
    (tmp_path / "backups").mkdir()
    collection = Collection(str(tmp_path / "copy" / "collection.anki2"))
    assert collection.create_backup(backup_folder=str(tmp_path / "backups"), force=True, wait_for_completion=True)
    collection.close()
    (backup,) = (tmp_path / "backups").iterdir()

    result = taken(backup.read_bytes(), tmp_path)

    assert result.layout is Layout.LATEST
    assert result.media == {}
    assert result.left_out == ()
    assert rows(tmp_path / "taken.anki2") == rows(profile / "collection.anki2")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("schema", [11, 18])
def test_backups_from_before_the_new_layouts_are_read_equal(
    profile: Path, tmp_path: Path, schema: int, method: int
) -> None:
    """Anki 2.1.28 to 2.1.49 packed the collection as it lay there, of whichever schema."""
    path = profile / "collection.anki2"
    if schema == 11:
        with zipfile.ZipFile(exported(profile, tmp_path, old=True)) as archive:
            path = Path(archive.extract("collection.anki21", tmp_path))
    package = zipped([("collection.anki2", path.read_bytes()), ("media", b"{}")], method)

    result = taken(package, tmp_path)

    assert result == Taken(Layout.LEGACY1, path.read_bytes(), {}, ())
    assert prove(tmp_path / "taken.anki2").schema_version == schema
    assert rows(tmp_path / "taken.anki2") == rows(profile / "collection.anki2")


# Telling layouts apart


@pytest.mark.parametrize(
    ("members", "layout"),
    [
        ({"collection.anki2": COLLECTION}, Layout.LEGACY1),
        ({"meta": meta(1), "collection.anki2": COLLECTION}, Layout.LEGACY1),
        ({"collection.anki21": COLLECTION, "collection.anki2": b"note"}, Layout.LEGACY2),
        ({"meta": meta(2), "collection.anki21": COLLECTION, "collection.anki2": b"note"}, Layout.LEGACY2),
        ({"meta": meta(2), "collection.anki21": COLLECTION}, Layout.LEGACY2),
        (latest_members(COLLECTION), Layout.LATEST),
    ],
)
def test_the_real_collection_is_found_and_never_the_note_for_old_ankis(
    members: dict[str, bytes], layout: Layout, tmp_path: Path
) -> None:
    assert taken(zipped(members.items()), tmp_path) == Taken(layout, COLLECTION, {}, ())


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({}, "holds no collection"),
        ({"media": b"{}"}, "holds no collection"),
        ({"meta": meta(3), "collection.anki2": b"note", "media": compressed(b"")}, r"no collection.anki21b, only coll"),
        ({"meta": meta(2), "collection.anki2": b"note"}, r"no collection.anki21, only collection.anki2\)"),
        ({"meta": meta(2), "collection.anki21b": b"x"}, r"no collection.anki21, only"),
        ({"meta": meta(1), "collection.anki2": b"note", "collection.anki21": b"x"}, "only a note asking for a newer"),
        ({"meta": meta(1), "collection.anki2": b"note", "collection.anki21b": b"x"}, "only a note asking for a newer"),
        ({"collection.anki21b": compressed(COLLECTION), "collection.anki2": b"note"}, "meta is missing"),
        ({**latest_members(COLLECTION), "meta": meta(4)}, "an Anki newer than this Recollect knows"),
        ({**latest_members(COLLECTION), "meta": b""}, "an Anki newer than this Recollect knows"),
        ({**latest_members(COLLECTION), "meta": b"\xff"}, "member meta. makes no sense"),
        ({**latest_members(COLLECTION), "meta": b"\x0a\x01\x03"}, "member meta. makes no sense"),
        ({**latest_members(COLLECTION), "meta": meta(3) + b"\x12\xff\x7f" + bytes(16_383)}, "makes no sense"),
    ],
    ids=range(13),
)
def test_what_has_no_layout_of_ours_is_refused(members: dict[str, bytes], why: str, tmp_path: Path) -> None:
    refused(zipped(members.items()), tmp_path, why)


def test_a_meta_with_more_to_say_is_still_understood(tmp_path: Path) -> None:
    members = {**latest_members(COLLECTION), "meta": meta(3) + b"\x12\x03new"}
    assert taken(zipped(members.items()), tmp_path).layout is Layout.LATEST


def test_decks_are_not_taken_for_a_collection_as_far_as_their_name_tells(tmp_path: Path) -> None:
    package = latest(COLLECTION, *ENTRIES)
    with pytest.raises(PackageUnusable, match=r"by its name \(.apkg\) it holds some decks") as raised:
        taken(package, tmp_path, named="/home/ada/Spanish.APKG")
    assert "can't be told apart" in raised.value.advice
    for name in ("collection.apkg", "/home/ada/backup-12.apkg", "C:\\Ada\\backup-12.apkg", "Spanish.colpkg", "a.zip"):
        assert taken(package, tmp_path, named=name).collection == COLLECTION


# The collection


def test_the_collection_is_private_and_its_bytes_are_told(tmp_path: Path) -> None:
    heard: list[int] = []
    content = random.Random(4).randbytes(3 * MIB)
    for package in (latest(content), legacy(content)):
        target = tmp_path / "out.anki2"
        with open_package(io.BytesIO(package), "it") as opened:
            opened.extract_collection(target, heard.append)
        assert target.read_bytes() == content
        assert os.name == "nt" or stat.S_IMODE(target.stat().st_mode) == 0o600
        target.unlink()
    assert sum(heard) == 2 * len(content)
    assert max(heard) <= MIB


def test_a_file_in_the_collections_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    with open_package(io.BytesIO(latest(COLLECTION)), "it") as opened, pytest.raises(TargetUnusable, match="exists"):
        opened.extract_collection(tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_nothing_is_left_of_a_collection_that_could_not_be_had(tmp_path: Path) -> None:
    broken = latest_members(COLLECTION)
    broken["collection.anki21b"] = broken["collection.anki21b"][:-9]
    refused(zipped(broken.items()), tmp_path, "cut short")
    refused(zipped({**broken, "collection.anki21b": b"no zstd"}.items()), tmp_path, "can't be unpacked")
    refused(zipped({**broken, "collection.anki21b": b""}.items()), tmp_path, "cut short")

    def stop(_amount: int) -> None:
        raise KeyboardInterrupt

    with open_package(io.BytesIO(latest(COLLECTION)), "it") as opened, pytest.raises(KeyboardInterrupt):
        opened.extract_collection(tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [latest, legacy])
def test_a_collection_that_does_not_fit_the_disk_is_not_begun_or_broken_off(
    make: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=66 * MIB))
    for size, fits in ((2 * MIB, True), (2 * MIB + 1, False)):
        with open_package(io.BytesIO(make(random.Random(5).randbytes(size))), "it") as opened:
            if fits:
                opened.extract_collection(tmp_path / "fits")
                continue
            with pytest.raises(TargetUnusable, match="no room left"):
                opened.extract_collection(tmp_path / "too large")
    assert [path.name for path in tmp_path.iterdir()] == ["fits"]


# Media


@pytest.mark.parametrize("make", [latest, legacy])
def test_media_come_with_their_names_and_sizes(make: Callable[..., bytes], tmp_path: Path) -> None:
    with open_package(io.BytesIO(make(COLLECTION, *ENTRIES)), "it") as opened:
        assert [(media.name, media.size) for media in opened.media] == [(name, len(body)) for name, body in ENTRIES]
        assert media_of(opened) == dict(ENTRIES)
        assert opened.left_out == ()


@pytest.mark.parametrize("make", [latest, legacy])
@pytest.mark.parametrize("extra", [-1, 0, 1, PART_BYTES])
def test_parts_are_exactly_eight_mebibytes_but_for_the_last(make: Callable[..., bytes], extra: int) -> None:
    content = random.Random(6).randbytes(PART_BYTES + extra)
    with open_package(io.BytesIO(make(COLLECTION, ("large", content))), "it") as opened:
        parts = list(opened.parts(opened.media[0]))
    assert b"".join(parts) == content
    assert [len(part) for part in parts[:-1]] == [PART_BYTES] * (len(parts) - 1)
    assert 0 < len(parts[-1]) <= PART_BYTES


ODD_NAMES = [
    "../evil",
    "/etc/passwd",
    "..\\evil",
    "..",
    "",
    "zero\x00byte",
    "x" * 300,
    "e\u0301.png",
    "con.txt",
    "a:b.png",
    "trailing. ",
    "a\xa0b.png",
    "new\nline",
]


@pytest.mark.parametrize("make", [latest, legacy])
def test_names_that_lead_elsewhere_are_left_out_and_odd_ones_kept(make: Callable[..., bytes], tmp_path: Path) -> None:
    result = taken(make(COLLECTION, *((name, name.encode()) for name in ODD_NAMES)), tmp_path)
    assert result.media == {name: name.encode() for name in ODD_NAMES[7:]}
    assert len(result.left_out) == 7
    assert result.left_out[0] == (
        "The media file '../evil' can't be taken from the package: its name leads to another folder"
    )
    assert all(line.isprintable() for line in result.left_out)


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    listing = latest_map(("bad!", b"one"), ("good", b"two")).replace(b"bad!", b"\xffad!")
    result = taken(latest(COLLECTION, ("", b"one"), ("", b"two"), listing=listing), tmp_path)
    assert result.media == {"good": b"two"}
    assert "b'\\xffad!'" in result.left_out[0]
    surrogate = taken(legacy(COLLECTION, ("", b"one"), listing='{"0":"\\udcff"}'), tmp_path)
    assert surrogate.media == {}
    assert "not valid text" in surrogate.left_out[0]


def test_of_two_files_of_one_name_the_later_counts_as_for_anki(tmp_path: Path) -> None:
    entries = (("twice", b"earlier"), ("once", b"once"), ("twice", b"later"))
    for make in (latest, legacy):
        result = taken(make(COLLECTION, *entries), tmp_path)
        assert result.media == {"once": b"once", "twice": b"later"}
        assert result.left_out == (
            "The media file 'twice' can't be taken from the package: a file of the same name comes later, as number 2",
        )


def test_a_number_that_two_names_claim_is_the_later_ones_and_no_member_counts_twice(tmp_path: Path) -> None:
    listing = '{"0":"first","00":"second","000":"third","1":"other"}'
    result = taken(legacy(COLLECTION, ("", b"zero"), ("", b"one"), listing=listing), tmp_path)
    assert result.media == {"third": b"zero", "other": b"one"}
    assert len(result.left_out) == 2
    assert "its number 0 is given to another name further on" in result.left_out[0]


def test_entries_without_a_member_and_members_without_an_entry_are_told(tmp_path: Path) -> None:
    listing = '{"0":"there","5":"not there","x":"nowhere"}'
    result = taken(legacy(COLLECTION, ("", b"zero"), ("", b"one"), ("", b"two"), listing=listing), tmp_path)
    assert result.media == {"there": b"zero"}
    assert result.left_out == (
        "The media file 'nowhere' can't be taken from the package: the list of media gives it no number",
        "The media file 'not there' can't be taken from the package: the package holds no member 5",
        "Media files without a name in the list of media can't be taken from the package: 2",
    )


def test_a_legacy_package_may_lack_its_list_of_media_and_a_latest_one_may_not(tmp_path: Path) -> None:
    assert taken(zipped([("collection.anki2", COLLECTION)]), tmp_path) == Taken(Layout.LEGACY1, COLLECTION, {}, ())
    members = latest_members(COLLECTION)
    del members["media"]
    refused(zipped(members.items()), tmp_path, "list of media is missing")


@pytest.mark.parametrize(
    "package",
    [
        legacy(COLLECTION, listing="[]"),
        legacy(COLLECTION, listing=""),
        latest(COLLECTION, listing=b"{}"),
        zipped({**latest_members(COLLECTION), "media": b"{}"}.items()),
        zipped({**latest_members(COLLECTION), "media": compressed(b"")[:-2]}.items()),
    ],
    ids=range(5),
)
def test_a_list_of_media_that_makes_no_sense_makes_the_package_unusable(package: bytes, tmp_path: Path) -> None:
    refused(package, tmp_path, "list of media makes no sense|compressed in it")


SHA1 = hashlib.sha1(b"content").digest()


@pytest.mark.parametrize(
    ("content", "listed", "why"),
    [
        (b"content", ("a", b"CONTENT"), "not what its checksum"),
        (b"content", ("a", b"conten"), "longer than the 6 bytes"),
        (b"content", ("a", b"contents"), "has 7 bytes instead of 8"),
        (b"content", ("a", b""), "longer than the 0 bytes"),
        (b"", ("a", b"content"), "has 0 bytes instead of 7"),
        (random.Random(7).randbytes(2 * PART_BYTES), ("a", random.Random(8).randbytes(2 * PART_BYTES)), "checksum"),
    ],
    ids=range(6),
)
def test_a_media_file_that_is_not_what_the_list_says_is_told_before_its_last_part(
    content: bytes, listed: tuple[str, bytes], why: str
) -> None:
    package = latest(COLLECTION, ("a", content), ("b", b"fine"), listing=latest_map(listed, ("b", b"fine")))
    given_away: list[bytes] = []
    with open_package(io.BytesIO(package), "it.colpkg") as opened:
        with pytest.raises(PackagedMediaUnusable, match=f"The media file 'a' in the package it.colpkg .*{why}"):
            given_away.extend(opened.parts(opened.media[0]))
        assert sum(map(len, given_away)) == max(0, len(content) - PART_BYTES)
        assert b"".join(opened.parts(opened.media[1])) == b"fine"


def test_a_checksum_may_be_missing_but_not_be_none(tmp_path: Path) -> None:
    name, size = b"\x0a\x01a", b"\x10\x07"
    listing = b"\x0a\x05" + name + size
    assert taken(latest(COLLECTION, ("", b"content"), listing=listing), tmp_path).media == {"a": b"content"}
    listing = b"\x0a\x08" + name + size + b"\x1a\x01x"
    result = taken(latest(COLLECTION, ("", b"content"), listing=listing), tmp_path)
    assert result.media == {}
    assert "its checksum in the list of media is none" in result.left_out[0]


def test_a_size_that_the_list_leaves_open_is_that_of_a_giant_or_of_nothing() -> None:
    listing = latest_map(("a", b"")).replace(hashlib.sha1(b"").digest(), SHA1)
    with open_package(io.BytesIO(latest(COLLECTION, ("", b"content"), listing=listing)), "it") as opened:
        assert opened.media[0].size is None
        with pytest.raises(PackagedMediaUnusable, match="has 7 bytes, which its list of media does not say"):
            list(opened.parts(opened.media[0]))
    with open_package(io.BytesIO(latest(COLLECTION, ("a", b""))), "it") as opened:
        assert opened.media == (PackagedMedia("a", 0, hashlib.sha1(b"").digest(), "0"),)
        assert list(opened.parts(opened.media[0])) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_left_out_or_makes_the_package_unusable(tmp_path: Path) -> None:
    members = latest_members(COLLECTION, *ENTRIES)
    result = taken(zipped([*members.items(), ("0", compressed(b"other"))]), tmp_path)
    assert result.media == dict(ENTRIES[1:])
    assert "several members 0" in result.left_out[0]
    for name in ("meta", "media", "collection.anki21b"):
        refused(zipped([*members.items(), (name, members[name])]), tmp_path, f"several members {name}")


def test_a_media_file_packed_in_an_unknown_way_is_left_out(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("collection.anki2", COLLECTION)
        archive.writestr("0", b"plain")
        archive.writestr("1", b"lzma", zipfile.ZIP_LZMA)
        archive.writestr("media", json.dumps({"0": "plain", "1": "lzma"}))
    result = taken(out.getvalue(), tmp_path)
    assert result.media == {"plain": b"plain"}
    assert "compressed in a way that Anki does not know" in result.left_out[0]


# Bombs

SMALL = Bounds(
    members=100, directory_bytes=100_000, map_bytes=5_000, collection_bytes=4 * MIB, media_bytes=3 * MIB, ratio=50,
    unsuspected_bytes=2 * MIB,
)  # fmt: skip


@pytest.mark.parametrize("make", [latest, legacy])
@pytest.mark.parametrize(("content", "fine"), [
    (bytes(2 * MIB), True),
    (random.Random(9).randbytes(4 * MIB), True),
    (random.Random(9).randbytes(4 * MIB + 1), False),
])  # fmt: skip
def test_a_collection_may_be_large_up_to_a_bound(
    make: Callable[[bytes], bytes], content: bytes, fine: bool, tmp_path: Path
) -> None:
    if fine:
        assert taken(make(content), tmp_path, SMALL).collection == content
    else:
        refused(make(content), tmp_path, "its collection unpacks to more than 4.0 MiB", SMALL)


def test_a_collection_that_swells_is_refused(tmp_path: Path) -> None:
    refused(
        latest(bytes(3 * MIB)), tmp_path, "its collection unpacks to more than 2.0 MiB, as a file does that is", SMALL
    )
    deflated = zipped([("collection.anki2", bytes(3 * MIB))], zipfile.ZIP_DEFLATED)
    refused(deflated, tmp_path, "unpacks to more than 2.0 MiB", SMALL)
    whole_disk = zipped({**latest_members(b""), "collection.anki21b": compressed(bytes(60 * MIB)) * 3}.items())
    refused(whole_disk, tmp_path, "unpacks to more than 2.0 MiB", SMALL)


def test_a_list_of_media_that_swells_is_refused_without_being_made(tmp_path: Path) -> None:
    bomb = zipped({**latest_members(COLLECTION), "media": compressed(bytes(100 * MIB))}.items())
    tracemalloc.start()
    try:
        refused(bomb, tmp_path, "its list of media unpacks to more than 4.9 KiB", SMALL)
        refused(bomb, tmp_path, "its list of media unpacks to more than 16.0 MiB", Bounds(map_bytes=16 * MIB))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * MIB
    old = zipped([("collection.anki2", b""), ("media", b"{" + b" " * MIB)], zipfile.ZIP_DEFLATED)
    refused(old, tmp_path, "its list of media unpacks", SMALL)


def test_media_that_swell_are_refused_alone_and_taken_together(tmp_path: Path) -> None:
    one = bytes(int(1.5 * MIB))
    assert taken(latest(COLLECTION, ("a", one)), tmp_path, SMALL).media == {"a": one}
    refused(latest(COLLECTION, ("a", one), ("b", one)), tmp_path, "what is in it unpacks to more than 2.0 MiB", SMALL)
    refused(latest(COLLECTION, ("a", bytes(3 * MIB + 1))), tmp_path, "'a' unpacks to more than 3.0 MiB", SMALL)
    plain = random.Random(10).randbytes(3 * MIB)
    assert taken(latest(COLLECTION, ("a", plain)), tmp_path, SMALL).media == {"a": plain}


def test_a_media_file_of_unknown_size_is_bounded_too() -> None:
    listing = latest_map(("a", b"")).replace(hashlib.sha1(b"").digest(), SHA1)
    package = latest(COLLECTION, ("", bytes(3 * MIB)), listing=listing)
    with open_package(io.BytesIO(package), "it", bounds=SMALL) as opened:
        unpacking = opened.parts(opened.media[0])
        with pytest.raises(PackagedMediaUnusable, match=r"it unpacks to more than 2\.0 MiB"):
            list(unpacking)


def test_a_package_of_more_members_than_allowed_is_refused(tmp_path: Path) -> None:
    refused(latest(COLLECTION, *((str(number), b"") for number in range(100))), tmp_path, "more than 100 files", SMALL)
    listing = b"\x0a\x00" * 101
    refused(latest(COLLECTION, listing=listing), tmp_path, "list of media has more than 100 entries", SMALL)


def test_several_threads_read_at_once() -> None:
    luck = random.Random(12)
    entries = [(str(number), luck.randbytes(luck.choice([0, 10, 100_000]))) for number in range(200)]
    for make in (latest, legacy):
        with open_package(io.BytesIO(make(COLLECTION, *entries)), "it") as opened, ThreadPoolExecutor(8) as pool:
            contents = pool.map(lambda media: b"".join(opened.parts(media)), opened.media)
            assert list(contents) == [content for _name, content in entries]


def test_a_package_that_is_closed_is_not_taken_for_a_damaged_one() -> None:
    with open_package(io.BytesIO(latest(COLLECTION, *ENTRIES)), "it") as opened:
        pass
    with pytest.raises(ValueError, match="the package is closed"):
        list(opened.parts(opened.media[0]))


def test_reading_a_large_media_file_takes_few_parts_of_memory(tmp_path: Path) -> None:
    block = random.Random(11).randbytes(PART_BYTES + 1)
    with (tmp_path / "it").open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("collection.anki2", COLLECTION)
        with archive.open("0", "w") as member:
            for _ in range(12):
                member.write(block)
        archive.writestr("media", '{"0":"large"}')
    length = 0
    tracemalloc.start()
    try:
        with (tmp_path / "it").open("rb") as file, open_package(file, "it") as opened:
            for part in opened.parts(opened.media[0]):
                length += len(part)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == 12 * len(block)
    assert peak < 5 * PART_BYTES


# Damage of all kinds

SOUND = {
    Layout.LATEST: latest(COLLECTION, *ENTRIES),
    Layout.LEGACY1: legacy(COLLECTION, *ENTRIES),
    Layout.LEGACY2: zipped(
        {
            "meta": meta(2),
            "collection.anki21": COLLECTION,
            "collection.anki2": b"note",
            **{str(number): content for number, (_name, content) in enumerate(ENTRIES)},
            "media": json.dumps({number: name for number, (name, _) in enumerate(ENTRIES)}).encode(),
        }.items(),
        zipfile.ZIP_DEFLATED,
    ),
}


def check_spoilt(package: bytes, folder: Path) -> None:
    """Whatever was done to it: a file is right, or it is told to be unusable; never anything else."""
    target = folder / "spoilt.anki2"
    target.unlink(missing_ok=True)
    contents = {content for _name, content in ENTRIES}
    unusable: list[PackageUnusable] = []
    whole = False
    try:
        with open_package(io.BytesIO(package), "it") as opened:
            for media in opened.media:
                try:
                    assert b"".join(opened.parts(media)) in contents
                except PackagedMediaUnusable as error:
                    unusable.append(error)
            opened.extract_collection(target)
            whole = True
    except PackageUnusable as error:
        unusable.append(error)
    assert all(error.problem and error.advice for error in unusable)
    assert target.exists() is whole
    if whole:
        assert target.read_bytes() in (COLLECTION, b"note")


@pytest.mark.parametrize("layout", list(Layout))
def test_a_package_cut_short_anywhere_is_refused(layout: Layout, tmp_path: Path) -> None:
    sound = SOUND[layout]
    for length in range(0, len(sound), max(1, len(sound) // 500)):
        refused(sound[:length], tmp_path, "cut short|empty|not one")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=st.sampled_from(Layout), data=st.data())
def test_a_spoilt_package_gives_the_right_bytes_or_the_named_error(
    layout: Layout, data: st.DataObject, tmp_path: Path
) -> None:
    package = bytearray(SOUND[layout])
    # Where it matters most: in headers, the directory, the lists.
    places = st.one_of(
        st.integers(0, len(package) - 1),
        st.integers(max(0, len(package) - 700), len(package) - 1),
        st.integers(0, 60),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = min(data.draw(places), len(package) - 1)
        match data.draw(st.sampled_from(["flip", "flip", "set", "cut", "insert"])):
            case "flip":
                package[place] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                package[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
            case "cut":
                del package[place : place + data.draw(st.integers(1, 40))]
            case _:
                package[place:place] = data.draw(st.binary(min_size=1, max_size=40))
    check_spoilt(bytes(package), tmp_path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(
        st.sampled_from(["meta", "media", "collection.anki2", "collection.anki21", "collection.anki21b", "0", "1"]),
        st.one_of(
            st.binary(max_size=60),
            st.binary(max_size=60).map(compressed),
            st.sampled_from([meta(1), meta(2), meta(3), b'{"0":"a"}', compressed(latest_map(("a", b"x")))]),
        ),
    ),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
)
def test_any_members_at_all_are_taken_or_refused(members: dict[str, bytes], method: int, tmp_path: Path) -> None:
    target = tmp_path / "any.anki2"
    target.unlink(missing_ok=True)
    try:
        with open_package(io.BytesIO(zipped(members.items(), method)), "it") as opened:
            for media in opened.media:
                try:
                    list(opened.parts(media))
                except PackagedMediaUnusable:
                    continue
            opened.extract_collection(target)
    except PackageUnusable:
        assert not target.exists()


def test_the_note_for_old_ankis_is_not_taken_even_of_a_real_package(profile: Path, tmp_path: Path) -> None:
    """The newer collection removed from a package of Anki's: what stays is a sound collection of one note."""
    for old in (False, True):
        folder = tmp_path / str(old)
        folder.mkdir()
        with zipfile.ZipFile(exported(profile, folder, old=old)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        (folder / "note").write_bytes(members["collection.anki2"])
        with closing(sqlite3.connect(folder / "note")) as connection:
            assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)
        del members["collection.anki21" if old else "collection.anki21b"]
        refused(zipped(members.items()), folder, "holds no collection")


def test_whoever_wants_notes_may_open_a_package_of_notes(tmp_path: Path) -> None:
    notes = tmp_path / "notes.apkg"
    notes.write_bytes(latest(COLLECTION, *ENTRIES))
    with pytest.raises(PackageUnusable, match=r"\(.apkg\) it holds some decks"), open_package_at(notes):
        pass
    with open_package_at(notes, of_notes=True) as opened:
        assert media_of(opened) == dict(ENTRIES)


def test_a_package_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PackageUnusable, match="There is no package at"), open_package_at(tmp_path / "none.colpkg"):
        pass
    with pytest.raises(PackageUnusable, match="can't be read"), open_package_at(tmp_path):
        pass


def test_what_goes_wrong_with_an_open_package_is_not_taken_for_trouble_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "it.colpkg").write_bytes(latest(COLLECTION, *ENTRIES))
    with pytest.raises(FileNotFoundError), open_package_at(tmp_path / "it.colpkg"):
        raise FileNotFoundError
