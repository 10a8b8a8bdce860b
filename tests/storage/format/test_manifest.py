from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import MAX_BLOB_BYTES, BlobId
from storage.format.compression import compress, decompress
from storage.format.listing import MAX_COUNT, NOTHING, Tree
from storage.format.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    ProfileKey,
    SnapshotId,
    StoredFile,
    StoredFolder,
    new_snapshot_id,
    profile_key,
    read_manifest,
    snapshot_name,
    snapshot_of_name,
    snapshot_time,
    trash_name,
    write_manifest,
)
from storage.format.sealing import OpenSeal, Purpose

SEAL = OpenSeal(bytes(16))
TAKEN_AT = datetime(2026, 11, 22, 20, 56, 44, 123456, timezone(timedelta(hours=1)))
MOMENTS = st.integers(10**15, 7 * 10**15).map(lambda microseconds: datetime.fromtimestamp(microseconds / 10**6, UTC))
ID = SnapshotId("20261122T195644Z-1a2b3c4d")
KEY = ProfileKey("Ada-0a1b2c3d")
TREE = Tree(BlobId(bytes(range(32))), 2, 200)
GOOD = Manifest(
    id=ID,
    profile="Ada",
    profile_key=KEY,
    host="desk",
    source="/home/ada/Anki2/Ada",
    taken_at=TAKEN_AT,
    parent=SnapshotId("20261121T195644Z-00000000"),
    files=(StoredFile("collection.anki2", 200 * 4096, 4096, TREE), StoredFile("deleted.txt", 0, 4096, NOTHING)),
    folders=(StoredFolder("collection.media", 12345, TREE),),
    facts={"notes": 3, "proven": True, "seconds": 1.5, "copied": "wal", "last_review_at": None},
)

# Words may hold anything that a computer can be named by, lone surrogates of undecodable bytes included.
WORDS = st.text(max_size=30)
SIZES = st.integers(0, 2**40)
TREES = st.builds(
    Tree, st.binary(min_size=32, max_size=32).map(BlobId), st.integers(1, 8), st.integers(1, MAX_COUNT)
) | st.just(NOTHING)
MANIFESTS = st.builds(
    lambda moment, offset, parent, profile, host, source, size, tree, facts: Manifest(
        id=new_snapshot_id(moment, b"\1\2\3\4"),
        profile=profile,
        profile_key=profile_key(profile, host, source),
        host=host,
        source=source,
        taken_at=moment.astimezone(timezone(timedelta(minutes=offset))),
        parent=new_snapshot_id(moment - timedelta(hours=1), b"\0\0\0\0") if parent else None,
        files=(StoredFile("collection.anki2", tree.count * size, size, tree),),
        folders=(StoredFolder("collection.media", size, tree),),
        facts=facts,
    ),
    MOMENTS,
    st.integers(-24 * 60 + 1, 24 * 60 - 1),
    st.booleans(),
    WORDS,
    WORDS,
    WORDS,
    st.integers(1, MAX_BLOB_BYTES),
    TREES,
    st.dictionaries(
        WORDS,
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            WORDS,
        ),
        max_size=6,
    ),
)


@settings(deadline=None)
@given(MANIFESTS)
def test_a_manifest_says_again_what_was_written_in_it(manifest: Manifest) -> None:
    stored = write_manifest(SEAL, manifest)
    assert read_manifest(SEAL, manifest.profile_key, manifest.id, stored) == manifest


@given(st.data())
def test_a_spoiled_manifest_is_damage(data: st.DataObject) -> None:
    stored = write_manifest(SEAL, GOOD)
    at = data.draw(st.integers(0, len(stored) - 1))
    flipped = stored[:at] + bytes((stored[at] ^ 1 << data.draw(st.integers(0, 7)),)) + stored[at + 1 :]
    for spoiled in (flipped, stored[:at], stored + b"\0"):
        with pytest.raises(Damaged, match=ID):
            read_manifest(SEAL, KEY, ID, spoiled)


def test_a_manifest_is_refused_under_another_name_and_as_another_object() -> None:
    stored = write_manifest(SEAL, GOOD)
    for key, snapshot in ((ProfileKey("Eve-0a1b2c3d"), ID), (KEY, SnapshotId("20261122T195644Z-1a2b3c4e"))):
        with pytest.raises(Damaged):
            read_manifest(SEAL, key, snapshot, stored)
    posing = SEAL.seal(Purpose.INDEX, snapshot_name(KEY, ID).encode(), b"{}")
    with pytest.raises(Damaged):
        read_manifest(SEAL, KEY, ID, posing)


def sealed(plain: bytes, *, length: int | None = None) -> bytes:
    declared = len(plain) if length is None else length
    return SEAL.seal(
        Purpose.MANIFEST, snapshot_name(KEY, ID).encode(), declared.to_bytes(4, "little") + compress(plain)
    )


def content() -> dict[str, Any]:
    packed = SEAL.unseal(Purpose.MANIFEST, snapshot_name(KEY, ID).encode(), write_manifest(SEAL, GOOD))
    found: dict[str, Any] = json.loads(decompress(packed[4:], int.from_bytes(packed[:4], "little")))
    return found


def test_the_content_that_the_next_tests_change_is_accepted_unchanged() -> None:
    assert read_manifest(SEAL, KEY, ID, sealed(json.dumps(content()).encode())) == GOOD


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    found = content()
    change(found)
    return sealed(json.dumps(found).encode())


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(found: Any) -> None:
        for step in path[:-1]:
            found = found[step]
        found[path[-1]] = value

    return change


TREE_JSON = {"root": "00" * 32, "levels": 2, "count": 200}
HOSTILE = {
    "an unknown key": put("encrypted", value=True),
    "an unknown key of a file": put("files", 0, "mode", value=0o4755),
    "an unknown key of a folder": put("folders", 0, "mode", value=0o4755),
    "an unknown key of a tree": put("files", 0, "pieces", "mode", value=1),
    "a missing key": lambda found: found.pop("host"),
    "files that are no list": put("files", value=5),
    "files that are an object": put("files", value={"a": 1}),
    "files that are text": put("files", value="abc"),
    "a file that is none": put("files", 0, value=None),
    "two files of one name": lambda found: found["files"].append(found["files"][0]),
    "a file and a folder of one name": put("folders", 0, "name", value="Collection.ANKI2"),
    "no name": put("files", 0, "name", value=""),
    "a name that is a number": put("files", 0, "name", value=5),
    "a name out of the folder": put("files", 0, "name", value="../../.bashrc"),
    "a name one up": put("files", 0, "name", value=".."),
    "an absolute name": put("files", 0, "name", value="/etc/passwd"),
    "a Windows path": put("files", 0, "name", value="..\\evil"),
    "a drive": put("files", 0, "name", value="C:evil"),
    "a name with NUL": put("files", 0, "name", value="a\0b"),
    "a lone surrogate for a name": put("files", 0, "name", value="\ud800"),
    "a name that is too long": put("files", 0, "name", value="ä" * 128),
    "a folder out of the folder": put("folders", 0, "name", value="../x"),
    "a negative size": put("files", 0, "size", value=-1),
    "a size that is true": put("folders", 0, "size", value=True),
    "a size beyond 63 bits": put("folders", 0, "size", value=2**63),
    "a size in halves": put("folders", 0, "size", value=0.5),
    "a size that is not that of its pieces": put("files", 0, "size", value=201 * 4096),
    "pieces of no bytes": put("files", 0, "piece_bytes", value=0),
    "pieces longer than a blob": put("files", 0, "piece_bytes", value=MAX_BLOB_BYTES + 1),
    "a root that is too short": put("files", 0, "pieces", value=TREE_JSON | {"root": "00"}),
    "a root in capitals": put("files", 0, "pieces", value=TREE_JSON | {"root": "AB" * 32}),
    "a root with blanks": put("files", 0, "pieces", value=TREE_JSON | {"root": "00 " * 21 + "0"}),
    "a root that is a number": put("files", 0, "pieces", value=TREE_JSON | {"root": 0}),
    "a root without levels": put("files", 0, "pieces", value=TREE_JSON | {"levels": 0}),
    "too many levels": put("files", 0, "pieces", value=TREE_JSON | {"levels": 9}),
    "levels without a root": put("folders", 0, "entries", value={"root": None, "levels": 1, "count": 0}),
    "entries without a root": put("folders", 0, "entries", value={"root": None, "levels": 0, "count": 7}),
    "a root of no entries": put("folders", 0, "entries", value=TREE_JSON | {"count": 0}),
    "more entries than memory holds": put("folders", 0, "entries", value=TREE_JSON | {"count": MAX_COUNT + 1}),
    "a time without an offset": put("taken_at", value="2026-11-22T19:56:44"),
    "a time that is none": put("taken_at", value="yesterday"),
    "a time before all calendars": put("taken_at", value="0001-01-01T00:00:00+14:00"),
    "another time than in the id": put("taken_at", value="2026-11-22T19:56:45+00:00"),
    "another id": put("id", value="20261122T195644Z-1a2b3c4e"),
    "another profile's key": put("profile_key", value="Eve-0a1b2c3d"),
    "a parent that is a path": put("parent", value="../../x"),
    "a parent that is a number": put("parent", value=5),
    "a profile that is a number": put("profile", value=5),
    "facts that are a list": put("facts", value=[]),
    "a fact that is a list": put("facts", "notes", value=[1]),
    "a fact that is no number": put("facts", "notes", value=math.nan),
    "a fact without end": put("facts", "notes", value=math.inf),
    "a fact beyond 64 bits": put("facts", "notes", value=2**63),
    "a fact beyond 64 bits downwards": put("facts", "notes", value=-(2**63) - 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_field_is_damage(kind: str) -> None:
    with pytest.raises(Damaged, match=ID):
        read_manifest(SEAL, KEY, ID, changed(HOSTILE[kind]))


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b'{"format":1,"facts":{"seconds":1e999}}',
    ],
)
def test_traps_for_the_json_parser_are_damage(plain: bytes) -> None:
    with pytest.raises(Damaged):
        read_manifest(SEAL, KEY, ID, sealed(plain))


def test_a_number_too_large_to_be_one_is_damage() -> None:
    plain = json.dumps(content()).encode().replace(b"1.5", b"1e999")
    assert b"1e999" in plain
    with pytest.raises(Damaged):
        read_manifest(SEAL, KEY, ID, sealed(plain))


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None])
def test_another_version_is_told_from_damage(version: object) -> None:
    with pytest.raises(UnsupportedFormat, match="another version"):
        read_manifest(SEAL, KEY, ID, changed(put("format", value=version)))


@pytest.mark.parametrize("plain", [b"[]", b"5", b"null", b'"x"', b"{}"])
def test_json_of_another_kind_is_refused(plain: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        read_manifest(SEAL, KEY, ID, sealed(plain))


def test_a_bomb_is_refused_by_its_length() -> None:
    with pytest.raises(Damaged, match="length"):
        read_manifest(SEAL, KEY, ID, sealed(b" " * (MAX_MANIFEST_BYTES + 1)))
    with pytest.raises(Damaged):
        read_manifest(SEAL, KEY, ID, sealed(b" " * (64 * MAX_MANIFEST_BYTES), length=1000))


@pytest.mark.parametrize("packed", [b"", b"\0\0\0"])
def test_a_manifest_without_a_length_is_damage(packed: bytes) -> None:
    with pytest.raises(Damaged):
        read_manifest(SEAL, KEY, ID, SEAL.seal(Purpose.MANIFEST, snapshot_name(KEY, ID).encode(), packed))


@pytest.mark.parametrize(
    "unreadable",
    [
        replace(GOOD, facts={"notes": "x" * MAX_MANIFEST_BYTES}),
        replace(GOOD, facts={"seconds": math.nan}),
        replace(GOOD, facts={"notes": 2**63}),
        replace(GOOD, facts={"notes": [1]}),  # type: ignore[dict-item]
        replace(GOOD, facts={"notes": object()}),  # type: ignore[dict-item]
        replace(GOOD, taken_at=TAKEN_AT + timedelta(seconds=1)),
        replace(GOOD, taken_at=TAKEN_AT.replace(tzinfo=None)),
        replace(GOOD, files=(StoredFile("../x", 1, 1, Tree(BlobId(bytes(32)), 1, 1)),)),
        replace(GOOD, files=(StoredFile("x", 5, 1, Tree(BlobId(bytes(32)), 1, 1)),)),
        replace(GOOD, id=SnapshotId("now")),
    ],
)
def test_what_no_reader_would_accept_is_never_written(unreadable: Manifest) -> None:
    with pytest.raises(Damaged, match="was not stored"):
        write_manifest(SEAL, unreadable)


# Names.


@given(WORDS, WORDS, WORDS, MOMENTS)
def test_every_profile_has_a_name_in_the_store_that_leads_back_to_it(
    profile: str, host: str, source: str, moment: datetime
) -> None:
    key, snapshot = profile_key(profile, host, source), new_snapshot_id(moment, b"abcd")
    assert snapshot_of_name(snapshot_name(key, snapshot)) == (key, snapshot)
    assert snapshot_of_name(trash_name(key, snapshot)) == (key, snapshot)
    assert snapshot_time(snapshot) == moment.replace(microsecond=0)
    assert len(snapshot_name(key, snapshot)) < 100


def test_profiles_of_one_name_on_two_machines_or_in_two_folders_do_not_meet() -> None:
    keys = {profile_key("User 1", host, source) for host in ("desk", "laptop") for source in ("/a", "/b")}
    assert len(keys) == 4
    assert profile_key("User 1", "desk", "/a").startswith("User-1-")


def test_snapshots_sort_by_time() -> None:
    moments = [TAKEN_AT + timedelta(hours=7 * n) for n in range(50)]
    assert sorted(ids := [new_snapshot_id(moment, b"\0\0\0\0") for moment in moments]) == ids


@pytest.mark.parametrize(
    "name",
    [
        f"snapshots/{KEY}",
        f"snapshots/{KEY}/",
        f"snapshots/{KEY}/{ID}/x",
        f"snapshots/x/{KEY}/{ID}",
        f"snapshots/../{ID}",
        f"snapshots/{KEY}/{ID}\n",
        f"snapshots/{KEY}/{ID.upper()}",
        f"snapshots/{KEY}/20261322T195644Z-1a2b3c4d",
        f"snapshots/{KEY}/20261122T195661Z-1a2b3c4d",
        f"snapshots/{KEY}/00001122T195644Z-1a2b3c4d",
        f"snapshots/Ada/{ID}",
        f"snapshots/{'n' * 49}-0a1b2c3d/{ID}",
        f".{ID}",
    ],
)
def test_no_other_name_is_taken_for_a_snapshot(name: str) -> None:
    assert snapshot_of_name(name) is None
