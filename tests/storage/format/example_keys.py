"""Prints the examples of `docs/format.md` §2: `python -m tests.storage.format.example_keys`."""

from __future__ import annotations

from unittest import mock

from storage.format.key_slot import LEAST_COST, KeySlot, wrapped_in, write_slot
from storage.format.keyring import Keyring
from storage.format.sealing import AesSeal, Purpose
from storage.format.secret import SecretKind, new_key_file, new_recovery_key, typed_secret

REPOSITORY_ID = bytes(range(16))
KEYRING = Keyring(bytes(range(0x20, 0x40)), ((1, bytes(range(0x40, 0x60))), (2, bytes(range(0x60, 0x80)))))
NONCE = bytes(range(0xC0, 0xCC))
SALT = bytes(range(0xB0, 0xC0))
NAME = b"index/000102030405060708090a0b0c0d0e0f"
PLAIN = b"Hello, Anki!"
PASSPHRASE = "correct horse battery staple"


def sealed() -> bytes:
    """The plain bytes sealed as an index file, under the newest key."""
    with mock.patch("storage.format.sealing.os.urandom", lambda length: NONCE[:length]):
        return AesSeal(REPOSITORY_ID, KEYRING).seal(Purpose.INDEX, NAME, PLAIN)


def slot() -> KeySlot:
    """A slot that the passphrase opens."""
    empty = KeySlot(
        id="d0d1d2d3d4d5d6d7",
        repository=REPOSITORY_ID.hex(),
        kind=SecretKind.PASSPHRASE,
        label="Ada's laptop",
        created_at="2026-11-22T19:56:44+00:00",
        generation=KEYRING.newest,
        salt=SALT,
        cost=LEAST_COST,
        wrapped=b"",
    )
    return wrapped_in(empty, typed_secret(PASSPHRASE), KEYRING, nonce=NONCE)


if __name__ == "__main__":
    print(AesSeal(REPOSITORY_ID, KEYRING).blob_id(PLAIN).hex())
    print(sealed().hex())
    print(write_slot(slot()).decode())
    print(new_recovery_key(bytes(range(20)))[1])
    print(new_key_file(bytes(range(32)))[1].decode())
