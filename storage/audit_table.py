"""The audit table: a row for every action taken or skipped, kept in the repository for any Parquet tool to query.

The folder is an ordinary Parquet dataset, and one call opens it:
`pyarrow.dataset.dataset(path + "/audit", partitioning="hive", format="parquet")`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from storage.errors import Damaged, ObjectMissing
from storage.format.audit_row import (
    AUDIT_FOLDER,
    LARGEST_FILE,
    AuditRow,
    decode_row,
    encode_row,
    month_folder,
    object_name,
)
from storage.store import Store, StoredObject

_READ_AT_ONCE: Final = 16
"""Files of a few KiB that are read side by side: what is waited for is the answer, not the bytes."""


@dataclass(frozen=True, slots=True)
class AuditRead:
    """Rows, newest first, and the names of objects in the table's folder that are not rows as they were written.

    `damaged` names only what was looked at: with `newest`, older objects may not have been.
    """

    rows: tuple[AuditRow, ...]
    damaged: tuple[str, ...]


def append_row(store: Store, row: AuditRow) -> str:
    """Store the row as one object of its own, and return the object's name."""
    name = object_name(row)
    store.write(name, encode_row(row))
    return name


def read_rows(
    store: Store,
    *,
    newest: int | None = None,
    profile: str | None = None,
    action: str | None = None,
    now: datetime | None = None,
) -> AuditRead:
    """The rows of a profile or action (or all), newest first, at most `newest` of them.

    With `newest`, the months around `now` (default: the present) are looked at first, and the rest of the table only if
    they do not hold enough rows; a row that a badly wrong clock dated more than a month ahead may then be left out. An
    object that is damaged, or that vanished meanwhile, is named in the result and stops nothing. Raises StorageError
    when the store fails, and ValueError for a negative `newest`.
    """
    if newest is not None and newest < 0:
        raise ValueError("The number of newest rows can't be negative")
    first_looked_at = [] if newest is None else _months_around(now or datetime.now(UTC))
    rows: list[AuditRow] = []
    damaged: list[str] = []
    with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="audit-rows") as threads:
        for batch in _batches(store, [*first_looked_at, AUDIT_FOLDER]):
            for stored, row in zip(batch, threads.map(partial(_read_row, store), batch), strict=True):
                if row is None:
                    damaged.append(stored.name)
                elif profile in {None, row.profile} and action in {None, row.action}:
                    rows.append(row)
            if newest is not None and len(rows) >= newest:
                break
    rows.sort(key=lambda row: (row.started_at, row.row_id), reverse=True)
    return AuditRead(tuple(rows[:newest]), tuple(sorted(damaged)))


def _months_around(now: datetime) -> list[str]:
    """The folders of the next month (clocks differ), of this one and of the last."""
    months = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1
    return [month_folder(number // 12, number % 12 + 1) for number in (months + 1, months, months - 1)]


def _batches(store: Store, folders: Iterable[str]) -> Iterator[list[StoredObject]]:
    """What lies in the folders, one after the other and each newest first (names sort by time), nothing twice."""
    seen: set[str] = set()
    for folder in folders:
        found = [stored for stored in store.list(folder) if stored.name not in seen and not _is_hidden(stored.name)]
        seen.update(stored.name for stored in found)
        found.sort(key=lambda stored: stored.name, reverse=True)
        for start in range(0, len(found), _READ_AT_ONCE):
            yield found[start : start + _READ_AT_ONCE]


def _is_hidden(name: str) -> bool:
    """Whether Parquet tools pass over the object, as they do wherever a name begins with a dot or an underscore."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _read_row(store: Store, stored: StoredObject) -> AuditRow | None:
    """The row, or None when the object isn't one."""
    if stored.size > LARGEST_FILE:
        return None
    try:
        return decode_row(store.read(stored.name), stored.name)
    except (Damaged, ObjectMissing):
        return None
