"""A rotation: new keys for an encrypted repository, in slots for the secrets at hand and for no others.

The plan first, then the acting. `docs/threats.md` says what a rotation does, and what it can't.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from storage.errors import KeySlotNeeded, SecretRefused, TooManyKeySlots
from storage.format.configuration import Configuration
from storage.format.key_slot import GuessingCost, KeySlot, slot_name, unwrap_keyring
from storage.format.keyring import MOST_GENERATIONS, Keyring, with_new_generation
from storage.format.secret import Secret, SecretKind
from storage.keys import Unlocked, forget_unlocked, list_slots, refuse_too_many, store_slot, why_not_opened
from storage.store import Store


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What a rotation would do: slots that are rewritten, with the secret of each, and slots that are removed.

    `replaced` are the old forms of those that are rewritten.
    """

    keyring: Keyring
    rewritten: tuple[tuple[KeySlot, Secret], ...]
    replaced: tuple[KeySlot, ...]
    dropped: tuple[KeySlot, ...]
    unreadable: tuple[str, ...] = field(default=())


def plan_rotation(store: Store, configuration: Configuration, secrets: Sequence[Secret]) -> RotationPlan:
    """What a rotation with these secrets at hand would do.

    Raises SecretRefused when one of them opens nothing, and TooManyKeySlots when there is no place for the new slots
    beside the old ones, or when there are slots that nobody looks at: those would stay.
    """
    listing = list_slots(store, configuration)
    opened: list[tuple[Unlocked, Secret]] = []
    for secret in dict.fromkeys(secrets):
        by_it = [
            Unlocked(keyring, slot) for slot in listing.slots if (keyring := unwrap_keyring(slot, secret)) is not None
        ]
        if not by_it:
            raise why_not_opened(store, listing, secret)
        opened += [(unlocked, secret) for unlocked in by_it]
    newest = max((unlocked for unlocked, _ in opened), key=lambda unlocked: unlocked.keyring.newest).keyring
    known = max(slot.generation for slot in listing.slots)
    if newest.newest < known:
        raise SecretRefused(
            f"The secret at hand opens a key slot that was left behind by a rotation (generation {newest.newest} of "
            f"{known})",
            "Rotate with a secret that opens a newer slot, which `recollect key list` tells",
        )
    if len(newest.generations) >= MOST_GENERATIONS:
        raise KeySlotNeeded(
            f"The keys of the repository at {store.url} were rotated as often as they can be", "Begin a new repository"
        )
    by_secret = {secret: unlocked.slot for unlocked, secret in opened}
    ids = {unlocked.slot.id for unlocked, _ in opened}
    rewritten = tuple((slot, secret) for secret, slot in by_secret.items() if secret.kind is not SecretKind.RECOVERY)
    refuse_too_many(store, len(rewritten) + 1)
    return RotationPlan(
        keyring=newest,
        rewritten=rewritten,
        replaced=tuple(slot for slot in listing.slots if slot.id in ids),
        dropped=tuple(slot for slot in listing.slots if slot.id not in ids),
        unreadable=tuple(trouble.problem for trouble in listing.troubles),
    )


def rotate(
    store: Store,
    configuration: Configuration,
    plan: RotationPlan,
    recovery: Secret,
    *,
    cost: GuessingCost | None = None,
) -> tuple[KeySlot, ...]:
    """Make a new generation of keys, and slots for it; then remove every slot of before. Returns the new slots.

    Whoever asks has `recovery` written down already: from here on a crash may leave nothing else that opens the
    newest keys. A crash between the new slots and the removal of the old leaves both; rotating again tidies up. What
    was written before stays under its old key, which every new slot holds, too.
    """
    keyring = with_new_generation(plan.keyring)
    made: list[KeySlot] = []
    # The recovery key last: whatever opens the repository every day must not be left behind by a crash.
    wanted = [*((secret, slot.label) for slot, secret in plan.rewritten), (recovery, "made by a rotation")]
    for secret, label in wanted:
        made.append(store_slot(store, configuration, keyring, secret, label=label, cost=cost))
    _stand_back_from_another_rotation(store, configuration, plan, made)
    _remove(store, (*plan.dropped, *plan.replaced))
    forget_unlocked()
    return tuple(made)


def _stand_back_from_another_rotation(
    store: Store, configuration: Configuration, plan: RotationPlan, made: Sequence[KeySlot]
) -> None:
    """Two rotations at once would give one number to two keys: when both see each other, both stand back."""
    ours = {slot.id for slot in made}
    listing = list_slots(store, configuration)
    others = [slot for slot in listing.slots if slot.id not in ours and slot.generation > plan.keyring.newest]
    if others or any(isinstance(trouble, TooManyKeySlots) for trouble in listing.troubles):
        _remove(store, made)
        raise KeySlotNeeded(
            f"Someone else is rotating the keys of the repository at {store.url} at this moment",
            "See with `recollect key list` how it ended, then try again",
        )


def _remove(store: Store, slots: Iterable[KeySlot]) -> None:
    for slot in slots:
        store.remove(slot_name(slot.id))
