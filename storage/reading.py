"""Fetching blobs: neighbours in a pack with one request, several requests under way, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from storage.errors import Damaged, ObjectMissing
from storage.format.blob import BlobId, Location, PackId, pack_name
from storage.format.pack import TAIL_BYTES, PackEntry, decode_blob, read_table, table_start
from storage.format.sealing import Seal
from storage.index import Index
from storage.store import Store

_GAP_BYTES = 128 * 1024
"""Reading this many bytes for nothing costs less than another request."""

_TABLE_GUESS_BYTES = 512 * 1024
"""The table of a full pack of pages is about this long, so that one request mostly fetches it."""

_SPAN_BYTES = 8 * 1024 * 1024
_BYTES_UNDER_WAY = 32 * 1024 * 1024
_REQUESTS_UNDER_WAY = 16
"""What is waited for with small ones is the answer; what bounds large ones is memory.

Their threads only wait. Unsealing and unpacking stay in one: Python's lock makes several slower than one, measured.
"""


@dataclass(frozen=True, slots=True)
class _NotHad:
    """A copy of a blob that could not be had: where it should have been, and why."""

    place: Location | None
    why: Damaged


_Found = tuple[BlobId, bytes | _NotHad]


@dataclass(slots=True)
class Span:
    """A stretch of one pack that is read with one request."""

    pack: PackId
    start: int
    end: int
    blobs: list[tuple[BlobId, Location]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start


def plan_spans(located: Iterable[tuple[BlobId, Location]]) -> list[Span]:
    """The requests that fetch all of these blobs, in the order in which they lie in their packs."""
    spans: list[Span] = []
    for blob, place in sorted(located, key=lambda pair: (pair[1].pack, pair[1].offset)):
        end = place.offset + place.stored
        last = spans[-1] if spans else None
        if (
            last is None
            or last.pack != place.pack
            or place.offset - last.end > _GAP_BYTES
            or end - last.start > _SPAN_BYTES
        ):
            last = Span(place.pack, place.offset, end)
            spans.append(last)
        last.end = max(last.end, end)
        last.blobs.append((blob, place))
    return spans


def read_blobs(
    store: Store,
    seal: Seal,
    index: Index,
    blobs: Iterable[BlobId],
    *,
    damaged: Callable[[BlobId, Damaged], None] | None = None,
    reloaded: Callable[[], Index] | None = None,
) -> Iterator[tuple[BlobId, bytes]]:
    """Each of `blobs` once, with its plain bytes, in whatever order costs least.

    A copy that can't be had is no loss while there is another one. Where there is none, `reloaded` is asked once for
    the index as it is now, for what was packed anew meanwhile lies elsewhere. The first blob that can't be had at all
    raises `Damaged`, unless `damaged` is there to hear of each such blob: then all others are still given. A store that
    can't be reached raises in either case.
    """
    copies = _Copies(store, seal, index, reloaded)

    def whole(found: Iterable[_Found]) -> Iterator[tuple[BlobId, bytes]]:
        for blob, content in found:
            rescued = copies.other_than(blob, content) if isinstance(content, _NotHad) else content
            if not isinstance(rescued, Damaged):
                yield blob, rescued
            elif damaged is not None:
                damaged(blob, rescued)
            else:
                raise rescued

    located: list[tuple[BlobId, Location]] = []
    lost: list[_Found] = []
    for blob in set(blobs):
        place = index.find(blob)
        if place is None:
            lost.append((blob, _NotHad(None, _damaged(f"the piece {blob.hex()[:16]} is in none of its packs"))))
        else:
            located.append((blob, place))
    yield from whole(lost)
    pending: deque[tuple[Span, Future[bytes]]] = deque()
    bytes_under_way = 0

    def first_of_pending() -> Iterator[tuple[BlobId, bytes]]:
        nonlocal bytes_under_way
        span, under_way = pending.popleft()
        yield from whole(_decoded_span(store, seal, span, under_way.result))
        bytes_under_way -= span.length

    with ThreadPoolExecutor(_REQUESTS_UNDER_WAY, thread_name_prefix="read") as pool:
        try:
            for span in plan_spans(located):
                while pending and (
                    len(pending) >= _REQUESTS_UNDER_WAY or bytes_under_way + span.length > _BYTES_UNDER_WAY
                ):
                    yield from first_of_pending()
                pending.append((span, pool.submit(_fetch, store, span)))
                bytes_under_way += span.length
            while pending:
                yield from first_of_pending()
        finally:
            for _, waiting in pending:
                waiting.cancel()


class _Copies:
    """Looks for another copy of a blob when the first one can't be had."""

    def __init__(self, store: Store, seal: Seal, index: Index, reloaded: Callable[[], Index] | None) -> None:
        self._store = store
        self._seal = seal
        self._index = index
        self._reloaded = reloaded

    def other_than(self, blob: BlobId, failed: _NotHad) -> bytes | Damaged:
        """The blob's bytes from another place than the one that failed, or why there is none."""
        tried = {failed.place}
        found = self._from_any(blob, tried)
        if found is None and self._reloaded is not None:
            self._index, self._reloaded = self._reloaded(), None
            found = self._from_any(blob, tried)
        return failed.why if found is None else found

    def _from_any(self, blob: BlobId, tried: set[Location | None]) -> bytes | None:
        for place in self._index.copies(blob):
            if place in tried:
                continue
            tried.add(place)
            alone = Span(place.pack, place.offset, place.offset + place.stored, [(blob, place)])
            ((_, content),) = _read_span(self._store, self._seal, alone)
            if not isinstance(content, _NotHad):
                return content
        return None


def read_pack_table(store: Store, seal: Seal, pack: PackId, pack_bytes: int) -> tuple[PackEntry, ...]:
    """What a pack of `pack_bytes` says itself that it holds; `Damaged` when it does not say it, or is not there."""
    guess = min(pack_bytes, _TABLE_GUESS_BYTES)
    try:
        end = store.read_range(pack_name(pack), pack_bytes - guess, guess)
        start = table_start(pack, pack_bytes, end[-TAIL_BYTES:])
        if start < pack_bytes - guess:
            end = store.read_range(pack_name(pack), start, pack_bytes - start)
    except ObjectMissing as fault:
        raise _damaged(f"the pack {pack_name(pack)} is not there") from fault
    return read_table(seal, pack, pack_bytes, end[len(end) - (pack_bytes - start) :])


def _fetch(store: Store, span: Span) -> bytes:
    return store.read_range(pack_name(span.pack), span.start, span.length)


def _read_span(store: Store, seal: Seal, span: Span) -> Iterator[_Found]:
    return _decoded_span(store, seal, span, lambda: _fetch(store, span))


def _decoded_span(store: Store, seal: Seal, span: Span, fetched: Callable[[], bytes]) -> Iterator[_Found]:
    """The blobs of a span whose bytes, or why they can't be had, `fetched` tells."""
    try:
        content = fetched()
    except ObjectMissing:
        missing = _damaged(f"the pack {pack_name(span.pack)} is not there")
        yield from ((blob, _NotHad(at, missing)) for blob, at in span.blobs)
        return
    except Damaged as fault:
        if len(span.blobs) == 1:
            yield span.blobs[0][0], _NotHad(span.blobs[0][1], fault)
            return
        # The pack was cut short somewhere in this stretch; what lies before the cut is whole.
        for blob, at in span.blobs:
            yield from _read_span(store, seal, Span(span.pack, at.offset, at.offset + at.stored, [(blob, at)]))
        return
    for blob, place in span.blobs:
        start = place.offset - span.start
        yield blob, _decoded(seal, blob, place, content[start : start + place.stored])


def _decoded(seal: Seal, blob: BlobId, place: Location, stored: bytes) -> bytes | _NotHad:
    try:
        return decode_blob(seal, blob, place, stored)
    except Damaged:
        what = f"the piece {blob.hex()[:16]} in the pack {pack_name(place.pack)} is not what was stored"
        return _NotHad(place, _damaged(what))


def _damaged(what: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {what}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
