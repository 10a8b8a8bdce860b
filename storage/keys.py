"""The keys of an encrypted repository: opened with a secret, given to more secrets, taken from some.

Each slot is an object of its own below `keys/`, written once and removed once, so that no crash can leave one half
changed. A new slot is always stored, read back and opened before an old one goes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from blake3 import blake3

from storage.errors import (
    Damaged,
    KeySlotNeeded,
    KeySlotUnknown,
    ObjectMissing,
    SecretRefused,
    StorageError,
    TooManyKeySlots,
    UnsupportedFormat,
)
from storage.format.configuration import Configuration
from storage.format.key_slot import (
    LONGEST_LABEL,
    LONGEST_SLOT,
    USUAL_COST,
    GuessingCost,
    KeySlot,
    read_slot,
    slot_name,
    slot_of_name,
    unwrap_keyring,
    wrap_keyring,
    write_slot,
)
from storage.format.keyring import Keyring
from storage.format.secret import Secret, SecretKind, looks_like_a_recovery_key, refuse_weak
from storage.side_by_side import side_by_side
from storage.store import Store, StoredObject

MOST_SLOTS = 32
"""More are not looked at: a store must not keep a reader busy with guesses for ever."""

_TRUSTED_FOR_S = 600
"""So long an opened keyring serves a process again. A process that runs for days must hear of a rotation."""


@dataclass(frozen=True, slots=True)
class SlotListing:
    """The slots of a repository, oldest first, and what was wrong with those that can't be read."""

    slots: tuple[KeySlot, ...]
    troubles: tuple[StorageError, ...]


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The keys, and the slot that they came from."""

    keyring: Keyring
    slot: KeySlot


Fetched = tuple[KeySlot | StorageError, ...]
"""What lies in `keys/`: slots, and what is wrong with those that can't be read."""


def fetch_slots(store: Store) -> Fetched:
    """What `keys/` holds, for whichever repository."""

    def read(item: StoredObject) -> KeySlot | StorageError | None:
        if item.size > LONGEST_SLOT:
            return Damaged(
                f"Damage in the repository: the key slot {item.name} is too long", "Remove that object by hand"
            )
        try:
            return read_slot(item.name, store.read(item.name))
        except ObjectMissing:
            return None  # removed since it was listed
        except (Damaged, UnsupportedFormat) as trouble:
            return trouble

    items = _listed(store)
    found = [one for one in side_by_side(read, items[:MOST_SLOTS]) if one is not None]
    if len(items) > MOST_SLOTS:
        found.append(
            TooManyKeySlots(
                f"{store.url} lists {len(items)} key slots, and only the first {MOST_SLOTS} by name are looked at",
                "What opens one of the others opens nothing: remove slots that nobody needs with `recollect key "
                "remove`, or by hand the objects in keys/ that `recollect key list` does not tell of and nobody knows",
            )
        )
    return tuple(found)


def _listed(store: Store) -> list[StoredObject]:
    """What lies in `keys/` under the name of a slot, of whichever repository."""
    return [item for item in store.list("keys") if slot_of_name(item.name) is not None]


def list_slots(store: Store, configuration: Configuration, fetched: Fetched | None = None) -> SlotListing:
    """The slots of this repository, among those `fetched` if they were. What was made for another one is left out."""
    found = fetch_slots(store) if fetched is None else fetched
    slots = [slot for slot in found if isinstance(slot, KeySlot) and slot.repository == configuration.id]
    return SlotListing(
        tuple(sorted(slots, key=lambda slot: (slot.created_at, slot.generation, slot.id))),
        tuple(trouble for trouble in found if isinstance(trouble, StorageError)),
    )


def unlock(store: Store, configuration: Configuration, secret: Secret, fetched: Fetched | None = None) -> Unlocked:
    """Open the repository's keys with `secret`: of all slots that it opens, the one that knows the newest key.

    Raises SecretRefused when it opens none, and Damaged when there is no slot that can be read.
    """
    listing = list_slots(store, configuration, fetched)
    found = _opened(listing, secret)
    if found is None and fetched is not None:
        # Of a repository that was just made, they may have been fetched too early.
        before, listing = listing, list_slots(store, configuration)
        found = _opened(listing, secret) if listing.slots != before.slots else None
    if found is None:
        raise why_not_opened(store, listing, secret)
    return found


def _opened(listing: SlotListing, secret: Secret) -> Unlocked | None:
    # Of a rotation that was cut short there may be two slots for one secret.
    for slot in sorted(listing.slots, key=lambda slot: slot.generation, reverse=True):
        keyring = unwrap_keyring(slot, secret)
        if keyring is not None:
            return Unlocked(keyring, slot)
    return None


def has_unlocked() -> bool:
    """Whether keys were opened in this process, so that it may know what it needs."""
    with _remembered_lock:
        return bool(_remembered)


def unlock_once(store: Store, configuration: Configuration, secret: Secret, fetched: Fetched | None = None) -> Keyring:
    """As `unlock`, but what was opened in this process a while ago is not opened again: guessing takes its time."""
    mark = _mark(configuration, secret)
    with _remembered_lock:
        found = _remembered.get(mark)
        if found is None or time.monotonic() - found[1] > _TRUSTED_FOR_S:
            found = unlock(store, configuration, secret, fetched).keyring, time.monotonic()
            _remembered[mark] = found
    return found[0]


def forget_unlocked() -> None:
    """Open again what was opened before: the keys have changed."""
    with _remembered_lock:
        _remembered.clear()


def add_slot(
    store: Store,
    configuration: Configuration,
    keyring: Keyring,
    secret: Secret,
    label: str = "",
    *,
    cost: GuessingCost | None = None,
) -> KeySlot:
    """Let `secret` open the repository, too.

    Raises SecretRefused for a weak one, and TooManyKeySlots when nobody would look at one more slot.
    """
    refuse_weak(secret)
    refuse_too_many(store, 1)
    return store_slot(store, configuration, keyring, secret, label=_checked_label(label), cost=cost)


def refuse_too_many(store: Store, more: int) -> None:
    """Raise TooManyKeySlots when there is no place for so many more."""
    there = len(_listed(store))
    if there + more > MOST_SLOTS:
        raise TooManyKeySlots(
            f"{store.url} holds {there} key slots, and there is no place for {more} more: only {MOST_SLOTS} are ever "
            "looked at",
            "Remove slots that nobody needs with `recollect key remove`, then try again",
        )


def store_slot(
    store: Store,
    configuration: Configuration,
    keyring: Keyring,
    secret: Secret,
    *,
    label: str,
    cost: GuessingCost | None,
) -> KeySlot:
    """Store one more slot, read back and opened before anyone relies on it. Raises Damaged when it did not arrive."""
    slot = wrap_keyring(
        secret,
        keyring,
        repository=configuration.id,
        label=label,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cost=cost or USUAL_COST,
    )
    name, content = slot_name(slot.id), write_slot(slot)
    store.create(name, content)
    if store.read(name) != content or unwrap_keyring(slot, secret) != keyring:
        store.remove(name)
        raise Damaged(
            f"The new key slot {name} did not arrive whole in {store.url}, and was taken away again",
            "Check that disk or server, and this computer's memory, then try again",
        )
    return slot


def find_slot(listing: SlotListing, wanted: str) -> KeySlot:
    """The slot whose id is or begins with `wanted`. Raises KeySlotUnknown."""
    found = [slot for slot in listing.slots if wanted and slot.id.startswith(wanted.lower())]
    if len(found) != 1:
        raise KeySlotUnknown(
            "No key slot goes by that id" if not found else "Several key slots begin like that",
            f"There are: {_enumerated(listing.slots)}",
        )
    return found[0]


def remove_slot(store: Store, configuration: Configuration, slot_id: str, opened_by: KeySlot) -> tuple[KeySlot, ...]:
    """Take a slot away; returns those that remain. `opened_by` is the slot that whoever asks came in by.

    Raises KeySlotNeeded for the slot that they came in by, as that is what they can surely open, and for the last one
    that knows the newest key; KeySlotUnknown when there is no such slot.
    """
    listing = list_slots(store, configuration)
    gone = find_slot(listing, slot_id)
    remaining = tuple(slot for slot in listing.slots if slot.id != gone.id)
    if gone.id == opened_by.id:
        raise KeySlotNeeded(
            f"The key slot {gone.described} is the one that the present secret opens",
            "Use a secret whose slot stays; `recollect key add` makes another one",
        )
    if not any(slot.generation >= gone.generation for slot in remaining):
        raise KeySlotNeeded(
            f"The key slot {gone.described} is the last one that knows the newest key", "Add another one first"
        )
    stored = store.read(slot_name(gone.id))
    store.remove(slot_name(gone.id))
    if not any(slot.generation >= gone.generation for slot in list_slots(store, configuration).slots):
        # Someone else took the others away at the same moment.
        store.write(slot_name(gone.id), stored)
        raise KeySlotNeeded(
            f"The key slot {gone.described} has become the last one meanwhile, and stays", "Add another one first"
        )
    forget_unlocked()
    return remaining


def why_not_opened(store: Store, listing: SlotListing, secret: Secret) -> StorageError:
    """What a person is to hear whose secret opens none of the slots."""
    if not listing.slots:
        return (
            listing.troubles[0]
            if listing.troubles
            else Damaged(
                f"The encrypted repository at {store.url} has lost its key slots",
                "Put its folder keys/ back from a copy; without one, nobody can read it",
            )
        )
    there = f"{_enumerated(listing.slots)}{_unread(listing)}"
    if all(slot.kind is not secret.kind for slot in listing.slots):
        return SecretRefused(
            f"The repository at {store.url} has no key slot for a {secret.kind.words}", f"It has: {there}"
        )
    if secret.kind is SecretKind.PASSPHRASE and looks_like_a_recovery_key(secret.value.decode()):
        return SecretRefused(
            f"That opens nothing in the repository at {store.url}; if it is the recovery key, it is mistyped",
            "Compare it, letter by letter, with what was written down",
        )
    return SecretRefused(
        f"The {secret.kind.words} does not open the repository at {store.url}",
        f"Check it, and that the address is the right one; there are key slots for: {there}",
    )


def _unread(listing: SlotListing) -> str:
    """What else may be what a secret opens, to be told behind the slots that were looked at."""
    for trouble in listing.troubles:
        if isinstance(trouble, TooManyKeySlots):
            return f". {trouble.problem}"
    return ". One slot is damaged, perhaps that one" if listing.troubles else ""


def _enumerated(slots: Iterable[KeySlot]) -> str:
    return ", ".join(slot.described for slot in slots) or "none"


def _checked_label(label: str) -> str:
    if len(label.encode("utf-8", "replace")) > LONGEST_LABEL or not label.isprintable():
        raise SecretRefused(f"A label is at most {LONGEST_LABEL} bytes of printable text", "Choose a shorter one")
    return label


_remembered: dict[bytes, tuple[Keyring, float]] = {}
_remembered_lock = threading.Lock()
_process_key = os.urandom(32)


def _mark(configuration: Configuration, secret: Secret) -> bytes:
    """What an opened keyring is remembered by: nothing that a secret could be told from."""
    told = b"\0".join((configuration.id.encode(), secret.kind.encode(), secret.value))
    return blake3(told, key=_process_key).digest()
