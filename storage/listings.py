"""Walking a listing from its root: a whole level of nodes is fetched at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

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


def shown_name(name: bytes) -> str:
    """A stored file's name as text; what is no UTF-8 in it becomes an escape."""
    return name.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class LostRange:
    """Files of a folder that can't be listed: those named after `after`, up to and with `to`; None is either end."""

    after: bytes | None
    to: bytes | None

    def __str__(self) -> str:
        after, to = (repr(shown_name(name)) if name else None for name in (self.after, self.to))
        if after and to:
            return f"after {after} up to {to}"
        return f"after {after}" if after else f"up to {to}" if to else "of any name"


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


Lost = Callable[[LostRange, Damaged], None]
"""Hears of files that can't be listed, and why."""


def read_folder(fetch: Fetch, tree: Tree, *, lost: Lost | None = None) -> Iterator[FolderEntry]:
    """The entries of a folder, by name.

    A node that can't be read raises `Damaged`, unless `lost` hears of the files below it: then all others are given.
    `fetch` must leave such nodes out, then. Of a folder whose very root is lost nothing can be given: that raises.
    """
    if tree.root is None:
        return
    if not 0 < tree.levels <= MAX_LEVELS:
        raise _wrong_count()
    reader = _FolderReader(fetch, tree, lost)
    branches = [Branch(None, tree.root)]
    for level in reversed(range(1, tree.levels)):
        branches = reader.branches_below(branches, level)
        if len(branches) > tree.count:
            raise _wrong_count()
    yield from reader.entries_below(branches)


class _FolderReader:
    """Reads a folder's nodes level by level, and tells of those that can't be read."""

    def __init__(self, fetch: Fetch, tree: Tree, lost: Lost | None) -> None:
        self._fetch = fetch
        self._tree = tree
        self._lost = lost
        self._has_lost = False

    def branches_below(self, branches: list[Branch], level: int) -> list[Branch]:
        """The branches in nodes of `level`: their names ascend, so that no node stands in a folder's tree twice."""
        nodes = _nodes(self._fetch, [branch.id for branch in branches])
        below: list[Branch] = []
        last_name = b""
        for branch in branches:
            try:
                children = read_folder_branches(_had(nodes, branch), level)
                _check_order([child.last_name or b"" for child in children], last_name, branch)
            except Damaged as damage:
                self._lose(branch, last_name, damage)
            else:
                below += children
            last_name = branch.last_name or (below[-1].last_name if below else None) or last_name
        return below

    def entries_below(self, branches: list[Branch]) -> Iterator[FolderEntry]:
        """The entries in leaves."""
        seen, last_name = 0, b""
        for start in range(0, len(branches), _LEAVES_AT_ONCE):
            leaves = branches[start : start + _LEAVES_AT_ONCE]
            nodes = _nodes(self._fetch, [leaf.id for leaf in leaves])
            for leaf in leaves:
                try:
                    entries = read_folder_leaf(_had(nodes, leaf))
                    _check_order([entry.name for entry in entries], last_name, leaf)
                except Damaged as damage:
                    self._lose(leaf, last_name, damage)
                else:
                    seen += len(entries)
                    yield from entries
                    last_name = entries[-1].name
                last_name = leaf.last_name or last_name
        if seen > self._tree.count or (seen < self._tree.count and not self._has_lost):
            raise _wrong_count()

    def _lose(self, branch: Branch, after: bytes, damage: Damaged) -> None:
        if self._lost is None or branch.id == self._tree.root:
            raise damage
        self._has_lost = True
        self._lost(LostRange(after or None, branch.last_name), damage)


def _had(nodes: Mapping[BlobId, bytes], branch: Branch) -> bytes:
    """A node that was fetched; one that was left out was lost."""
    if branch.id not in nodes:
        raise _damaged("a part of a folder's listing is lost")
    return nodes[branch.id]


def _check_order(names: list[bytes], after: bytes, branch: Branch) -> None:
    """Names ascend through a level, and the last one below a node is the one that its parent gives."""
    for name in names:
        if name <= after:
            raise _out_of_order()
        after = name
    if branch.last_name not in (None, after):
        raise _out_of_order()


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
