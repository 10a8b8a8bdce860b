"""A survey finds exactly what a reader would stumble over; and a reader that is told to go on loses nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.checking.losses import losses_of
from storage.checking.survey import LostEntry, Survey
from storage.errors import Damaged
from storage.format.blob import PART_BYTES, BlobId
from storage.format.listing import NOTHING, FolderEntry, Tree, file_content, folder_tree, pieces_tree
from storage.format.manifest import Manifest, SnapshotId, StoredFile, StoredFolder, profile_key
from storage.format.sealing import OpenSeal
from storage.listings import LostRange, read_folder, read_pieces

identify = OpenSeal(bytes(16)).blob_id
Nodes = dict[BlobId, bytes]


def reading(nodes: Nodes) -> Callable[..., Iterator[tuple[BlobId, bytes]]]:
    """Reads as a repository does that holds these nodes, whatever became of them."""

    def read(
        blobs: Iterable[BlobId], *, damaged: Callable[[BlobId, Damaged], None] | None = None
    ) -> Iterator[tuple[BlobId, bytes]]:
        for blob in set(blobs):
            if blob in nodes:
                yield blob, nodes[blob]
            elif damaged is None:
                raise Damaged("It is gone", "This is a test")
            else:
                damaged(blob, Damaged("It is gone", "This is a test"))

    return read


MANIFEST = Manifest(
    id=SnapshotId("20260301T083000Z-00000000"),
    profile="Ada",
    profile_key=profile_key("Ada", "desk", "/home/ada"),
    host="desk",
    source="/home/ada",
    taken_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    parent=None,
    files=(),
    folders=(),
)


def survey_of(
    nodes: Nodes, *, file: Tree = NOTHING, folder: Tree = NOTHING, lost: frozenset[BlobId] = frozenset()
) -> Survey:
    survey = Survey(reading(nodes), lambda blobs: lost & set(blobs))
    survey.explore([snapshot_of(file, folder)])
    return survey


def snapshot_of(file: Tree, folder: Tree) -> Manifest:
    return replace(
        MANIFEST,
        files=(StoredFile("collection.anki2", file.count * 512, 512, file),),
        folders=(StoredFolder("collection.media", 0, folder),),
    )


def pieces_of(number: int) -> list[BlobId]:
    # Some stand there many times, as empty pages do.
    return [identify(b"%d" % (n if n % 7 else 0)) for n in range(number)]


def entries_of(number: int) -> list[FolderEntry]:
    """Files of one piece, some of none, some of three."""
    entries = []
    for n in range(number):
        parts = 3 if n % 9 == 4 else n % 11 != 0
        ids = [identify(b"%d of %d" % (part, n)) for part in range(parts)]
        size = 0 if not parts else (parts - 1) * PART_BYTES + 5
        entries.append(FolderEntry(b"file %05d" % n, size, 0, file_content(ids, identify)[0]))
    return entries


def nodes_of(entries: list[FolderEntry]) -> tuple[Tree, Nodes]:
    tree, own = folder_tree(entries, identify)
    below = [
        node
        for n, entry in enumerate(entries)
        if entry.content.levels
        for node in file_content([identify(b"%d of %d" % (part, n)) for part in range(3)], identify)[1]
    ]
    return tree, dict([*own, *below])


@st.composite
def spoiled(draw: st.DrawFn, nodes: Nodes) -> Nodes:
    """The same nodes, some gone, some with another's content, some cut short or with a changed byte."""
    changed = dict(nodes)
    for blob in draw(st.lists(st.sampled_from(sorted(nodes)), max_size=3)):
        what = draw(st.sampled_from(["gone", "another", "cut", "changed"]))
        content = nodes[blob]
        if what == "gone":
            changed.pop(blob, None)
        elif what == "another":
            changed[blob] = nodes[draw(st.sampled_from(sorted(nodes)))]
        else:
            at = draw(st.integers(0, len(content) - 1))
            changed[blob] = (
                content[:at] if what == "cut" else content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            )
    return changed


@settings(deadline=None)
@given(st.sampled_from([0, 1, 5, 64, 65, 200, 4097, 5000]), st.data())
def test_a_file_is_whole_to_a_survey_exactly_when_a_reader_can_list_it(number: int, data: st.DataObject) -> None:
    tree, made = pieces_tree(pieces_of(number), identify)
    nodes = data.draw(spoiled(dict(made))) if made else {}
    survey = survey_of(nodes, file=tree)
    try:
        listed = read_pieces(reading(nodes), tree)
    except Damaged:
        assert survey.whole_pieces(tree) < tree.count
    else:
        assert survey.whole_pieces(tree) == tree.count == len(listed)


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_lost_pieces_are_counted_each_time_they_are_named(number: int, data: st.DataObject) -> None:
    pieces = pieces_of(number)
    tree, nodes = pieces_tree(pieces, identify)
    lost = frozenset(data.draw(st.sets(st.sampled_from(pieces), max_size=5)))
    survey = survey_of(dict(nodes), file=tree, lost=lost)
    assert survey.whole_pieces(tree) == sum(piece not in lost for piece in pieces)


@settings(deadline=None)
@given(st.sampled_from([1, 2, 40, 300, 1500]), st.data())
def test_a_folder_is_whole_to_a_survey_exactly_when_a_reader_can_list_it(number: int, data: st.DataObject) -> None:
    tree, made = nodes_of(entries_of(number))
    nodes = data.draw(spoiled(made))
    survey = survey_of(nodes, folder=tree)
    try:
        entries = list(read_folder(reading(nodes), tree))
        for entry in entries:
            if entry.content.levels:
                read_pieces(reading(nodes), entry.content)
    except Damaged:
        assert survey.lost_in(tree)
    else:
        assert survey.lost_in(tree) == []


@settings(deadline=None)
@given(st.sampled_from([40, 300, 1500]), st.data())
def test_a_reader_that_goes_on_gives_all_that_no_lost_range_names(number: int, data: st.DataObject) -> None:
    tree, made = nodes_of(entries_of(number))
    whole = {entry.name: entry for entry in read_folder(reading(made), tree)}
    gone = data.draw(st.sets(st.sampled_from(sorted(made)), max_size=4)) - {tree.root}
    nodes = {blob: content for blob, content in made.items() if blob not in gone}
    read = reading(nodes)
    lost: list[LostRange] = []
    found = {
        entry.name: entry
        for entry in read_folder(
            lambda blobs: read(blobs, damaged=lambda *_: None), tree, lost=lambda names, _: lost.append(names)
        )
    }
    named = {
        name
        for name in whole
        for one in lost
        if (one.after is None or name > one.after) and (one.to is None or name <= one.to)
    }
    assert found == {name: entry for name, entry in whole.items() if name not in named}
    told = [spot for _, spots in survey_of(nodes, folder=tree).lost_in(tree) for spot in spots]
    assert {spot for spot in told if isinstance(spot, LostRange)} == set(lost)


@settings(deadline=None)
@given(st.integers(1, 120), st.data())
def test_lost_entries_are_named(number: int, data: st.DataObject) -> None:
    entries = entries_of(number)
    tree, nodes = nodes_of(entries)
    chosen = data.draw(st.sets(st.sampled_from(entries), max_size=5))
    lost = frozenset(identify(b"0 of %d" % int(entry.name[5:])) for entry in chosen if entry.size)
    survey = survey_of(nodes, folder=tree, lost=lost)
    named = {spot.entry for _, spots in survey.lost_in(tree) for spot in spots if isinstance(spot, LostEntry)}
    assert named == {entry for entry in chosen if entry.size}
    told = {loss.entry for loss in losses_of(survey, [snapshot_of(NOTHING, tree)])}
    assert told == named


def test_a_file_that_many_snapshots_lack_is_one_loss_and_two_versions_of_it_are_two() -> None:
    old, new = entries_of(60), [replace(entry, mtime_ns=1) for entry in entries_of(60)]
    new[3] = replace(new[3], content=Tree(identify(b"another"), 0, 1))
    trees = [nodes_of(old), nodes_of(new)]
    nodes = {**trees[0][1], **trees[1][1]}
    lost = frozenset({identify(b"0 of 2"), identify(b"0 of 3"), identify(b"another")})
    survey = Survey(reading(nodes), lambda blobs: lost & set(blobs))
    manifests = [
        replace(snapshot_of(NOTHING, tree), id=SnapshotId(f"2026030{n}T083000Z-00000000"))
        for n, (tree, _) in enumerate([trees[0], trees[0], trees[1]], start=1)
    ]
    survey.explore(manifests)
    losses = losses_of(survey, manifests)
    assert [(loss.entry.name, len(loss.snapshots)) for loss in losses if loss.entry] == [
        (b"file 00002", 3),
        (b"file 00003", 2),
        (b"file 00003", 1),
    ]
    assert losses[0].since() == "3 snapshots from 2026-03-01 to 2026-03-03"


def test_a_tree_that_repeats_itself_is_added_up_without_being_unfolded() -> None:
    """A few nodes could name more pieces than memory holds."""
    leaf = pieces_tree([identify(b"x")] * 64, identify)[1][0]
    nodes, below = dict([leaf]), leaf[0]
    for level in range(1, 8):
        content = b"RL" + bytes([1, level]) + (64).to_bytes(4, "little") + below * 64
        below = identify(content)
        nodes[below] = content
    survey = survey_of(nodes, file=Tree(below, 8, 1 << 26))
    assert survey.whole_pieces(Tree(below, 8, 1 << 26)) == 0


def folder_node(level: int, packed: list[bytes]) -> bytes:
    return b"RL" + bytes([2, level]) + len(packed).to_bytes(4, "little") + b"".join(packed)


def packed_name(name: bytes) -> bytes:
    return len(name).to_bytes(2, "little") + name


def packed_entry(name: bytes) -> bytes:
    """A file that holds nothing."""
    return packed_name(name) + struct.pack("<QqBI", 0, 0, 0, 0)


NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
LEAVES = st.lists(NAMES, min_size=1, max_size=3)


@st.composite
def rogue_folders(draw: st.DrawFn) -> tuple[Tree, Nodes]:
    """A folder of two or three levels that is mostly in order, and now and then lies about its names or its count."""
    nodes: Nodes = {}

    def kept(content: bytes) -> BlobId:
        nodes[identify(content)] = content
        return identify(content)

    def told(name: bytes) -> bytes:
        return draw(NAMES) if draw(st.integers(0, 9)) == 0 else name

    groups = draw(st.lists(st.lists(LEAVES, min_size=1, max_size=3), min_size=1, max_size=3))
    if draw(st.booleans()):
        # In order but for what is told wrongly: all names, each once, dealt out as the groups are long.
        names = iter(sorted({name for group in groups for leaf in group for name in leaf}))
        groups = [
            [dealt for leaf in group if (dealt := [name for name in (next(names, b"") for _ in leaf) if name])]
            for group in groups
        ]
        groups = [group for group in groups if group]
    level_one = []
    for group in groups:
        branches = [
            packed_name(told(leaf[-1])) + kept(folder_node(0, [packed_entry(name) for name in leaf])) for leaf in group
        ]
        level_one.append(packed_name(told(group[-1][-1])) + kept(folder_node(1, branches)))
    root = kept(folder_node(2, level_one))
    count = sum(len(leaf) for group in groups for leaf in group)
    return Tree(root, 3, count + draw(st.sampled_from([0, 0, 0, 1]))), nodes


@settings(deadline=None, max_examples=400)
@given(rogue_folders())
def test_a_survey_refuses_exactly_the_folders_that_a_reader_refuses(folder: tuple[Tree, Nodes]) -> None:
    tree, nodes = folder
    try:
        list(read_folder(reading(nodes), tree))
    except Damaged:
        assert survey_of(nodes, folder=tree).lost_in(tree)
    else:
        assert survey_of(nodes, folder=tree).lost_in(tree) == []


def test_a_part_that_is_in_order_but_out_of_place_is_lost() -> None:
    nodes: Nodes = {}

    def kept(content: bytes) -> BlobId:
        nodes[identify(content)] = content
        return identify(content)

    def part(*leaf: bytes) -> bytes:
        below = kept(folder_node(0, [packed_entry(name) for name in leaf]))
        return packed_name(leaf[-1]) + kept(folder_node(1, [packed_name(leaf[-1]) + below]))

    tree = Tree(kept(folder_node(2, [part(b"c"), part(b"a", b"f")])), 3, 3)
    with pytest.raises(Damaged):
        list(read_folder(reading(nodes), tree))
    assert survey_of(nodes, folder=tree).lost_in(tree) == [(None, (LostRange(b"c", b"f"),))]
