"""AES-256-GCM and the derivation of its keys, by the package `cryptography`: loaded where something is encrypted."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32


class TagWrong(Exception):
    """The bytes are not what was encrypted under this key, or not for this place."""


def encrypt(key: bytes, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    """The ciphertext of `plain` with its tag, which binds it to `bound`."""
    return AESGCM(key).encrypt(nonce, plain, bound)


def decrypt(key: bytes, nonce: bytes, sealed: bytes | memoryview, bound: bytes) -> bytes:
    """What `encrypt` was given. Raises TagWrong."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except InvalidTag:
        raise TagWrong from None


def derived(key: bytes, *, salt: bytes, info: bytes) -> bytes:
    """A key of its own for what `info` says (HKDF-SHA256)."""
    return HKDF(SHA256(), _KEY_BYTES, salt=salt, info=info).derive(key)
