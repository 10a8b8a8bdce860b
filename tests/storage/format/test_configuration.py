from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import NotARepository, UnsupportedFormat
from storage.format.configuration import Configuration, Sealing, read_configuration, write_configuration

URL = "sftp://nas/backups"
GOOD = Configuration(id="00112233445566778899aabbccddeeff", created_at="2026-11-22T19:56:44+00:00")
SEALED = Configuration(id=GOOD.id, created_at=GOOD.created_at, sealing=Sealing.AES)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def changed(**values: Any) -> bytes:
    return json.dumps(json.loads(write_configuration(GOOD)) | values).encode()


def test_a_configuration_says_again_what_was_written_in_it() -> None:
    for said in (GOOD, SEALED):
        assert read_configuration(URL, write_configuration(said)) == said
    assert read_configuration(URL, changed()) == GOOD


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_said_to_be_no_repository(stored: bytes) -> None:
    with pytest.raises((NotARepository, UnsupportedFormat), match="sftp://nas/backups"):
        read_configuration(URL, stored)


@given(st.sampled_from(["format", "id", "sealing"]), JSON_VALUES)
def test_an_unknown_value_is_refused_never_ignored(key: str, value: Any) -> None:
    if json.loads(write_configuration(GOOD))[key] != value or isinstance(value, bool | float):
        with pytest.raises(UnsupportedFormat):
            read_configuration(URL, changed(**{key: value}))


@pytest.mark.parametrize(
    "values",
    [
        {"encrypted": True},
        {"format": 2},
        {"format": True},
        {"format": 1.0},
        {"format": "1"},
        {"sealing": "AES-256-GCM"},
        {"sealing": "none"},
        {"sealing": ["open"]},
        {"key_slots": []},
        {"id": GOOD.id.upper()},
        {"id": GOOD.id + "\n"},
        {"id": "../" + GOOD.id[3:]},
        {"created_at": 5},
    ],
)
def test_an_unknown_key_or_option_is_a_hard_error(values: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFormat, match="another version"):
        read_configuration(URL, changed(**values))


@pytest.mark.parametrize("key", ["id", "created_at", "sealing"])
def test_a_missing_key_is_refused(key: str) -> None:
    content = json.loads(write_configuration(GOOD))
    del content[key]
    with pytest.raises(UnsupportedFormat):
        read_configuration(URL, json.dumps(content).encode())


@pytest.mark.parametrize(
    "stored",
    [
        b"[" * 60_000,
        b'{"format":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"format":' + b"9" * 5000 + b"}",
        b'{"format": 1}' + b" " * 70_000,
        "\ufeff{}".encode("utf-16"),
    ],
)
def test_traps_for_the_json_parser_are_refused_in_words(stored: bytes) -> None:
    with pytest.raises((NotARepository, UnsupportedFormat)):
        read_configuration(URL, stored)


def test_the_version_found_is_told() -> None:
    with pytest.raises(UnsupportedFormat, match=r"format 7\b"):
        read_configuration(URL, changed(format=7))
