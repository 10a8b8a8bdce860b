from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format.compression import compress
from storage.format.keyring import new_keyring
from storage.format.sealed_json import RecordKind, framed, unframed
from storage.format.sealing import AesSeal, OpenSeal, Purpose, Seal

SEAL = OpenSeal(bytes(16))
NAME = "shelf/1"
SHELF = RecordKind(
    purpose=Purpose.CENSUS,
    version=3,
    keys=("owner", "books"),
    max_bytes=1000,
    complaint="is no shelf",
    advice="Build another one",
)
CONTENT = {"owner": "Ada", "books": ["b", "a"]}
GOOD = {"format": 3, **CONTENT}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


def sealed(text: bytes, *, length: int | None = None, name: str = NAME, purpose: Purpose = SHELF.purpose) -> bytes:
    """As on the page, without the code under test."""
    told = len(text) if length is None else length
    return SEAL.seal(purpose, name.encode(), told.to_bytes(4, "little") + compress(text))


def as_it_is(content: dict[str, Any]) -> dict[str, Any]:
    return content


def read(stored: bytes, kind: RecordKind = SHELF) -> dict[str, Any]:
    return kind.read(SEAL, NAME, stored, as_it_is)


@given(VALUES, VALUES)
def test_a_record_reads_back_as_it_was_written(owner: Any, books: Any) -> None:
    kind = replace(SHELF, max_bytes=2**20)
    content = {"owner": owner, "books": books}
    for seal in (SEAL, AesSeal(bytes(16), new_keyring())):
        stored = kind.write(seal, NAME, content)
        assert kind.read(seal, NAME, stored, as_it_is) == {"format": 3, **content}


def test_the_bytes_are_the_version_and_the_content_in_its_order_without_blanks() -> None:
    assert SHELF.write(SEAL, NAME, CONTENT) == sealed(b'{"format":3,"owner":"Ada","books":["b","a"]}')


@given(st.data())
def test_any_changed_byte_is_damage(data: st.DataObject) -> None:
    stored = bytearray(SHELF.write(SEAL, NAME, CONTENT))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        read(bytes(stored))


def test_a_record_can_not_pose_as_another_nor_as_one_of_another_kind() -> None:
    stored = SHELF.write(SEAL, NAME, CONTENT)
    assert read(stored) == GOOD
    with pytest.raises(Damaged):
        SHELF.read(SEAL, "shelf/2", stored, as_it_is)
    with pytest.raises(Damaged):
        read(stored, replace(SHELF, purpose=Purpose.VERDICT))


@pytest.mark.parametrize(
    "content",
    [
        {**GOOD, "more": 1},
        {"format": 3, "owner": "Ada"},
        {"format": 3, "owner": "Ada", "book": []},
        CONTENT,
        {},
        {**GOOD, "format": "3"},
        {**GOOD, "format": 3.0},
        {**GOOD, "format": True},
        {**GOOD, "format": None},
        [GOOD],
        "shelf",
        None,
    ],
)
def test_other_keys_than_those_of_its_kind_are_damage(content: Any) -> None:
    with pytest.raises(Damaged, match="Damage in the repository: shelf/1 is no shelf") as damage:
        read(sealed(json.dumps(content).encode()))
    assert damage.value.advice == "Build another one"


def test_true_is_no_version() -> None:
    with pytest.raises(Damaged, match="is no shelf"):
        read(sealed(json.dumps({**GOOD, "format": True}).encode()), replace(SHELF, version=1))


@pytest.mark.parametrize("content", [{**GOOD, "format": 4}, {"format": 2}, {"format": -1, "magazines": {}}])
def test_another_version_is_told_from_damage_whatever_else_it_holds(content: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFormat, match="shelf/1 was written by another version") as other:
        read(sealed(json.dumps(content).encode()))
    assert other.value.advice == "Update Recollect and try again"


@pytest.mark.parametrize(
    "text",
    [b"", b"no JSON", b"\xff\xfe", b'{"format":3', b"[" * 900, b"9" * 1000, b'{"format":3}{}'],
)
def test_what_is_no_json_is_damage(text: bytes) -> None:
    with pytest.raises(Damaged, match="is no shelf"):
        read(sealed(text))


def test_json_too_deep_to_follow_is_damage() -> None:
    with pytest.raises(Damaged, match="is no shelf"):
        read(sealed(b"[" * 100_000), replace(SHELF, max_bytes=100_000))


@pytest.mark.parametrize("off_by", [-1, 1, 7])
@pytest.mark.parametrize("blanks", [0, 900], ids=["as it is", "compressed"])
def test_a_length_that_is_not_that_of_the_text_is_damage(off_by: int, blanks: int) -> None:
    text = json.dumps(GOOD).encode() + b" " * blanks
    assert read(sealed(text)) == GOOD
    with pytest.raises(Damaged):
        read(sealed(text, length=len(text) + off_by))


@pytest.mark.parametrize("count", range(4))
def test_a_record_that_ends_within_its_length_is_damage(count: int) -> None:
    with pytest.raises(Damaged, match="is no shelf"):
        read(SEAL.seal(SHELF.purpose, NAME.encode(), bytes(count)))


@pytest.mark.parametrize("packed", [b"", b"\7", b"\7{}"])
def test_a_record_that_is_packed_in_no_known_way_is_damage(packed: bytes) -> None:
    with pytest.raises(Damaged):
        read(SEAL.seal(SHELF.purpose, NAME.encode(), (2).to_bytes(4, "little") + packed))


def test_a_longer_text_than_any_of_its_kind_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(GOOD).encode()
    longest = text + b" " * (SHELF.max_bytes - len(text))
    assert read(sealed(longest)) == GOOD
    monkeypatch.setattr("storage.format.sealed_json.decompress", lambda *_: pytest.fail("it was unpacked"))
    for length in (None, 2**31, 2**32 - 1):
        with pytest.raises(Damaged, match="is no shelf"):
            read(sealed(longest + b" ", length=length))


@pytest.mark.parametrize("seal", [SEAL, AesSeal(bytes(16), new_keyring())], ids=["open", "aes-256-gcm"])
def test_no_record_is_stored_in_more_bytes_than_its_kind_says(seal: Seal) -> None:
    text = random.Random(1).randbytes(SHELF.max_bytes)  # does not shrink
    assert SHELF.max_bytes < len(seal.seal(SHELF.purpose, NAME.encode(), framed(text))) <= SHELF.largest


@pytest.mark.parametrize("fault", [ValueError("x"), KeyError("x"), TypeError("x")])
def test_what_its_kind_makes_no_sense_of_is_damage(fault: Exception) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise fault

    with pytest.raises(Damaged, match="is no shelf") as damage:
        SHELF.read(SEAL, NAME, SHELF.write(SEAL, NAME, CONTENT), refuse)
    assert damage.value.__cause__ is fault


@given(st.binary(max_size=300))
def test_bytes_that_were_never_sealed_are_damage(stored: bytes) -> None:
    with pytest.raises(Damaged):
        read(stored)


@given(st.binary(max_size=5000))
def test_a_frame_gives_its_text_back_to_whoever_takes_that_much(text: bytes) -> None:
    assert unframed(framed(text), len(text)) == text
    if text:
        with pytest.raises(ValueError, match="length"):
            unframed(framed(text), len(text) - 1)
