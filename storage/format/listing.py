"""Listings: trees of blob ids that spell out a file's pieces or a folder's entries. `docs/format.md` §6.

Every node is a blob. A *pieces* node holds 64 ids and no more, so a changed page rewrites one small node a level. A
*folder* is cut where a hash of the entry's own name says so, so an added file rewrites the node it falls into and
leaves its neighbours alone, wherever in the alphabet it stands.

    magic "RL" | type (u8) | level (u8) | count (u32) | the entries
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from blake3 import blake3

from storage.errors import Damaged
from storage.format.blob import BLOB_ID_BYTES, PART_BYTES, BlobId

PIECES_PER_NODE = 64
_CUT_BITS = 5
"""Nodes of 32 entries on average: of 50 000 files one more rewrites some 13 KB, with six bits 20 KB."""

_MAX_ENTRIES = 1024
MAX_LEVELS = 8
"""64^8 pieces are more than any disk holds; a deeper tree is a trap."""

MAX_COUNT = 1 << 26
"""Pieces of a file, or entries of a folder: 256 GiB of collection. A tree that claims more is a trap."""

MAX_NAME_BYTES = 4096
"""The longest name of an entry: as long as a path may be on Linux; it keeps a node below the longest blob."""

_MAGIC = b"RL"
_PIECES = 1
_FOLDER = 2
_HEAD = struct.Struct("<2sBBI")
_FILE = struct.Struct("<QqBI")
_NAME = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class Tree:
    """The root of a listing: `count` pieces or entries, below `levels` levels of nodes (0 when there is nothing)."""

    root: BlobId | None
    levels: int
    count: int


NOTHING = Tree(None, 0, 0)


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A file of a folder: its name as the file system's bytes, its size, its time, and the pieces it is made of.

    The name is relative, its parts separated by `/` if it has several. The file is cut into pieces of `PART_BYTES`; one
    of a single piece holds that piece's id in `content.root` with no level of nodes (`levels` 0, `count` 1).
    """

    name: bytes
    size: int
    mtime_ns: int
    content: Tree


@dataclass(frozen=True, slots=True)
class Branch:
    """A child of an inner folder node: the name of the last entry below it (None for the root), and its id."""

    last_name: bytes | None
    id: BlobId


NewNode = tuple[BlobId, bytes]
Identify = Callable[[bytes], BlobId]


def pieces_tree(ids: Sequence[BlobId], identify: Identify) -> tuple[Tree, list[NewNode]]:
    """The tree over the pieces of a file, and its nodes."""
    if not ids:
        return NOTHING, []
    if len(ids) > MAX_COUNT:
        raise ValueError(f"A file of {len(ids)} pieces is longer than any reader accepts")
    nodes: list[NewNode] = []
    level, current = 0, list(ids)
    while level == 0 or len(current) > 1:
        above: list[BlobId] = []
        for start in range(0, len(current), PIECES_PER_NODE):
            group = current[start : start + PIECES_PER_NODE]
            content = _HEAD.pack(_MAGIC, _PIECES, level, len(group)) + b"".join(group)
            node = identify(content)
            nodes.append((node, content))
            above.append(node)
        current, level = above, level + 1
    return Tree(current[0], level, len(ids)), nodes


def file_content(ids: Sequence[BlobId], identify: Identify) -> tuple[Tree, list[NewNode]]:
    """The content of a folder's file: a single piece needs no node of its own."""
    if len(ids) == 1:
        return Tree(ids[0], 0, 1), []
    return pieces_tree(ids, identify)


def folder_tree(entries: Iterable[FolderEntry], identify: Identify) -> tuple[Tree, list[NewNode]]:
    """The tree over a folder's entries, which are sorted by name here, and its nodes.

    ValueError when no reader would accept an entry: two of one name, a name that leads out of the folder, a size that
    is not that of the pieces.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    if not ordered:
        return NOTHING, []
    if len(ordered) > MAX_COUNT or any(one.name == next_one.name for one, next_one in pairwise(ordered)):
        raise ValueError("A folder names a file twice, or more files than any reader accepts")
    nodes: list[NewNode] = []
    level = 0
    current = [(entry.name, _pack_entry(entry)) for entry in ordered]
    while level == 0 or len(current) > 1:
        above: list[tuple[bytes, bytes]] = []
        for group in _cut(current, level):
            content = _HEAD.pack(_MAGIC, _FOLDER, level, len(group)) + b"".join(packed for _, packed in group)
            node = identify(content)
            nodes.append((node, content))
            above.append((group[-1][0], _pack_branch(group[-1][0], node)))
        current, level = above, level + 1
    return Tree(BlobId(current[0][1][-BLOB_ID_BYTES:]), level, len(ordered)), nodes


def _cut(items: list[tuple[bytes, bytes]], level: int) -> Iterable[list[tuple[bytes, bytes]]]:
    """Groups that end where five bits of the last name's hash, other bits on each level, are all zero."""
    group: list[tuple[bytes, bytes]] = []
    for item in items:
        group.append(item)
        bits = int.from_bytes(blake3(item[0]).digest(8), "little") >> (_CUT_BITS * level)
        # A level of one group would repeat itself for ever, were every name a cut: two children at least make a node.
        if (bits % (1 << _CUT_BITS) == 0 and len(group) > 1) or len(group) == _MAX_ENTRIES:
            yield group
            group = []
    if group:
        yield group


def _pack_entry(entry: FolderEntry) -> bytes:
    content = entry.content
    if not _is_plausible(entry):
        raise ValueError(f"No reader would accept the folder entry {entry.name!r} of {entry.size} bytes")
    # Some filesystems hold times far beyond what nanoseconds in 64 bits can say (the year 2262).
    mtime_ns = min(max(entry.mtime_ns, -(2**63)), 2**63 - 1)
    return b"".join(
        (
            _NAME.pack(len(entry.name)),
            entry.name,
            _FILE.pack(entry.size, mtime_ns, content.levels, content.count),
            content.root or b"",
        )
    )


def _is_plausible(entry: FolderEntry) -> bool:
    """Whether an entry's name stays in its folder, and its size is that of its pieces."""
    tree = entry.content
    return (
        0 < len(entry.name) <= MAX_NAME_BYTES
        and b"\0" not in entry.name
        and not any(part in {b"", b".", b".."} for part in entry.name.split(b"/"))
        and tree.count == -(-entry.size // PART_BYTES)
        and tree.count <= MAX_COUNT
        and (tree.root is None) == (tree.count == 0)
        and (tree.levels == 0 if tree.count <= 1 else 0 < tree.levels <= MAX_LEVELS)
    )


def _pack_branch(last_name: bytes, node: BlobId) -> bytes:
    return _NAME.pack(len(last_name)) + last_name + node


def read_pieces_node(content: bytes, level: int) -> list[BlobId]:
    """The ids in a pieces node that must stand on `level`."""
    count = _read_head(content, _PIECES, level)
    if count > PIECES_PER_NODE or len(content) != _HEAD.size + count * BLOB_ID_BYTES:
        raise _damaged()
    return [BlobId(content[start : start + BLOB_ID_BYTES]) for start in range(_HEAD.size, len(content), BLOB_ID_BYTES)]


def read_folder_leaf(content: bytes) -> list[FolderEntry]:
    """The entries in a folder node of level 0."""
    reader = _Reader(content, _read_head(content, _FOLDER, 0))
    entries = []
    for _ in range(reader.count):
        name = reader.name()
        size, mtime_ns, levels, count = _FILE.unpack(reader.take(_FILE.size))
        root = BlobId(reader.take(BLOB_ID_BYTES)) if count else None
        entry = FolderEntry(name, size, mtime_ns, Tree(root, levels, count))
        if not _is_plausible(entry):
            raise _damaged()
        entries.append(entry)
    reader.end()
    return entries


def read_folder_branches(content: bytes, level: int) -> list[Branch]:
    """The children in a folder node above level 0."""
    reader = _Reader(content, _read_head(content, _FOLDER, level))
    branches = [Branch(reader.name(), BlobId(reader.take(BLOB_ID_BYTES))) for _ in range(reader.count)]
    reader.end()
    return branches


def _read_head(content: bytes, node_type: int, level: int) -> int:
    if len(content) < _HEAD.size:
        raise _damaged()
    magic, found_type, found_level, count = _HEAD.unpack_from(content)
    if magic != _MAGIC or found_type != node_type or found_level != level or not 0 < count <= _MAX_ENTRIES:
        raise _damaged()
    return int(count)


class _Reader:
    """Takes a node apart and never reads past its end."""

    def __init__(self, content: bytes, count: int) -> None:
        self._content = content
        self._at = _HEAD.size
        self.count = count

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._content):
            raise _damaged()
        piece = self._content[self._at : end]
        self._at = end
        return piece

    def name(self) -> bytes:
        return self.take(_NAME.unpack(self.take(_NAME.size))[0])

    def end(self) -> None:
        if self._at != len(self._content):
            raise _damaged()


def _damaged() -> Damaged:
    return Damaged(
        "Damage in the repository: a listing can't be read",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
