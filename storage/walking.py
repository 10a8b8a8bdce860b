"""Walking the listings of snapshots: every blob that they consist of, and no node fetched twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from storage.errors import Damaged
from storage.format.blob import BlobId
from storage.format.listing import Tree, read_folder_branches, read_folder_leaf, read_pieces_node
from storage.format.manifest import Manifest
from storage.listings import Fetch

_NODES_AT_ONCE = 1024
"""Nodes in memory at one time: some 5 KiB each."""


class Lists(StrEnum):
    """What a node lists."""

    PIECES = "pieces"
    FOLDER = "folder"


class Node(NamedTuple):
    """A node of a listing. What its bytes mean depends on what it lists, and on its level: 0 for a leaf."""

    blob: BlobId
    lists: Lists
    level: int


class NodeQueue:
    """The nodes that are still to be read, each but once, however many snapshots share it."""

    def __init__(self, *, after: NodeQueue | None = None) -> None:
        """What the queue `after` which this one comes has met is not read again."""
        self._met: set[Node] = set() if after is None else set(after._met)
        self._waiting: deque[Node] = deque()

    def add_snapshots(self, manifests: Iterable[Manifest]) -> None:
        """Let the roots of all files and folders of these snapshots wait."""
        for manifest in manifests:
            for file in manifest.files:
                self.add_tree(file.pieces, Lists.PIECES)
            for folder in manifest.folders:
                self.add_tree(folder.entries, Lists.FOLDER)

    def add_tree(self, tree: Tree, lists: Lists) -> None:
        """Let the root of a listing wait, if it has one."""
        if tree.root is not None:
            self._add(Node(tree.root, lists, tree.levels - 1))

    def add_below(self, node: Node, children: Iterable[BlobId]) -> None:
        """Let the nodes that a node names wait."""
        for child in children:
            self._add(Node(child, node.lists, node.level - 1))

    def batches(self) -> Iterator[list[Node]]:
        """The nodes that wait, as many as fit into memory together, until none is added any more."""
        while self._waiting:
            yield [self._waiting.popleft() for _ in range(min(len(self._waiting), _NODES_AT_ONCE))]

    def _add(self, node: Node) -> None:
        if node not in self._met:
            self._met.add(node)
            self._waiting.append(node)


class Walk:
    """A walk over snapshots. What one of them shares with those before it is not walked again."""

    def __init__(
        self, fetch: Fetch, *, damaged: Callable[[BlobId, Damaged], None] | None = None, after: Walk | None = None
    ) -> None:
        """`fetch` reads nodes. One that makes no sense raises `Damaged`, unless `damaged` hears of it.

        What the walk `after` which this one comes has met is not walked again.
        """
        self._fetch = fetch
        self._damaged = damaged
        self._nodes: NodeQueue = NodeQueue(after=after._nodes if after else None)

    def blobs(self, manifests: Iterable[Manifest]) -> Iterator[list[BlobId]]:
        """Every blob that these snapshots name, in batches: nodes, and the pieces in them.

        What was given before is left out, but pieces may come more than once.
        """
        self._nodes.add_snapshots(manifests)
        for batch in self._nodes.batches():
            yield [node.blob for node in batch]
            yield from self._below(batch)

    def _below(self, batch: list[Node]) -> Iterator[list[BlobId]]:
        """The pieces in these nodes; the nodes in them begin to wait."""
        named: dict[BlobId, list[Node]] = {}
        for node in batch:
            named.setdefault(node.blob, []).append(node)
        for blob, content in self._fetch(named):
            for node in named[blob]:
                try:
                    yield self._pieces_in(node, content)
                except Damaged as damage:
                    if self._damaged is None:
                        raise
                    self._damaged(blob, damage)

    def _pieces_in(self, node: Node, content: bytes) -> list[BlobId]:
        if node.lists is Lists.PIECES:
            below = read_pieces_node(content, node.level)
            if node.level == 0:
                return below
            self._nodes.add_below(node, below)
            return []
        if node.level:
            self._nodes.add_below(node, (branch.id for branch in read_folder_branches(content, node.level)))
            return []
        pieces: list[BlobId] = []
        for entry in read_folder_leaf(content):
            if entry.content.levels == 0 and entry.content.root is not None:
                pieces.append(entry.content.root)
            else:
                self._nodes.add_tree(entry.content, Lists.PIECES)
        return pieces
