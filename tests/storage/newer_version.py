"""Manifests as a version of Recollect that is yet to come may write them."""

from __future__ import annotations

import json

from storage.format.compression import compress, decompress
from storage.format.manifest import snapshot_name
from storage.format.sealing import Purpose, Seal
from storage.repository import SnapshotRef
from storage.store import Store


def make_it_of_a_newer_version(store: Store, seal: Seal, ref: SnapshotRef) -> None:
    """Let the manifest of a snapshot in place say that it is of another format."""
    name = snapshot_name(ref.profile_key, ref.id)
    packed = seal.unseal(Purpose.MANIFEST, name.encode(), store.read(name))
    content = json.loads(decompress(packed[4:], int.from_bytes(packed[:4], "little")))
    plain = json.dumps(content | {"format": 99}).encode()
    stored = len(plain).to_bytes(4, "little") + compress(plain)
    store.write(name, seal.seal(Purpose.MANIFEST, name.encode(), stored))
