"""How large a stored object may be: told by the listing that shows it, before any of its bytes is fetched."""

from __future__ import annotations

from storage.errors import Damaged
from storage.store import Store, StoredObject


def refuse_too_large(name: str, size: int | None, largest: int) -> None:
    """Raise Damaged for an object of more than `largest` bytes; a `size` of None is one that no listing told."""
    if size is not None and size > largest:
        raise Damaged(
            f"Damage in the repository: {name} takes {size} bytes, and nothing of its kind takes more than {largest}",
            "Recollect never wrote it: remove that object by hand",
        )


def read_listed(store: Store, item: StoredObject, largest: int) -> bytes:
    """A listed object's bytes, unless it is larger than any of its kind. Raises Damaged and ObjectMissing."""
    refuse_too_large(item.name, item.size, largest)
    return store.read(item.name)
