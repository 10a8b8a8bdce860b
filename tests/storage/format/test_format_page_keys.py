"""Keeps §2 of `docs/format.md` true: its examples are read from the page, and made again by code written from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import struct
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.format import key_slot, secret
from storage.format.key_slot import LEAST_COST, MOST_COST, USUAL_COST, read_slot, slot_name, unwrap_keyring
from storage.format.keyring import MOST_GENERATIONS
from storage.format.sealing import AesSeal, OpenSeal, Purpose
from storage.format.secret import SecretKind, key_file_secret, typed_secret
from storage.keys import MOST_SLOTS
from tests.storage.format import example_keys

PAGE = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## 2. Sealing") : PAGE.index("## 3. Blobs")]
REPOSITORY = bytes(range(16))
ID_KEY, FIRST, SECOND = (bytes(range(start, start + 32)) for start in (0x20, 0x40, 0x60))


def fenced(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL)
    assert found, kind
    return found[1]


def counted(*parts: bytes) -> bytes:
    return b"".join(struct.pack("<H", len(part)) + part for part in parts)


def test_the_sealed_example_is_what_the_page_says_made_by_hand() -> None:
    sealed = bytes.fromhex(fenced("sealed"))
    bound = counted(b"index", b"index/000102030405060708090a0b0c0d0e0f")
    objects = HKDF(SHA256(), 32, salt=REPOSITORY, info=b"recollect 2026-11-22 object keys").derive(SECOND)
    cipher = AESGCM(hmac.digest(objects, bound, "sha256"))
    nonce = bytes(range(0xC0, 0xCC))
    body = cipher.encrypt(nonce, b"Hello, Anki!", REPOSITORY + b"\1\0" + b"\1\2\0" + bound)
    assert sealed == b"\1\2\0" + nonce + body


def test_the_code_reads_and_writes_the_sealed_example() -> None:
    sealed = bytes.fromhex(fenced("sealed"))
    seal = AesSeal(REPOSITORY, example_keys.KEYRING)
    assert seal.unseal(Purpose.INDEX, example_keys.NAME, sealed) == b"Hello, Anki!"
    assert example_keys.sealed() == sealed
    assert f"`{blake3(b'Hello, Anki!', key=ID_KEY).hexdigest()}`" in SECTION
    assert seal.blob_id(b"Hello, Anki!") == blake3(b"Hello, Anki!", key=ID_KEY).digest()


def test_the_slot_on_the_page_is_opened_by_hand() -> None:
    slot = json.loads(fenced("json"))
    kdf = slot["kdf"]
    assert list(kdf) == ["name", "salt", "time", "memory_kib", "lanes"]
    key = Argon2id(
        salt=base64.b64decode(kdf["salt"]),
        length=32,
        iterations=kdf["time"],
        lanes=kdf["lanes"],
        memory_cost=kdf["memory_kib"],
    ).derive(b"correct horse battery staple")
    first = ("format", "id", "repository", "kind", "label", "created_at", "generation")
    told = b"recollect 2026-11-22 key slot" + counted(
        *(str(slot[name]).encode() for name in first), *(str(value).encode() for value in kdf.values())
    )
    wrapped = base64.b64decode(slot["keyring"])
    keyring = AESGCM(key).decrypt(wrapped[:12], wrapped[12:], told)
    assert keyring == ID_KEY + b"\2\0" + b"\1\0" + FIRST + b"\2\0" + SECOND
    assert slot["checksum"] == blake3(told + wrapped).hexdigest()[:16]


def test_the_code_reads_and_writes_the_slot_on_the_page() -> None:
    stored = fenced("json").encode()
    slot = read_slot(slot_name("d0d1d2d3d4d5d6d7"), stored)
    assert unwrap_keyring(slot, typed_secret("correct horse battery staple")) == example_keys.KEYRING
    assert key_slot.write_slot(example_keys.slot()) == stored
    assert f"`{example_keys.PASSPHRASE}`" in SECTION


def test_a_slot_of_another_kind_is_opened_by_hand() -> None:
    value = bytes(range(20))
    slot = key_slot.wrap_keyring(
        secret.Secret(SecretKind.RECOVERY, value),
        example_keys.KEYRING,
        repository=REPOSITORY.hex(),
        label="",
        created_at="2026-11-22T19:56:44+00:00",
    )
    content = json.loads(key_slot.write_slot(slot))
    assert list(content["kdf"]) == ["name", "salt"]
    info = b"recollect 2026-11-22 key slot recovery"
    key = HKDF(SHA256(), 32, salt=base64.b64decode(content["kdf"]["salt"]), info=info).derive(value)
    told = b"recollect 2026-11-22 key slot" + counted(
        *(str(content[name]).encode() for name in list(content)[:7]),
        *(str(value).encode() for value in content["kdf"].values()),
    )
    wrapped = base64.b64decode(content["keyring"])
    assert AESGCM(key).decrypt(wrapped[:12], wrapped[12:], told)[:32] == ID_KEY


def test_the_recovery_key_and_the_key_file_on_the_page_are_read() -> None:
    found = re.search(r"The bytes `00 01 … 13` are `([0-9A-Z-]+)`", SECTION)
    assert found
    assert typed_secret(found[1]) == secret.Secret(SecretKind.RECOVERY, bytes(range(20)))
    assert secret.new_recovery_key(bytes(range(20)))[1] == found[1]
    number = 0
    for letter in found[1].replace("-", ""):
        number = number * 32 + secret.RECOVERY_ALPHABET.index(letter)
    check = hashlib.sha256(b"recollect 2026-11-22 recovery key" + bytes(range(20))).hexdigest()[:5]
    assert f"{number:045x}" == bytes(range(20)).hex() + check

    content = fenced("keyfile").encode()
    assert key_file_secret("k", content).value == bytes(range(32))
    assert secret.new_key_file(bytes(range(32)))[1] == content
    head, key, check = content.decode().split("\n")[:3]
    assert (head, key) == ("RECOLLECT KEY FILE 1", bytes(range(32)).hex())
    assert check == hashlib.sha256(b"recollect 2026-11-22 key file" + bytes(range(32))).hexdigest()[:8]


@pytest.mark.parametrize(
    "said",
    [
        *(
            f"time {cost.time}, {cost.memory_kib} KiB and lanes {cost.lanes}"
            for cost in (LEAST_COST, MOST_COST, USUAL_COST)
        ),
        f"after {MOST_SLOTS} slots",
        f"1 to {MOST_GENERATIONS})",
        f"at most {key_slot.LONGEST_LABEL} bytes",
        f"at most {key_slot.LONGEST_SLOT // 1024} KiB",
        f"`{secret.RECOVERY_ALPHABET}`",
        *(f'`"{kind}"`' for kind in SecretKind),
    ],
)
def test_the_numbers_and_words_are_those_of_the_code(said: str) -> None:
    assert said in SECTION.replace("\n", " ") or said in SECTION


def test_the_table_of_a_slot_names_every_key_and_no_other() -> None:
    part = SECTION[SECTION.index("**2.3") : SECTION.index("**2.4")]
    named = [
        name for cell in re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]
    assert named == list(json.loads(fenced("json")))


def test_an_open_seal_is_what_the_page_says_made_by_hand() -> None:
    key = blake3(REPOSITORY, derive_key_context="recollect 2026-11-22 open seal").digest()
    tag = blake3(counted(b"blob", b"n") + b"plain", key=key).digest(16)
    assert OpenSeal(REPOSITORY).seal(Purpose.BLOB, b"n", b"plain") == b"\0plain" + tag
