"""Walking a listing from its root: a whole level of nodes is fetched at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from storage.errors import Damaged
from storage.format.blob import BlobId
from storage.format.listing import (
    MAX_COUNT,
    MAX_LEVELS,
    PIECES_PER_NODE,
    Branch,
    FolderEntry,
    Tree,
    read_folder_branches,
    read_folder_leaf,
    read_pieces_node,
)

Fetch = Callable[[Iterable[BlobId]], Iterator[tuple[BlobId, bytes]]]
"""Gives each blob asked for once, in any order."""

_LEAVES_AT_ONCE = 256
"""Leaves of a folder in memory at one time: some 5 KiB each."""


def read_pieces(fetch: Fetch, tree: Tree) -> list[BlobId]:
    """The ids of a file's pieces, in order."""
    if tree.root is None:
        return []
    if tree.levels > MAX_LEVELS or tree.count > MAX_COUNT:
        raise _wrong_count()
    level_ids = [tree.root]
    for level in reversed(range(tree.levels)):
        nodes = _nodes(fetch, level_ids)
        level_ids = [piece for node in level_ids for piece in read_pieces_node(nodes[node], level)]
        # Every node but the last of a level is full. A node may stand in a tree many times (a stretch of equal pages
        # does), so a few of them could spell out more ids than memory holds, were the count not checked on each level.
        if len(level_ids) != -(-tree.count // PIECES_PER_NODE**level):
            raise _wrong_count()
    if len(level_ids) != tree.count:
        raise _wrong_count()
    return level_ids


def read_folder(fetch: Fetch, tree: Tree) -> Iterator[FolderEntry]:
    """The entries of a folder, by name."""
    if tree.root is None:
        return
    if not 0 < tree.levels <= MAX_LEVELS:
        raise _wrong_count()
    branches = [Branch(None, tree.root)]
    for level in reversed(range(1, tree.levels)):
        branches = _branches_below(_nodes(fetch, [branch.id for branch in branches]), branches, level)
        if len(branches) > tree.count:
            raise _wrong_count()
    seen, last_name = 0, b""
    for start in range(0, len(branches), _LEAVES_AT_ONCE):
        leaves = branches[start : start + _LEAVES_AT_ONCE]
        nodes = _nodes(fetch, [leaf.id for leaf in leaves])
        for leaf in leaves:
            for entry in read_folder_leaf(nodes[leaf.id]):
                if entry.name <= last_name:
                    raise _out_of_order()
                seen, last_name = seen + 1, entry.name
                yield entry
            if leaf.last_name not in (None, last_name):
                raise _out_of_order()
    if seen != tree.count:
        raise _wrong_count()


def _branches_below(nodes: Mapping[BlobId, bytes], branches: Iterable[Branch], level: int) -> list[Branch]:
    """The branches in nodes of `level`: their names ascend, so that no node stands in a folder's tree twice."""
    below: list[Branch] = []
    last_name = b""
    for branch in branches:
        for child in read_folder_branches(nodes[branch.id], level):
            if child.last_name is None or child.last_name <= last_name:
                raise _out_of_order()
            last_name = child.last_name
            below.append(child)
        if branch.last_name not in (None, last_name):
            raise _out_of_order()
    return below


def _nodes(fetch: Fetch, ids: Iterable[BlobId]) -> Mapping[BlobId, bytes]:
    return dict(fetch(ids))


def _out_of_order() -> Damaged:
    return _damaged("the entries of a folder are out of order")


def _wrong_count() -> Damaged:
    return _damaged("a listing names more or fewer pieces than its snapshot says")


def _damaged(how: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {how}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
