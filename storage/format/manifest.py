"""Manifests: what a snapshot is, told without opening it. `docs/format.md` §7.

A snapshot exists if and only if its manifest does. It is a sealed JSON object; an unknown key is an error, so that a
newer writer's promise is never silently dropped.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NewType

from blake3 import blake3

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import MAX_BLOB_BYTES, BlobId
from storage.format.listing import MAX_COUNT, MAX_LEVELS, NOTHING, Tree
from storage.format.sealed_json import framed, unframed
from storage.format.sealing import MOST_ADDED_BYTES, Purpose, Seal

SnapshotId = NewType("SnapshotId", str)
"""`<UTC time>-<8 hex digits>`, as in `20261122T195644Z-1a2b3c4d`: sorts by time, and is its manifest's file name."""

ProfileKey = NewType("ProfileKey", str)
"""Names a profile of one machine within a repository: readable, and safe as a folder name everywhere."""

MANIFEST_FORMAT = 1
MAX_MANIFEST_BYTES = 1024 * 1024
LARGEST_MANIFEST = MAX_MANIFEST_BYTES + MOST_ADDED_BYTES
"""Bytes of a manifest as it is stored."""

_MAX_NAME_BYTES = 255
Fact = str | int | float | bool | None

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,48}-[0-9a-f]{8}")
_BLOB_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a snapshot: its size in bytes, cut into pieces of `piece_bytes` listed by `pieces`."""

    name: str
    size: int
    piece_bytes: int
    pieces: Tree


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder of a snapshot: how many files and bytes it holds, listed by `entries`."""

    name: str
    size: int
    entries: Tree


@dataclass(frozen=True, slots=True)
class Manifest:
    """One snapshot: one profile at one moment."""

    id: SnapshotId
    profile: str
    profile_key: ProfileKey
    host: str
    source: str
    taken_at: datetime
    """When, in the local time of the machine it was taken on, with its offset."""
    parent: SnapshotId | None
    files: tuple[StoredFile, ...]
    folders: tuple[StoredFolder, ...]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What a person asks of a backup: counts, how it was taken and proven, what it cost (`docs/format.md` §7)."""

    def file(self, name: str) -> StoredFile | None:
        """The file of that name."""
        return next((file for file in self.files if file.name == name), None)

    def folder(self, name: str) -> StoredFolder | None:
        """The folder of that name."""
        return next((folder for folder in self.folders if folder.name == name), None)

    def holds_the_same_as(self, other: Manifest) -> bool:
        """Whether both name the same files and folders with the same content, whatever else they say."""
        return (self.files, self.folders) == (other.files, other.folders)


def new_snapshot_id(taken_at: datetime, random_bytes: bytes) -> SnapshotId:
    """The id of a snapshot taken at `taken_at`."""
    return SnapshotId(f"{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes[:4].hex()}")


def renamed(manifest: Manifest) -> Manifest:
    """The same snapshot under a new id, for names in a repository are never used twice; its facts tell the old ones."""
    # Ids of one second sort by what they have in front.
    place = bytes.fromhex(manifest.id[-8:-4])
    facts = {**manifest.facts, "replaces": " ".join((*earlier_ids(manifest), manifest.id))}
    return replace(manifest, id=new_snapshot_id(manifest.taken_at, place + os.urandom(2)), facts=facts)


def earlier_ids(manifest: Manifest) -> tuple[str, ...]:
    """The ids that this very snapshot had before, oldest first."""
    replaced = manifest.facts.get("replaces")
    return tuple(replaced.split()) if isinstance(replaced, str) else ()


def snapshot_time(snapshot: SnapshotId) -> datetime:
    """When a snapshot was taken, in UTC, to the second."""
    return datetime.strptime(snapshot[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def is_snapshot_id(text: str) -> bool:
    """Whether a snapshot may go by that name."""
    return _ID.fullmatch(text) is not None


def profile_key(profile: str, host: str, source: str) -> ProfileKey:
    """The key of a profile: its name as far as that is safe, and a digest that tells machines and folders apart."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", profile).strip("-")[:40] or "profile"
    digest = blake3("\0".join((host, source, profile)).encode("utf-8", "surrogatepass")).hexdigest(4)
    return ProfileKey(f"{readable}-{digest}")


def snapshot_of_name(name: str) -> tuple[ProfileKey, SnapshotId] | None:
    """What a stored object's name below `snapshots/` or `trash/` stands for, None when it is no manifest's name."""
    _, _, rest = name.partition("/")
    key, _, stem = rest.partition("/")
    if not _KEY.fullmatch(key) or not _ID.fullmatch(stem):
        return None
    try:
        snapshot_time(SnapshotId(stem))
    except ValueError:
        return None
    return ProfileKey(key), SnapshotId(stem)


def snapshot_name(key: ProfileKey, snapshot: SnapshotId) -> str:
    """The name under which a manifest is stored."""
    return f"snapshots/{key}/{snapshot}"


def trash_name(key: ProfileKey, snapshot: SnapshotId) -> str:
    """The name under which a manifest waits to be swept once its snapshot was forgotten."""
    return f"trash/{key}/{snapshot}"


def write_manifest(seal: Seal, manifest: Manifest) -> bytes:
    """The bytes of a manifest, read back before they are returned: what can't be read must never be committed."""
    content = {
        "format": MANIFEST_FORMAT,
        "id": manifest.id,
        "profile": manifest.profile,
        "profile_key": manifest.profile_key,
        "host": manifest.host,
        "source": manifest.source,
        "taken_at": manifest.taken_at.isoformat(),
        "parent": manifest.parent,
        "files": [
            {"name": file.name, "size": file.size, "piece_bytes": file.piece_bytes, "pieces": _tree_json(file.pieces)}
            for file in manifest.files
        ],
        "folders": [
            {"name": folder.name, "size": folder.size, "entries": _tree_json(folder.entries)}
            for folder in manifest.folders
        ],
        "facts": dict(manifest.facts),
    }
    try:
        # Escaped to ASCII: a name that is no valid Unicode (a lone surrogate) survives that way.
        plain = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
        name = snapshot_name(manifest.profile_key, manifest.id).encode()
        stored = seal.seal(Purpose.MANIFEST, name, framed(plain))
        if read_manifest(seal, manifest.profile_key, manifest.id, stored) != manifest:
            raise ValueError("it reads back as another")
    except (Damaged, TypeError, ValueError) as fault:
        raise Damaged(
            f"The manifest of the snapshot {manifest.id} could not be read back, so it was not stored",
            "Report this to the makers of Recollect; the snapshots that were stored before are not touched",
        ) from fault
    return stored


def read_manifest(seal: Seal, key: ProfileKey, snapshot: SnapshotId, stored: bytes) -> Manifest:
    """The manifest stored for `snapshot`, every field checked."""
    name = snapshot_name(key, snapshot)
    packed = seal.unseal(Purpose.MANIFEST, name.encode(), stored)
    try:
        plain = unframed(packed, MAX_MANIFEST_BYTES)
    except ValueError as fault:
        raise _damaged(name, "its length makes no sense") from fault
    try:
        content = json.loads(plain, parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        raise _damaged(name, "it is not JSON") from fault
    if not isinstance(content, dict) or type(found := content.get("format")) is not int or found != MANIFEST_FORMAT:
        raise UnsupportedFormat(
            f"The snapshot {snapshot} was written by another version of Recollect", "Update Recollect and try again"
        )
    try:
        manifest = _manifest_of(content)
    except (KeyError, TypeError, ValueError, OverflowError) as fault:
        raise _damaged(name, "a field is not as it should be") from fault
    if (manifest.profile_key, manifest.id) != (key, snapshot):
        raise _damaged(name, "it belongs to another snapshot")
    return manifest


def _manifest_of(content: dict[str, Any]) -> Manifest:
    fields = _exactly(
        content,
        "format id profile profile_key host source taken_at parent files folders facts",
    )
    taken_at = datetime.fromisoformat(_text(fields["taken_at"]))
    if taken_at.utcoffset() is None:
        raise ValueError("taken_at has no offset")
    identity = _snapshot_id(fields["id"])
    if snapshot_time(identity) != taken_at.astimezone(UTC).replace(microsecond=0):
        raise ValueError("taken_at is not the time in the id")
    facts = fields["facts"]
    if not isinstance(facts, dict) or not all(map(_is_fact, facts.values())):
        raise ValueError("facts")
    files = tuple(_file_of(_exactly(item, "name size piece_bytes pieces")) for item in fields["files"])
    folders = tuple(_folder_of(_exactly(item, "name size entries")) for item in fields["folders"])
    names = [name.casefold() for name in (*(file.name for file in files), *(folder.name for folder in folders))]
    if len(set(names)) != len(names):
        raise ValueError("two of one name")
    return Manifest(
        id=identity,
        profile=_text(fields["profile"]),
        profile_key=ProfileKey(_text(fields["profile_key"])),
        host=_text(fields["host"]),
        source=_text(fields["source"]),
        taken_at=taken_at,
        parent=None if fields["parent"] is None else _snapshot_id(fields["parent"]),
        files=files,
        folders=folders,
        facts=facts,
    )


def _file_of(fields: dict[str, Any]) -> StoredFile:
    size, piece_bytes = _number(fields["size"]), _number(fields["piece_bytes"])
    pieces = _tree_of(fields["pieces"])
    if not 0 < piece_bytes <= MAX_BLOB_BYTES or pieces.count != -(-size // piece_bytes):
        raise ValueError("size")
    return StoredFile(_plain_name(fields["name"]), size, piece_bytes, pieces)


def _folder_of(fields: dict[str, Any]) -> StoredFolder:
    return StoredFolder(_plain_name(fields["name"]), _number(fields["size"]), _tree_of(fields["entries"]))


def _tree_json(tree: Tree) -> dict[str, Any]:
    return {"root": tree.root.hex() if tree.root else None, "levels": tree.levels, "count": tree.count}


def _tree_of(item: Any) -> Tree:
    fields = _exactly(item, "root levels count")
    levels, count = _number(fields["levels"]), _number(fields["count"])
    if fields["root"] is None:
        if levels or count:
            raise ValueError("root")
        return NOTHING
    root = _text(fields["root"])
    if not _BLOB_ID.fullmatch(root) or not 0 < levels <= MAX_LEVELS or not 0 < count <= MAX_COUNT:
        raise ValueError("root")
    return Tree(BlobId(bytes.fromhex(root)), levels, count)


def _exactly(item: Any, names: str) -> dict[str, Any]:
    if not isinstance(item, dict) or set(item) != set(names.split()):
        raise ValueError("keys")
    return item


def _snapshot_id(value: Any) -> SnapshotId:
    if not is_snapshot_id(_text(value)):
        raise ValueError("id")
    return SnapshotId(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("number")
    return value


def _is_fact(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    # Numbers are for tables, which hold no larger ones.
    return isinstance(value, Fact) and (not isinstance(value, int) or -(2**63) <= value < 2**63)


def _plain_name(value: Any) -> str:
    name = _text(value)
    # Encoding finds lone surrogates, which no file can be named by.
    if not 0 < len(name.encode()) <= _MAX_NAME_BYTES or name in {".", ".."} or not set(name).isdisjoint("/\\\0:"):
        raise ValueError("name")
    return name


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _damaged(name: str, how: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: the manifest {name} can't be used, {how}",
        "Restore another snapshot: list them with `recollect snapshots`",
    )
