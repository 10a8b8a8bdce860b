"""Checking packs: against what the index says of them, and, read whole, every piece in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage.errors import Damaged, ObjectMissing
from storage.format.blob import BlobId, PackId, pack_name
from storage.format.pack import TAIL_BYTES, PackEntry, decode_blob, read_pack, read_table, table_start
from storage.format.sealing import Seal
from storage.index import Index
from storage.store import Store

_PACKS_AT_ONCE = 4
"""Each is some 16 MiB in memory while it is read whole."""

_ROW_BYTES = 41
_AROUND_TABLE_BYTES = 256
"""Sealing, compression and a table's own head never add more than this to its rows."""


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What was found of a pack that the listing showed."""

    pack: PackId
    size: int
    read: bool
    """Whether it was read whole, and not its table alone."""
    gone: bool = False
    """Not there any more: whoever removed it meanwhile had a reason, or the snapshots will tell."""
    entries: frozenset[PackEntry] = frozenset()
    """What its own table says, kept only where the index contradicts it."""
    trouble: Damaged | None = None
    """Why its table can't be read, or where it does not look as a pack does."""
    damaged: frozenset[BlobId] = frozenset()
    """Pieces that are not what was stored."""
    contradicts_index: bool = False
    """The index tells of pieces in it that are elsewhere in it, or not in it at all."""
    lacks_index: bool = False
    """It holds pieces that no index file tells of."""

    @property
    def is_damaged(self) -> bool:
        """Whether what is stored there is not what was stored."""
        return self.trouble is not None or bool(self.damaged)


@dataclass(frozen=True, slots=True)
class _Task:
    pack: PackId
    size: int
    whole: bool


def check_packs(
    store: Store,
    seal: Seal,
    index: Index,
    packs: Iterable[tuple[PackId, int, bool]],
    advance: Callable[[int], None],
) -> Iterator[PackCheck]:
    """Check packs, several side by side; each with its size in bytes, and whether it is to be read whole.

    `advance` hears of the bytes of each one that is done. A store that can't be reached raises.
    """

    def check(task: _Task) -> PackCheck:
        found = _checked(store, seal, index, task)
        if found.is_damaged:
            # A bit that flipped on its way, or a connection that broke, is no damage at rest.
            found = _in_both(found, _checked(store, seal, index, task))
        advance(task.size)
        return found

    with ThreadPoolExecutor(_PACKS_AT_ONCE, thread_name_prefix="check") as pool:
        yield from pool.map(check, [_Task(*pack) for pack in packs])


def _in_both(first: PackCheck, second: PackCheck) -> PackCheck:
    """The damage that two readings of a pack found alike."""
    return PackCheck(
        second.pack,
        second.size,
        second.read,
        second.gone,
        second.entries or first.entries,
        second.trouble if first.trouble else None,
        first.damaged & second.damaged,
        second.contradicts_index and first.contradicts_index,
        second.lacks_index and first.lacks_index,
    )


def _checked(store: Store, seal: Seal, index: Index, task: _Task) -> PackCheck:
    listed = index.entries_in(task.pack)
    content = b""
    trouble: Damaged | None = None
    entries: tuple[PackEntry, ...] = ()
    try:
        if task.whole:
            content = store.read(pack_name(task.pack))
            entries = read_pack(seal, task.pack, content)
        else:
            entries = _table_of(store, seal, task, len(listed))
    except ObjectMissing:
        return PackCheck(task.pack, task.size, task.whole, gone=True)
    except Damaged as damage:
        trouble = damage
    damaged: set[BlobId] = set()
    if task.whole:
        # What the table says, or, where that can't be read, what the index says.
        damaged = {entry.id for entry in entries or listed if not _is_whole(seal, entry, content)}
    own = frozenset(entries)
    contradicts_index = bool(own) and not own.issuperset(listed)
    return PackCheck(
        task.pack,
        task.size,
        task.whole,
        # Millions of them would not fit into memory.
        entries=own if contradicts_index else frozenset(),
        trouble=trouble,
        damaged=frozenset(damaged),
        contradicts_index=contradicts_index,
        lacks_index=bool(index.rows([entry.id for entry in own.difference(listed)]).min(initial=0) < 0),
    )


def _table_of(store: Store, seal: Seal, task: _Task, listed: int) -> tuple[PackEntry, ...]:
    """A pack's table, with one request where the index knows how many rows it has."""
    name, guess = pack_name(task.pack), min(task.size, listed * _ROW_BYTES + _AROUND_TABLE_BYTES)
    end = store.read_range(name, task.size - guess, guess)
    start = table_start(task.pack, task.size, end[-TAIL_BYTES:])
    if start < task.size - guess:
        end = store.read_range(name, start, task.size - start)
    return read_table(seal, task.pack, task.size, end[len(end) - (task.size - start) :])


def _is_whole(seal: Seal, entry: PackEntry, content: bytes) -> bool:
    place = entry.location
    try:
        decode_blob(seal, entry.id, place, content[place.offset : place.offset + place.stored])
    except Damaged:
        return False
    return True
