"""Storing blobs: compressed and sealed side by side, gathered into packs, several packs on their way at once.

Whoever has threads of their own lets each `store` what it read, while that lies in the processor's cache; whoever has
one thread and many small blobs `add`s them.

Whoever brings a blob waits when too many packs are being filled and sent; so memory stays bounded whatever the
profile's size.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from recollect.memory import give_free_memory_back, give_large_buffers_back
from storage.errors import StorageError
from storage.format.blob import PACK_ID_BYTES, BlobId, BlobKind, PackId, pack_name
from storage.format.index_table import in_files, index_table, write_index_table
from storage.format.pack import EncodedBlob, PackEntry, build_pack, encode_blob
from storage.format.sealing import Seal
from storage.index import Index
from storage.store import Store

PACK_BYTES = 16 * 1024 * 1024
PACKS_PER_INDEX = 8
"""An index file is written after so many packs, so that a run that is killed leaves little to send again."""

_OVERHANG_BYTES = 64 * 1024
"""Two of the longest blobs make a pack, whose seals make it a little longer than two plain ones."""

_BATCH_BYTES = 512 * 1024
_ENCODERS = max(2, min(4, os.cpu_count() or 2))
_BATCHES_UNDER_WAY = 2 * _ENCODERS


@dataclass(frozen=True, slots=True)
class Written:
    """What a write session cost."""

    blobs: int
    bytes_new: int
    """Plain bytes of the blobs that were not stored before."""
    bytes_stored: int
    """Bytes of the packs and index files written."""
    packs: int


_Batch = list[tuple[BlobKind, BlobId, bytes]]


class WriteSession:
    """Adds blobs to a repository. Nothing it stores counts until a manifest names it.

    `store` is for any number of threads, `add` and `close` for one. What an upload ran into is raised by the next
    `store` or `close`, and by the next `add` that hands on what it gathered; then by each of them.
    `close` returns when every pack and the index are stored; leaving the context without it (after an error) stops the
    work under way and leaves only packs that nothing names.
    """

    def __init__(
        self,
        store: Store,
        seal: Seal,
        index: Index,
        *,
        uploads: int,
        unindexed: Iterable[pa.Table] = (),
        random_bytes: Callable[[int], bytes] = os.urandom,
        landed: Callable[[int], None] = lambda _: None,
        wrote: Callable[[str, bytes], None] = lambda _name, _content: None,
    ) -> None:
        give_large_buffers_back()
        give_free_memory_back()
        self._store = store
        self._seal = seal
        self._index = index
        self._random_bytes = random_bytes
        self._landed = landed
        self._wrote = wrote
        self._batch: _Batch = []
        self._batch_bytes = 0
        self._known: set[BlobId] = set()
        self._lock = threading.Lock()
        self._filling = threading.Lock()
        self._open: list[EncodedBlob] = []
        self._open_bytes = 0
        self._found = list(unindexed)
        self._unindexed: list[PackEntry] = []
        self._packs_unindexed = 0
        self._written = Written(0, 0, 0, 0)
        self._failure: BaseException | None = None
        self._encoding: list[Future[None]] = []
        self._sending: list[Future[None]] = []
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode")
        self._senders = ThreadPoolExecutor(uploads, thread_name_prefix="send")
        self._places = threading.BoundedSemaphore(uploads + 1)

    def __enter__(self) -> WriteSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._encoders.shutdown(wait=True, cancel_futures=True)
        self._senders.shutdown(wait=True, cancel_futures=True)

    def store(self, kind: BlobKind, blob: BlobId, plain: bytes) -> bool:
        """Compress and seal a blob here and now, unless the repository holds it; False when it does."""
        if self._failure is not None:
            raise self._failure
        if not self._claim(blob):
            return False
        try:
            self._encode([(kind, blob, plain)])
        except BaseException as failure:
            self._fail(failure)
            raise
        return True

    def add(self, kind: BlobKind, blob: BlobId, plain: bytes) -> bool:
        """Let threads of the session's own store a blob, unless the repository holds it; False when it does."""
        if not self._claim(blob):
            return False
        self._batch.append((kind, blob, plain))
        self._batch_bytes += len(plain)
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()
        return True

    def close(self) -> Written:
        """Store what is left and the index; after that every blob added can be read from the repository."""
        self._hand_over()
        self._wait(self._encoding, 0)
        with self._filling:
            if self._open:
                self._send_open()
        self._wait(self._sending, 0)
        self._write_index()
        return self._written

    def _claim(self, blob: BlobId) -> bool:
        """Whether it falls to the caller to store the blob."""
        if blob in self._index:
            return False
        with self._lock:
            if blob in self._known:
                return False
            self._known.add(blob)
            return True

    def _fail(self, failure: BaseException) -> None:
        """Blobs were lost with it: a session that failed once must never come to a good end."""
        with self._lock:
            self._failure = self._failure or failure

    def _hand_over(self) -> None:
        self._wait(self._encoding, _BATCHES_UNDER_WAY)
        self._wait(self._sending, None)
        if self._batch:
            self._encoding.append(self._encoders.submit(self._encode, self._batch))
            self._batch, self._batch_bytes = [], 0

    def _wait(self, under_way: list[Future[None]], most: int | None) -> None:
        """Let go of what is done, raising its error; wait until at most `most` are under way (None waits for none)."""
        if self._failure is not None:
            raise self._failure
        try:
            while under_way and (under_way[0].done() or (most is not None and len(under_way) > most)):
                under_way.pop(0).result()
        except BaseException as failure:
            self._fail(failure)
            raise

    def _encode(self, batch: _Batch) -> None:
        for kind, blob, plain in batch:
            self._gather(encode_blob(self._seal, kind, blob, plain))

    def _gather(self, blob: EncodedBlob) -> None:
        """Put a blob into the open pack. A new one waits for a place, which slows the encoders, and so the reader."""
        with self._filling:
            if self._open and self._open_bytes + len(blob.stored) > PACK_BYTES + _OVERHANG_BYTES:
                self._send_open()
            if not self._open:
                self._places.acquire()
            self._open.append(blob)
            self._open_bytes += len(blob.stored)
            if self._open_bytes >= PACK_BYTES:
                self._send_open()

    def _send_open(self) -> None:
        """Put the open pack on its way, which keeps its place until it has landed."""
        blobs, self._open, self._open_bytes = self._open, [], 0
        try:
            self._sending.append(self._senders.submit(self._store_pack, blobs))
        except RuntimeError:  # the session was left after an error; nobody waits for this pack
            self._places.release()

    def _store_pack(self, blobs: list[EncodedBlob]) -> None:
        try:
            plain_bytes = sum(blob.length for blob in blobs)
            try:
                entries, stored_bytes = self._land(blobs)
            finally:
                self._places.release()
            with self._lock:
                self._unindexed.extend(entries)
                self._packs_unindexed += 1
                self._count(len(entries), plain_bytes, stored_bytes, 1)
                due = self._packs_unindexed >= PACKS_PER_INDEX
            self._landed(plain_bytes)
            if due:
                self._write_index()
        except BaseException as failure:
            self._fail(failure)
            raise

    def _land(self, blobs: list[EncodedBlob]) -> tuple[tuple[PackEntry, ...], int]:
        """Store a pack; returns what lies in it and its length, so that it is let go of before its place is."""
        pack = build_pack(self._seal, PackId(self._random_bytes(PACK_ID_BYTES)), blobs)
        self._store.write(pack_name(pack.id), pack.content)
        self._wrote(pack_name(pack.id), pack.content)
        return pack.entries, len(pack.content)

    def _write_index(self) -> None:
        with self._lock:
            entries, self._unindexed, self._packs_unindexed = self._unindexed, [], 0
            found, self._found = self._found, []
        try:
            for table in in_files((*found, index_table(entries))):
                self._write_index_file(table)
        except StorageError:
            with self._lock:
                self._unindexed.extend(entries)
                self._found += found
            raise
        with self._lock:
            self._index.add(entries)

    def _write_index_file(self, table: pa.Table) -> None:
        name = f"index/{self._random_bytes(16).hex()}"
        content = write_index_table(self._seal, name, table)
        self._store.write(name, content)
        self._wrote(name, content)
        with self._lock:
            self._count(0, 0, len(content), 0)

    def _count(self, blobs: int, bytes_new: int, bytes_stored: int, packs: int) -> None:
        so_far = self._written
        self._written = Written(
            so_far.blobs + blobs,
            so_far.bytes_new + bytes_new,
            so_far.bytes_stored + bytes_stored,
            so_far.packs + packs,
        )
