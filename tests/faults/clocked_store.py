"""A store in memory whose clock, like the computer's, stands where a test puts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from storage.errors import Damaged, ObjectExists, ObjectMissing
from storage.store import Listings, StoredObject, checked_name


class FakeClock:
    """The clocks of a computer. `pass_by` moves the time of day and the seconds since some moment alike."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, **duration: float) -> None:
        passed = timedelta(**duration)
        self.time += passed
        self.seconds += passed.total_seconds()


class ClockedStore:
    """Objects in a dict, each with the time at which it was written."""

    url = "memory://clocked"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.objects: dict[str, tuple[bytes, datetime]] = {}

    def read(self, name: str) -> bytes:
        if name not in self.objects:
            raise ObjectMissing(f"There is no {name}", "This is a test")
        return self.objects[name][0]

    def read_range(self, name: str, start: int, length: int) -> bytes:
        content = self.read(name)[start : start + length]
        if len(content) != length:
            raise Damaged(f"{name} is too short", "This is a test")
        return content

    def write(self, name: str, data: bytes) -> None:
        self.objects[checked_name(name)] = (data, self.clock.now())

    def create(self, name: str, data: bytes) -> None:
        if name in self.objects:
            raise ObjectExists(f"There is a {name}", "This is a test")
        self.write(name, data)

    def list(self, prefix: str) -> list[StoredObject]:
        folder = f"{prefix}/" if prefix else ""
        return sorted(
            (
                StoredObject(name, len(data), modified)
                for name, (data, modified) in self.objects.items()
                if name.startswith(folder)
            ),
            key=lambda found: found.name,
        )

    def remove(self, name: str) -> None:
        self.objects.pop(name, None)

    removals_at_once = 1

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    def remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(name)

    def size(self, name: str) -> int | None:
        return len(self.objects[name][0]) if name in self.objects else None
