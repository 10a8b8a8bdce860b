from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterable, Iterator, Sequence

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.format.blob import MAX_BLOB_BYTES, PART_BYTES, BlobId
from storage.format.listing import (
    MAX_COUNT,
    MAX_LEVELS,
    MAX_NAME_BYTES,
    NOTHING,
    PIECES_PER_NODE,
    FolderEntry,
    NewNode,
    Tree,
    file_content,
    folder_tree,
    pieces_tree,
    read_folder_branches,
    read_folder_leaf,
    read_pieces_node,
)
from storage.listings import Fetch, read_folder, read_pieces


def identify(content: bytes) -> BlobId:
    return BlobId(blake3(content).digest())


def fetch_from(nodes: Iterable[NewNode]) -> Fetch:
    held = dict(nodes)

    def fetch(ids: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        for blob in set(ids):
            if blob not in held:
                raise Damaged("a node is missing", "this is a test")
            yield blob, held[blob]

    return fetch


def entry(name: bytes, content: bytes = b"x") -> FolderEntry:
    return FolderEntry(name, len(content), 5, file_content([identify(content)], identify)[0])


PART_NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda part: part not in {b".", b".."} and not {0, 47} & set(part)
)
NAMES = st.lists(PART_NAMES, min_size=1, max_size=3).map(b"/".join)
ENTRIES = st.dictionaries(NAMES, st.integers(-(2**63), 2**63 - 1), max_size=200).map(
    lambda times: [FolderEntry(name, 1, time, Tree(identify(name), 0, 1)) for name, time in times.items()]
)


@settings(deadline=None)
@given(st.integers(0, 9000), st.integers(1, 9000))
def test_pieces_come_back_in_order(count: int, different: int) -> None:
    """With few different pieces the same nodes stand in the tree many times, as in a stretch of equal pages."""
    ids = [identify((n % different).to_bytes(4, "big")) for n in range(count)]
    tree, nodes = pieces_tree(ids, identify)
    assert tree.count == count
    assert read_pieces(fetch_from(nodes), tree) == ids


@settings(deadline=None)
@given(ENTRIES)
def test_entries_come_back_sorted_by_name(entries: list[FolderEntry]) -> None:
    tree, nodes = folder_tree(entries, identify)
    assert list(read_folder(fetch_from(nodes), tree)) == sorted(entries, key=lambda one: one.name)


@settings(deadline=None)
@given(ENTRIES, st.randoms(use_true_random=False))
def test_any_order_of_the_entries_makes_the_same_tree(entries: list[FolderEntry], order: random.Random) -> None:
    shuffled = list(entries)
    order.shuffle(shuffled)
    assert folder_tree(shuffled, identify) == folder_tree(entries, identify)


def test_nothing_has_no_nodes() -> None:
    assert pieces_tree([], identify) == (NOTHING, [])
    assert folder_tree([], identify) == (NOTHING, [])
    assert read_pieces(fetch_from([]), NOTHING) == []
    assert list(read_folder(fetch_from([]), NOTHING)) == []


@pytest.mark.parametrize(("parts", "levels"), [(1, 0), (2, 1), (64, 1), (65, 2)])
def test_a_file_of_a_folder_needs_nodes_only_for_several_parts(parts: int, levels: int) -> None:
    ids = [identify(bytes((n,))) for n in range(parts)]
    content, nodes = file_content(ids, identify)
    assert (content.levels, content.count) == (levels, parts)
    assert read_pieces(fetch_from(nodes), content) == ids
    stored = FolderEntry(b"film.mp4", parts * PART_BYTES - 7, 0, content)
    tree, own = folder_tree([stored], identify)
    assert list(read_folder(fetch_from(own), tree)) == [stored]


# Locality: what a small change costs.


@pytest.fixture(scope="module")
def many() -> list[FolderEntry]:
    source = random.Random(7)
    names = sorted(f"paste-{source.randbytes(20).hex()}.jpg".encode() for _ in range(50_000))
    return [entry(name) for name in names]


@pytest.fixture(scope="module")
def held(many: list[FolderEntry]) -> set[BlobId]:
    return {node for node, _ in folder_tree(many, identify)[1]}


@pytest.mark.parametrize("where", [0, 25_000, 49_999])
def test_one_file_more_less_or_changed_among_fifty_thousand_rewrites_little(
    many: list[FolderEntry], held: set[BlobId], where: int
) -> None:
    name = many[where].name
    for after in (
        [*many, entry(name + b"2")],
        [*many, entry(b"\x01" + name)],
        [*many[:where], *many[where + 1 :]],
        [*many[:where], entry(name, b"other content"), *many[where + 1 :]],
    ):
        rewritten = dict(folder_tree(after, identify)[1])
        assert 0 < sum(len(content) for node, content in rewritten.items() if node not in held) <= 64 * 1024


def test_one_changed_page_among_12800_rewrites_three_nodes() -> None:
    ids = [identify(n.to_bytes(4, "big")) for n in range(12_800)]
    held = dict(pieces_tree(ids, identify)[1])
    ids[6_000] = identify(b"changed")
    rewritten = [content for node, content in pieces_tree(ids, identify)[1] if node not in held]
    assert len(rewritten) == 3
    assert sum(map(len, rewritten)) < 6_000


# Names that would trap a lesser cutting rule.


def test_names_that_are_all_cuts_still_make_a_tree_that_ends() -> None:
    cutting = [name for n in range(100_000) if blake3(name := b"%d" % n).digest(1)[0] % 32 == 0]
    entries = [entry(name) for name in cutting]
    assert len(entries) > 1000
    tree, nodes = folder_tree(entries, identify)
    assert tree.levels <= MAX_LEVELS
    assert len(list(read_folder(fetch_from(nodes), tree))) == len(entries)


def test_names_that_are_never_cuts_still_make_small_nodes() -> None:
    entries = [entry(name) for n in range(40_000) if blake3(name := b"%d" % n).digest(1)[0] % 32]
    tree, nodes = folder_tree(entries, identify)
    assert max(len(content) for _, content in nodes) <= 1024 * 100
    assert len(list(read_folder(fetch_from(nodes), tree))) == len(entries)


def test_were_every_name_a_cut_on_every_level_the_tree_would_still_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class AllCuts:
        def __init__(self, _: bytes) -> None:
            pass

        def digest(self, length: int) -> bytes:
            return bytes(length)

    monkeypatch.setattr("storage.format.listing.blake3", AllCuts)
    tree, nodes = folder_tree([entry(b"%d" % n) for n in range(256)], identify)
    assert tree.levels == 8
    assert len(nodes) == 255


def test_a_single_entry_makes_a_single_node() -> None:
    tree, nodes = folder_tree([entry(b"only.png")], identify)
    assert (tree.levels, tree.count, len(nodes)) == (1, 1, 1)


def test_a_full_node_of_the_longest_names_is_no_longer_than_a_blob_may_be() -> None:
    names = [b"%06d" % n + b"n" * (MAX_NAME_BYTES - 6) for n in range(3_000)]
    tree, nodes = folder_tree([entry(name) for name in names], identify)
    assert max(len(content) for _, content in nodes) <= MAX_BLOB_BYTES
    assert 1024 * (2 + MAX_NAME_BYTES + 21 + 32) + 8 <= MAX_BLOB_BYTES
    assert [one.name for one in read_folder(fetch_from(nodes), tree)] == names


HOSTILE_NAMES = [
    b"",
    b".",
    b"..",
    b"../x",
    b"a/../b",
    b"/etc/passwd",
    b"a//b",
    b"a/",
    b"a\0b",
    b"n" * (MAX_NAME_BYTES + 1),
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_leads_out_of_its_folder_is_neither_written_nor_read(name: bytes) -> None:
    with pytest.raises(ValueError, match="No reader"):
        folder_tree([entry(name)], identify)
    with pytest.raises(Damaged):
        read_folder_leaf(leaf(packed_entry(name)))


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        folder_tree([entry(b"a"), entry(b"b"), entry(b"a", b"y")], identify)


def test_a_time_beyond_64_bits_is_stored_as_the_latest_that_there_is() -> None:
    one = FolderEntry(b"a", 1, 2**70, Tree(identify(b"x"), 0, 1))
    tree, nodes = folder_tree([one], identify)
    (read,) = read_folder(fetch_from(nodes), tree)
    assert read.mtime_ns == 2**63 - 1


@pytest.mark.parametrize(
    "content",
    [Tree(identify(b"x"), 0, 2), Tree(identify(b"x"), 1, 1), Tree(None, 0, 1), NOTHING, Tree(identify(b"x"), 0, 0)],
)
def test_a_content_that_can_not_be_that_of_the_size_is_refused(content: Tree) -> None:
    with pytest.raises(ValueError, match="No reader"):
        folder_tree([FolderEntry(b"a", 100, 0, content)], identify)


# Hostile nodes.


def leaf(*packed: bytes, count: int | None = None) -> bytes:
    return struct.pack("<2sBBI", b"RL", 2, 0, len(packed) if count is None else count) + b"".join(packed)


def packed_entry(name: bytes, size: int = 1, levels: int = 0, count: int = 1, root: bytes = bytes(32)) -> bytes:
    return struct.pack("<H", len(name)) + name + struct.pack("<QqBI", size, 0, levels, count) + root


@pytest.mark.parametrize(
    "content",
    [
        leaf(),
        leaf(count=1),
        leaf(count=2**32 - 1),
        leaf(packed_entry(b"a"), count=2),
        leaf(packed_entry(b"a"), packed_entry(b"b"), count=1),
        leaf(packed_entry(b"a") + b"\0"),
        leaf(packed_entry(b"a", levels=9)),
        leaf(packed_entry(b"a", levels=1)),
        leaf(packed_entry(b"a", count=2)),
        leaf(packed_entry(b"a", size=0)),
        leaf(packed_entry(b"a", count=0, root=b"")),
        leaf(packed_entry(b"a", size=2**64 - 1, count=2**32 - 1, levels=3)),
        leaf(struct.pack("<H", 65535) + b"a"),
    ],
)
def test_a_leaf_that_makes_no_sense_is_damage(content: bytes) -> None:
    with pytest.raises(Damaged):
        read_folder_leaf(content)


@given(st.binary(max_size=200), st.integers(0, 9))
def test_bytes_of_any_kind_are_damage_or_a_node(content: bytes, level: int) -> None:
    for node_type in (1, 2):
        for spoiled in (content, struct.pack("<2sBB", b"RL", node_type, level) + content):
            for read in (
                read_folder_leaf,
                lambda node: read_folder_branches(node, level),
                lambda node: read_pieces_node(node, level),
            ):
                with contextlib.suppress(Damaged):
                    assert read(spoiled)


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_a_node_cut_short_or_grown_is_damage(count: int, data: st.DataObject) -> None:
    for tree, nodes in (
        pieces_tree([identify(b"%d" % n) for n in range(count)], identify),
        folder_tree([entry(b"%d" % n) for n in range(count)], identify),
    ):
        victim, content = nodes[data.draw(st.integers(0, len(nodes) - 1))]
        for spoiled in (content[: data.draw(st.integers(0, len(content) - 1))], content + b"\0"):
            fetch = fetch_from([*nodes, (victim, spoiled)])
            with pytest.raises(Damaged):
                read_pieces(fetch, tree) if nodes[0][1][2] == 1 else list(read_folder(fetch, tree))


@pytest.mark.parametrize(
    "change", [{"count": 199}, {"count": 201}, {"count": 64}, {"levels": 1}, {"levels": 3}, {"levels": 200}]
)
def test_a_tree_of_another_shape_than_its_manifest_says_is_damage(change: dict[str, int]) -> None:
    pieces, nodes = pieces_tree([identify(b"%d" % n) for n in range(200)], identify)
    folder, folder_nodes = folder_tree([entry(b"%d" % n) for n in range(200)], identify)
    assert (pieces.levels, folder.levels) == (2, 2)
    for tree in (pieces, folder):
        changed = Tree(tree.root, change.get("levels", tree.levels), change.get("count", tree.count))
        fetch = fetch_from(nodes + folder_nodes)
        with pytest.raises(Damaged):
            read_pieces(fetch, changed) if tree is pieces else list(read_folder(fetch, changed))


def test_a_listing_of_another_kind_is_damage() -> None:
    pieces, nodes = pieces_tree([identify(b"1"), identify(b"2")], identify)
    folder, folder_nodes = folder_tree([entry(b"1"), entry(b"2")], identify)
    fetch = fetch_from(nodes + folder_nodes)
    with pytest.raises(Damaged):
        list(read_folder(fetch, pieces))
    with pytest.raises(Damaged):
        read_pieces(fetch, folder)


def counting(fetch: Fetch, seen: list[int]) -> Fetch:
    def counted(ids: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        asked = list(ids)
        seen.append(len(asked))
        return fetch(asked)

    return counted


@pytest.mark.parametrize("count", [MAX_COUNT, 64**3 + 1, 64**2, 1000])
def test_a_few_pieces_nodes_that_spell_out_more_than_memory_holds_are_refused_early(count: int) -> None:
    """A few nodes, each naming the next one 64 times; eight of them would come to 64^8 pieces."""
    nodes: list[NewNode] = []
    below = identify(b"page")
    for level in range(3):
        content = struct.pack("<2sBBI", b"RL", 1, level, PIECES_PER_NODE) + below * PIECES_PER_NODE
        below = identify(content)
        nodes.append((below, content))
    seen: list[int] = []
    with pytest.raises(Damaged):
        read_pieces(counting(fetch_from(nodes), seen), Tree(below, 3, count))
    assert sum(seen) <= 1


@pytest.mark.parametrize("names", [[b"zz"] * 100, [*(b"%02d" % n for n in range(99)), b"zz"]])
def test_a_few_folder_nodes_that_repeat_each_other_are_refused_early(names: list[bytes]) -> None:
    content = leaf(packed_entry(b"zz"))
    below = identify(content)
    nodes: list[NewNode] = [(below, content)]
    for level in range(1, 4):
        branches = b"".join(struct.pack("<H", 2) + name + below for name in names)
        content = struct.pack("<2sBBI", b"RL", 2, level, len(names)) + branches
        below = identify(content)
        nodes.append((below, content))
    seen: list[int] = []
    with pytest.raises(Damaged, match="order"):
        list(read_folder(counting(fetch_from(nodes), seen), Tree(below, 4, MAX_COUNT)))
    assert sum(seen) <= 1 + len(names)


@pytest.mark.parametrize("names", [(b"b", b"a"), (b"a", b"a")])
def test_entries_out_of_order_are_damage(names: tuple[bytes, bytes]) -> None:
    content = leaf(*(packed_entry(name) for name in names))
    with pytest.raises(Damaged, match="order"):
        list(read_folder(fetch_from([(identify(content), content)]), Tree(identify(content), 1, 2)))


def test_a_file_of_more_pieces_than_readers_accept_is_never_written() -> None:
    class Endless(Sequence[BlobId]):
        def __len__(self) -> int:
            return MAX_COUNT + 1

        def __getitem__(self, _: object) -> BlobId:  # type: ignore[override]
            raise AssertionError("it was read")

    with pytest.raises(ValueError, match="longer"):
        pieces_tree(Endless(), identify)
