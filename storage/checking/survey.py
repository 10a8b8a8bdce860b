"""A survey of snapshots: whether their listings are complete, and what each of them lacks.

Snapshots share most of their nodes: each is fetched and taken apart once, whatever the number of snapshots. What
stands below it is then added up from the leaves, so that every rule that a reader holds a listing to
(`storage/listings.py`) is held here for all snapshots at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from storage.errors import Damaged
from storage.format.blob import BlobId
from storage.format.listing import (
    PIECES_PER_NODE,
    Branch,
    FolderEntry,
    Tree,
    read_folder_branches,
    read_folder_leaf,
    read_pieces_node,
)
from storage.format.manifest import Manifest
from storage.listings import LostRange
from storage.walking import Lists, Node, NodeQueue


class Read(Protocol):
    """Reads blobs as `Repository.read` does."""

    def __call__(
        self, blobs: Iterable[BlobId], *, damaged: Callable[[BlobId, Damaged], None] | None = None
    ) -> Iterator[tuple[BlobId, bytes]]: ...


Lacks = Callable[[list[BlobId]], set[BlobId]]
"""Those of many blobs that can't be had."""


@dataclass(frozen=True, slots=True)
class _PiecesNode:
    """A node of a file's listing: the nodes below it, or how many pieces it names and how many of them are there."""

    below: tuple[BlobId, ...]
    pieces: int
    whole: int


@dataclass(frozen=True, slots=True)
class _FolderNode:
    """A node of a folder's listing: its branches, or what its entries come to; and the first and last name in it."""

    branches: tuple[Branch, ...]
    entries: int
    first: bytes
    last: bytes
    ascending: bool
    lost: tuple[FolderEntry, ...]
    """Entries of one piece that is not there."""
    long: tuple[FolderEntry, ...]
    """Entries of several pieces, which have listings of their own."""


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What stands below a node of a file's listing. `counts` has the ids named on each level, from the lowest on."""

    counts: tuple[int, ...]
    whole: int
    listed: bool
    """Whether every node could be read."""


@dataclass(frozen=True, slots=True)
class _Entries:
    """What stands below a node of a folder's listing; `lowest` is the first name in its first leaf."""

    count: int
    lowest: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class LostEntry:
    """A file of a folder that can't be had whole."""

    entry: FolderEntry


Spot = LostEntry | LostRange


class Survey:
    """A survey under way: `explore` first, then ask what is lost."""

    def __init__(self, read: Read, lacks: Lacks) -> None:
        """`lacks` is asked once about every blob that is named, nodes among them."""
        self._read = read
        self._lacks = lacks
        self._nodes = NodeQueue()
        self._pieces_nodes: dict[tuple[BlobId, int], _PiecesNode] = {}
        self._folder_nodes: dict[tuple[BlobId, int], _FolderNode] = {}
        self._pieces: dict[tuple[BlobId, int], _Pieces | None] = {}
        self._entries: dict[tuple[BlobId, int], _Entries | None] = {}
        self.unreadable: set[BlobId] = set()
        """Nodes that could not be had or read."""

    def explore(self, manifests: Iterable[Manifest], advance: Callable[[int], None] = lambda _: None) -> None:
        """Take every listing of these snapshots apart; `advance` hears of the bytes of nodes."""
        self._nodes.add_snapshots(manifests)
        for batch in self._nodes.batches():
            advance(self._take_apart(batch))

    def whole_pieces(self, tree: Tree) -> int:
        """How many pieces of a file can be had and are in their place; all, when the file can be had whole."""
        if tree.root is None:
            return 0
        found = self._pieces_below(tree.root, tree.levels - 1)
        if found is None or not found.listed:
            return min(found.whole if found else 0, tree.count - 1)
        # A reader checks the number of ids on each level: every node but the last of a level is full.
        right = all(count == -(-tree.count // PIECES_PER_NODE**level) for level, count in enumerate(found.counts))
        return found.whole if right else 0

    def lost_in(self, tree: Tree) -> list[tuple[BlobId | None, tuple[Spot, ...]]]:
        """What can't be had of a folder: node by node, for folders share nodes; None stands for no node."""
        if tree.root is None:
            return []
        level = tree.levels - 1
        found = self._entries_below(tree.root, level)
        if found is None:
            return [(None, (LostRange(None, None),))]
        if found.whole and found.count == tree.count:
            return []
        spots: list[tuple[BlobId | None, tuple[Spot, ...]]] = []
        count = self._descend(Branch(None, tree.root), level, b"", spots)
        if count != tree.count and not any(isinstance(spot, LostRange) for _, group in spots for spot in group):
            # Its readers refuse a listing that names more or fewer files than its snapshot says.
            spots.append((None, (LostRange(None, None),)))
        return spots

    def _take_apart(self, batch: list[Node]) -> int:
        """Read nodes, and let those below them wait; returns how many bytes they had."""
        self._lacks([node.blob for node in batch])
        contents = self._contents({node.blob for node in batch})
        named: list[tuple[Node, list[BlobId]]] = []
        leaves: list[tuple[Node, list[FolderEntry]]] = []
        for node in batch:
            content = contents.get(node.blob)
            try:
                if content is None:
                    self.unreadable.add(node.blob)
                elif node.lists is Lists.PIECES:
                    self._pieces_node(node, read_pieces_node(content, node.level), named)
                elif node.level:
                    branches = read_folder_branches(content, node.level)
                    self._folder_nodes[node.blob, node.level] = _branching(branches)
                    self._nodes.add_below(node, (branch.id for branch in branches))
                else:
                    leaves.append((node, read_folder_leaf(content)))
            except Damaged:
                self.unreadable.add(node.blob)
        self._weigh(named, leaves)
        return sum(map(len, contents.values()))

    def _contents(self, blobs: set[BlobId]) -> dict[BlobId, bytes]:
        lost: list[BlobId] = []
        contents = dict(self._read(blobs, damaged=lambda blob, _: lost.append(blob)))
        if lost:
            # What came damaged once may have been damaged on its way.
            contents.update(self._read(list(lost), damaged=lambda *_: None))
        return contents

    def _pieces_node(self, node: Node, below: list[BlobId], named: list[tuple[Node, list[BlobId]]]) -> None:
        if node.level == 0:
            named.append((node, below))
            return
        self._pieces_nodes[node.blob, node.level] = _PiecesNode(tuple(below), 0, 0)
        self._nodes.add_below(node, below)

    def _weigh(self, named: list[tuple[Node, list[BlobId]]], leaves: list[tuple[Node, list[FolderEntry]]]) -> None:
        """Ask about all the pieces that a batch of leaves names, at once."""
        asked = [piece for _, pieces in named for piece in pieces]
        asked += [root for _, entries in leaves for entry in entries if (root := _only_piece(entry)) is not None]
        lacking = self._lacks(asked)
        for (blob, _, level), pieces in named:
            lost = sum(piece in lacking for piece in pieces) if lacking else 0
            self._pieces_nodes[blob, level] = _PiecesNode((), len(pieces), len(pieces) - lost)
        for (blob, _, level), entries in leaves:
            self._folder_nodes[blob, level] = _leaf(entries, lacking)
            for entry in entries:
                if entry.content.levels:
                    self._nodes.add_tree(entry.content, Lists.PIECES)

    def _pieces_below(self, blob: BlobId, level: int) -> _Pieces | None:
        key = (blob, level)
        if key not in self._pieces:
            self._pieces[key] = self._added_up(self._pieces_nodes.get(key), level)
        return self._pieces[key]

    def _added_up(self, node: _PiecesNode | None, level: int) -> _Pieces | None:
        if node is None:
            return None
        if level == 0:
            return _Pieces((node.pieces,), node.whole, listed=True)
        below = [self._pieces_below(child, level - 1) for child in node.below]
        found = [one for one in below if one is not None]
        counts = tuple(sum(one.counts[number] for one in found) for number in range(level))
        return _Pieces(
            (*counts, len(node.below)),
            sum(one.whole for one in found),
            listed=len(found) == len(below) and all(one.listed for one in found),
        )

    def _entries_below(self, blob: BlobId, level: int) -> _Entries | None:
        key = (blob, level)
        if key not in self._entries:
            node = self._folder_nodes.get(key)
            self._entries[key] = None if node is None else self._entries_of(node, level)
        return self._entries[key]

    def _entries_of(self, node: _FolderNode, level: int) -> _Entries:
        if level == 0:
            whole = node.ascending and not node.lost and all(self._is_whole(entry) for entry in node.long)
            return _Entries(node.entries, node.first, whole)
        count, whole, lowest, after = 0, node.ascending, b"", b""
        for number, branch in enumerate(node.branches):
            found = self._entries_below(branch.id, level - 1)
            if found is not None:
                count += found.count
                lowest = lowest if number else found.lowest
            below = self._folder_nodes.get((branch.id, level - 1))
            whole = whole and found is not None and found.whole and found.lowest > after
            whole = whole and below is not None and below.last == branch.last_name
            after = branch.last_name or after
        return _Entries(count, lowest, whole)

    def _is_whole(self, entry: FolderEntry) -> bool:
        return self.whole_pieces(entry.content) == entry.content.count

    def _descend(
        self, branch: Branch, level: int, after: bytes, spots: list[tuple[BlobId | None, tuple[Spot, ...]]]
    ) -> int:
        """Find what is lost below a node whose names follow `after`; returns how many entries are listed there."""
        node, found = self._folder_nodes.get((branch.id, level)), self._entries_below(branch.id, level)
        if node is None or found is None or not _is_in_place(node, after, branch):
            spots.append((None, (LostRange(after or None, branch.last_name),)))
            return 0
        if found.whole and found.lowest > after:
            return found.count
        if level == 0:
            lost = (*node.lost, *(entry for entry in node.long if not self._is_whole(entry)))
            spots.append((branch.id, tuple(LostEntry(entry) for entry in lost)))
            return found.count
        count = 0
        for child in node.branches:
            count += self._descend(child, level - 1, after, spots)
            after = child.last_name or after
        return count


def _is_in_place(node: _FolderNode, after: bytes, branch: Branch) -> bool:
    """Whether the names in a node ascend, follow `after`, and end as its parent says."""
    return node.ascending and node.first > after and branch.last_name in (None, node.last)


def _branching(branches: list[Branch]) -> _FolderNode:
    names = [branch.last_name or b"" for branch in branches]
    return _FolderNode(tuple(branches), 0, names[0], names[-1], ascending=_ascend(names), lost=(), long=())


def _leaf(entries: list[FolderEntry], lacking: set[BlobId]) -> _FolderNode:
    names = [entry.name for entry in entries]
    return _FolderNode(
        (),
        len(entries),
        names[0],
        names[-1],
        ascending=_ascend(names),
        lost=tuple(entry for entry in entries if _only_piece(entry) in lacking) if lacking else (),
        long=tuple(entry for entry in entries if entry.content.levels),
    )


def _ascend(names: list[bytes]) -> bool:
    return all(one < other for one, other in pairwise(names))


def _only_piece(entry: FolderEntry) -> BlobId | None:
    return None if entry.content.levels else entry.content.root
