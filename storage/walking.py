"""Walking the listings of snapshots: every blob that they consist of, and no node fetched twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from storage.errors import Damaged
from storage.format.blob import BlobId
from storage.format.listing import Tree, read_folder_branches, read_folder_leaf, read_pieces_node
from storage.format.manifest import Manifest
from storage.listings import Fetch

_NODES_AT_ONCE = 1024
"""Nodes in memory at one time: some 5 KiB each."""

_PIECES = "pieces"
_FOLDER = "folder"

_Node = tuple[BlobId, str, int]
"""A node's id, what it lists, and its level."""


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
        self._met: set[_Node] = set() if after is None else set(after._met)

    def blobs(self, manifests: Iterable[Manifest]) -> Iterator[list[BlobId]]:
        """Every blob that these snapshots name, in batches: nodes, and the pieces in them.

        What was given before is left out, but pieces may come more than once.
        """
        waiting: deque[_Node] = deque()
        for manifest in manifests:
            for file in manifest.files:
                self._meet(waiting, file.pieces, _PIECES)
            for folder in manifest.folders:
                self._meet(waiting, folder.entries, _FOLDER)
        while waiting:
            batch = [waiting.popleft() for _ in range(min(len(waiting), _NODES_AT_ONCE))]
            yield [blob for blob, _, _ in batch]
            yield from self._below(batch, waiting)

    def _below(self, batch: list[_Node], waiting: deque[_Node]) -> Iterator[list[BlobId]]:
        """The pieces in these nodes; the nodes in them begin to wait."""
        named: dict[BlobId, list[_Node]] = {}
        for node in batch:
            named.setdefault(node[0], []).append(node)
        for blob, content in self._fetch(named):
            for node in named[blob]:
                try:
                    yield self._pieces_in(node, content, waiting)
                except Damaged as damage:
                    if self._damaged is None:
                        raise
                    self._damaged(blob, damage)

    def _pieces_in(self, node: _Node, content: bytes, waiting: deque[_Node]) -> list[BlobId]:
        _, lists, level = node
        if lists == _PIECES:
            below = read_pieces_node(content, level)
            if level == 0:
                return below
            for child in below:
                self._wait(waiting, (child, _PIECES, level - 1))
            return []
        if level:
            for branch in read_folder_branches(content, level):
                self._wait(waiting, (branch.id, _FOLDER, level - 1))
            return []
        pieces: list[BlobId] = []
        for entry in read_folder_leaf(content):
            if entry.content.levels == 0 and entry.content.root is not None:
                pieces.append(entry.content.root)
            else:
                self._meet(waiting, entry.content, _PIECES)
        return pieces

    def _meet(self, waiting: deque[_Node], tree: Tree, lists: str) -> None:
        if tree.root is not None:
            self._wait(waiting, (tree.root, lists, tree.levels - 1))

    def _wait(self, waiting: deque[_Node], node: _Node) -> None:
        if node not in self._met:
            self._met.add(node)
            waiting.append(node)
