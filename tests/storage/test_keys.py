from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage import keys
from storage.errors import (
    Damaged,
    KeySlotNeeded,
    KeySlotUnknown,
    SecretRefused,
    StorageError,
    StoreUnreachable,
    TooManyKeySlots,
    WrittenUnderNewerKey,
)
from storage.format.configuration import Configuration
from storage.format.key_slot import LEAST_COST, KeySlot, slot_name, write_slot
from storage.format.secret import Secret, new_key_file, new_recovery_key, typed_secret
from storage.key_rotation import plan_rotation, rotate
from storage.keys import (
    MOST_SLOTS,
    add_slot,
    find_slot,
    list_slots,
    remove_slot,
    unlock,
    unlock_once,
)
from storage.opening import create_repository, open_repository
from storage.repository import Repository
from storage.store import Store
from storage.stores.address import open_store
from tests.faults.faulty_store import ANY, WRITING, FaultyStore
from tests.storage.small_backup import back_up, restore, source_of

PASSPHRASE = typed_secret("correct horse battery staple")
OTHER = typed_secret("another passphrase")
KEY_FILE = new_key_file()[0]
FIRST, SECOND = source_of(1, pages=20, media=3), source_of(2, pages=20, media=3)


@pytest.fixture(autouse=True)
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passphrases are tried as quickly as a reader allows, and every test opens what it opens itself."""
    monkeypatch.setattr(keys, "USUAL_COST", LEAST_COST)
    keys.forget_unlocked()
    yield
    keys.forget_unlocked()


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(open_store(str(tmp_path / "repository")))


@pytest.fixture
def repository(store: FaultyStore) -> Repository:
    return create_repository(store, None, PASSPHRASE, label="the first")


def opened(store: Store, secret: Secret) -> Repository:
    """The repository, opened by a process that knows nothing yet."""
    keys.forget_unlocked()
    return open_repository(store, None, secret)


def slots_of(repository: Repository) -> tuple[KeySlot, ...]:
    return list_slots(repository.store, repository.configuration).slots


def added(repository: Repository, secret: Secret, label: str = "") -> KeySlot:
    keyring = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    return add_slot(repository.store, repository.configuration, keyring, secret, label)


def rotated(repository: Repository, *secrets: Secret) -> Secret:
    """Rotate, and return the new recovery key."""
    recovery = new_recovery_key()[0]
    plan = plan_rotation(repository.store, repository.configuration, secrets)
    rotate(repository.store, repository.configuration, plan, recovery)
    return recovery


@pytest.mark.parametrize("secret", [OTHER, KEY_FILE, new_recovery_key()[0]], ids=lambda secret: secret.kind)
def test_every_secret_that_was_added_opens_the_same_backups(repository: Repository, secret: Secret) -> None:
    ref = back_up(repository, FIRST, run=0)
    added(repository, secret)
    assert restore(opened(repository.store, secret), ref) == restore(opened(repository.store, PASSPHRASE), ref) == FIRST


def test_a_wrong_passphrase_is_one_sentence_and_a_missing_kind_of_slot_another(repository: Repository) -> None:
    with pytest.raises(SecretRefused, match=r"^The passphrase does not open .*, the first\)\.$"):
        opened(repository.store, OTHER)
    with pytest.raises(SecretRefused, match=r"has no key slot for a key file\. It has: .* \(passphrase, the first\)"):
        opened(repository.store, KEY_FILE)
    added(repository, KEY_FILE)
    with pytest.raises(SecretRefused, match="key file does not open"):
        opened(repository.store, new_key_file()[0])


def test_a_mistyped_recovery_key_is_called_so(repository: Repository) -> None:
    recovery, text = new_recovery_key()
    added(repository, recovery)
    mistyped = text[:-1] + ("0" if text[-1] != "0" else "2")
    with pytest.raises(SecretRefused, match="if it is the recovery key, it is mistyped"):
        opened(repository.store, typed_secret(mistyped))
    with pytest.raises(SecretRefused, match=r"^The recovery key does not open"):
        opened(repository.store, new_recovery_key()[0])


def test_no_error_shows_a_secret(repository: Repository) -> None:
    added(repository, KEY_FILE)
    for secret in (OTHER, new_key_file()[0], new_recovery_key()[0]):
        with pytest.raises(SecretRefused) as refused:
            opened(repository.store, secret)
        told = "".join(traceback.format_exception(refused.value))
        assert not any(form in told for form in (repr(secret.value)[2:-1], secret.value.hex()))


def test_a_weak_passphrase_and_an_endless_label_are_refused(repository: Repository) -> None:
    for secret, label in ((typed_secret("short"), ""), (OTHER, "x" * 101), (OTHER, "two\nlines"), (OTHER, "\ud800")):
        with pytest.raises(SecretRefused):
            added(repository, secret, label)
    assert len(slots_of(repository)) == 1


def test_a_process_opens_the_keys_once_and_anew_after_a_while(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, configuration = repository.store, repository.configuration
    assert isinstance(store, FaultyStore)
    first = unlock_once(store, configuration, PASSPHRASE)
    before = len(store.requests)
    assert unlock_once(store, configuration, PASSPHRASE) is first
    assert len(store.requests) == before
    with pytest.raises(SecretRefused):
        unlock_once(store, configuration, OTHER)
    now = keys.time.monotonic() + keys._TRUSTED_FOR_S + 1
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    before = len(store.requests)
    assert unlock_once(store, configuration, PASSPHRASE) == first
    assert len(store.requests) > before


def test_slots_of_another_repository_and_other_objects_are_passed_over(repository: Repository, tmp_path: Path) -> None:
    other = create_repository(open_store(str(tmp_path / "other")), None, OTHER)
    (theirs,) = slots_of(other)
    repository.store.write(slot_name(theirs.id), write_slot(theirs))
    repository.store.write("keys/notes.txt", b"mine")
    assert [slot.label for slot in slots_of(repository)] == ["the first"]
    with pytest.raises(SecretRefused):
        opened(repository.store, OTHER)


def test_a_damaged_slot_is_told_and_costs_no_other(repository: Repository) -> None:
    spoiled = added(repository, OTHER)
    repository.store.write(slot_name(spoiled.id), b"{}")
    listing = list_slots(repository.store, repository.configuration)
    assert [slot.label for slot in listing.slots] == ["the first"]
    assert [type(trouble) for trouble in listing.troubles] == [Damaged]
    opened(repository.store, PASSPHRASE)
    with pytest.raises(SecretRefused, match="One slot is damaged, perhaps that one"):
        opened(repository.store, OTHER)


def test_slots_that_are_all_damaged_or_gone_are_not_taken_for_a_wrong_passphrase(repository: Repository) -> None:
    (slot,) = slots_of(repository)
    repository.store.write(slot_name(slot.id), b"x" * 1_000_000)
    with pytest.raises(Damaged, match="too long"):
        opened(repository.store, PASSPHRASE)
    repository.store.remove(slot_name(slot.id))
    with pytest.raises(Damaged, match=r"has lost its key slots.*keys/"):
        opened(repository.store, PASSPHRASE)


def test_a_store_that_makes_up_slots_costs_a_bounded_number_of_guesses(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slot,) = slots_of(repository)
    for number in range(MOST_SLOTS * 2):
        fake = replace(slot, id=f"{number:016x}")
        repository.store.write(slot_name(fake.id), write_slot(fake))
    tried: list[str] = []
    monkeypatch.setattr(keys, "unwrap_keyring", lambda slot, _: tried.append(slot.id))
    with pytest.raises(SecretRefused):
        opened(repository.store, PASSPHRASE)
    assert len(tried) <= MOST_SLOTS


def crowded(repository: Repository, number: int) -> None:
    """Let there be so many slots, whose secrets nobody has, that come first in every listing."""
    (slot, *_) = slots_of(repository)
    for spare in range(number - len(repository.store.list("keys"))):
        fake = replace(slot, id=f"{spare:016x}")
        repository.store.write(slot_name(fake.id), write_slot(fake))


def test_no_slot_is_added_that_nobody_would_look_at(repository: Repository) -> None:
    crowded(repository, MOST_SLOTS - 1)
    keyring = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    add_slot(repository.store, repository.configuration, keyring, OTHER)
    names = repository.store.list("keys")
    with pytest.raises(TooManyKeySlots, match="only 32 are ever looked at"):
        add_slot(repository.store, repository.configuration, keyring, KEY_FILE)
    assert repository.store.list("keys") == names
    opened(repository.store, OTHER)


def test_slots_that_are_not_looked_at_are_told(repository: Repository) -> None:
    crowded(repository, MOST_SLOTS + 2)
    listing = list_slots(repository.store, repository.configuration)
    assert len(listing.slots) == MOST_SLOTS
    assert [type(trouble) for trouble in listing.troubles] == [TooManyKeySlots]
    assert f"{MOST_SLOTS + 2} key slots" in str(listing.troubles[0])
    for secret in (OTHER, KEY_FILE):
        with pytest.raises(SecretRefused, match=f"only the first {MOST_SLOTS} by name are looked at"):
            opened(repository.store, secret)


def test_a_rotation_needs_place_for_its_slots_and_leaves_none_behind_unseen(repository: Repository) -> None:
    crowded(repository, MOST_SLOTS - 1)
    before = repository.store.list("keys")
    with pytest.raises(TooManyKeySlots, match="no place for 2 more"):
        plan_rotation(repository.store, repository.configuration, [PASSPHRASE])
    assert repository.store.list("keys") == before
    repository.store.remove(slot_name(f"{0:016x}"))
    rotated(repository, PASSPHRASE)
    assert len(repository.store.list("keys")) == 2


def test_a_store_that_does_not_answer_is_no_wrong_passphrase(repository: Repository, store: FaultyStore) -> None:
    store.fail(frozenset({"read"}), folder="keys/")
    with pytest.raises(StoreUnreachable):
        opened(store, PASSPHRASE)


# Removing


def test_a_removed_slot_opens_nothing_any_more(repository: Repository) -> None:
    added(repository, OTHER, "the second")
    (first,) = [slot for slot in slots_of(repository) if slot.label == "the first"]
    by_other = unlock(repository.store, repository.configuration, OTHER).slot
    assert remove_slot(repository.store, repository.configuration, first.id[:6], by_other) == (by_other,)
    with pytest.raises(SecretRefused):
        opened(repository.store, PASSPHRASE)
    opened(repository.store, OTHER)


def test_the_last_slot_and_the_one_that_someone_came_in_by_stay(repository: Repository) -> None:
    (first,) = slots_of(repository)
    second = added(repository, OTHER)
    store, configuration = repository.store, repository.configuration
    with pytest.raises(KeySlotNeeded, match="the one that the present secret opens"):
        remove_slot(store, configuration, first.id, first)
    remove_slot(store, configuration, first.id, second)
    with pytest.raises(KeySlotNeeded, match="last one"):
        remove_slot(store, configuration, second.id, first)
    assert slots_of(repository) == (second,)


def test_the_last_slot_that_knows_the_newest_key_stays_though_others_are_left(repository: Repository) -> None:
    old = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    recovery = rotated(repository, PASSPHRASE)
    stale = add_slot(repository.store, repository.configuration, old, OTHER)
    by_passphrase = unlock(repository.store, repository.configuration, PASSPHRASE).slot
    by_recovery = unlock(repository.store, repository.configuration, recovery).slot
    remove_slot(repository.store, repository.configuration, by_recovery.id, by_passphrase)
    with pytest.raises(KeySlotNeeded, match="knows the newest key"):
        remove_slot(repository.store, repository.configuration, by_passphrase.id, stale)


def test_of_two_who_remove_each_others_slot_nobody_is_locked_out(repository: Repository) -> None:
    second = added(repository, OTHER)
    (first,) = [slot for slot in slots_of(repository) if slot.id != second.id]

    class Meanwhile(FaultyStore):
        def remove(self, name: str) -> None:
            super().remove(name)
            self.inner.remove(slot_name(second.id))

    with pytest.raises(KeySlotNeeded, match="meanwhile"):
        remove_slot(Meanwhile(repository.store), repository.configuration, first.id, second)
    opened(repository.store, PASSPHRASE)


def test_a_slot_goes_by_the_beginning_of_its_id_if_that_is_enough(repository: Repository) -> None:
    one = slots_of(repository)[0]
    listing = keys.SlotListing((replace(one, id="ab" * 8), replace(one, id="abcd" * 4)), ())
    assert find_slot(listing, "ABC").id == "abcd" * 4
    for wanted, said in (("ab", "Several"), ("", "No key slot"), ("f", "No key slot")):
        with pytest.raises(KeySlotUnknown, match=said):
            find_slot(listing, wanted)


# Rotating


def test_a_rotation_writes_under_a_new_key_and_reads_what_was_there(repository: Repository) -> None:
    first = back_up(repository, FIRST, run=0)
    added(repository, OTHER)
    added(repository, KEY_FILE, "kept")
    old = opened(repository.store, PASSPHRASE)
    recovery = rotated(repository, PASSPHRASE, KEY_FILE)
    assert {(slot.kind, slot.label, slot.generation) for slot in slots_of(repository)} == {
        ("passphrase", "the first", 2),
        ("key-file", "kept", 2),
        ("recovery", "made by a rotation", 2),
    }
    newer = opened(repository.store, PASSPHRASE)
    second = back_up(newer, SECOND, run=1)
    for secret in (PASSPHRASE, KEY_FILE, recovery):
        found = opened(repository.store, secret)
        assert (restore(found, first), restore(found, second)) == (FIRST, SECOND)
    with pytest.raises(SecretRefused):
        opened(repository.store, OTHER)
    assert restore(old, first) == FIRST
    with pytest.raises(WrittenUnderNewerKey):
        old.manifest(second)


def test_what_was_stored_before_a_rotation_is_not_stored_again(repository: Repository) -> None:
    back_up(repository, FIRST, run=0)
    rotated(repository, PASSPHRASE)
    assert isinstance(repository.store, FaultyStore)
    before = repository.store.bytes_of("write", "packs/") + sum(
        one.size for one in repository.store.requests if one.verb == "create" and one.name.startswith("packs/")
    )
    back_up(opened(repository.store, PASSPHRASE), FIRST, run=1)
    after = repository.store.bytes_of("write", "packs/") + sum(
        one.size for one in repository.store.requests if one.verb == "create" and one.name.startswith("packs/")
    )
    assert after == before


def test_a_rotation_asks_for_a_secret_that_opens_something(repository: Repository) -> None:
    with pytest.raises(SecretRefused):
        plan_rotation(repository.store, repository.configuration, [PASSPHRASE, OTHER])


def test_a_slot_that_a_rotation_left_behind_can_not_rotate(repository: Repository) -> None:
    old = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    rotated(repository, PASSPHRASE)
    add_slot(repository.store, repository.configuration, old, OTHER)
    with pytest.raises(SecretRefused, match=r"generation 1 of 2"):
        plan_rotation(repository.store, repository.configuration, [OTHER])


def test_of_two_slots_for_one_secret_the_one_with_the_newest_key_counts(repository: Repository) -> None:
    old = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    rotated(repository, PASSPHRASE)
    add_slot(repository.store, repository.configuration, old, PASSPHRASE)
    assert opened(repository.store, PASSPHRASE).seal.generation == 2


def test_two_rotations_at_once_never_give_one_number_to_two_keys(repository: Repository) -> None:
    store, configuration = repository.store, repository.configuration
    plans = [plan_rotation(store, configuration, [PASSPHRASE]) for _ in range(2)]
    rotate(store, configuration, plans[0], new_recovery_key()[0])
    before = slots_of(repository)
    with pytest.raises(KeySlotNeeded, match="Someone else is rotating"):
        rotate(store, configuration, plans[1], new_recovery_key()[0])
    assert slots_of(repository) == before


@pytest.mark.parametrize("kinds", [ANY, WRITING], ids=["any request", "any write"])
def test_a_rotation_that_dies_at_any_request_leaves_a_repository_that_opens_and_rotates(
    tmp_path: Path, kinds: frozenset[str]
) -> None:
    template = open_store(str(tmp_path / "template"))
    first = back_up(create_repository(template, None, PASSPHRASE), FIRST, run=0)
    added(opened(template, PASSPHRASE), OTHER)
    died = 0
    for nth in range(1, 40):
        inner = open_store(str(tmp_path / str(nth)))
        for item in template.list(""):
            inner.write(item.name, template.read(item.name))
        store, configuration = FaultyStore(inner), opened(inner, PASSPHRASE).configuration
        store.fail(kinds, nth=nth, every=True)
        recovery = new_recovery_key()[0]
        try:
            rotate(store, configuration, plan_rotation(store, configuration, [PASSPHRASE]), recovery)
        except StorageError:
            died += 1
        found = opened(inner, PASSPHRASE)
        assert restore(found, first) == FIRST
        second = back_up(found, SECOND, run=1)
        again = rotated(found, PASSPHRASE)
        # Whatever was left behind is tidied up, and nothing that was written in between is lost.
        assert len(slots_of(found)) == 2
        for secret in (PASSPHRASE, again):
            assert restore(opened(inner, secret), first) == FIRST
            assert restore(opened(inner, secret), second) == SECOND
        if store._faults[0].seen < nth:
            break
    else:
        raise AssertionError("the rotation never came to its end")
    assert died >= 4


@pytest.mark.parametrize("silently", [True, False])
def test_a_slot_that_does_not_arrive_whole_is_taken_away_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, silently: bool
) -> None:
    class Torn(FaultyStore):
        def create(self, name: str, data: bytes) -> None:
            self.inner.create(name, data[:-1] if silently else data)

        def read(self, name: str) -> bytes:
            content = self.inner.read(name)
            return content if silently or json.loads(content)["kind"] == "passphrase" else content[:-1]

    keyring = unlock(repository.store, repository.configuration, PASSPHRASE).keyring
    with pytest.raises(Damaged, match="did not arrive whole"):
        add_slot(Torn(repository.store), repository.configuration, keyring, KEY_FILE)
    assert len(slots_of(repository)) == 1
    assert list_slots(repository.store, repository.configuration).troubles == ()


def test_keys_can_be_told_apart_by_configuration_alone(repository: Repository) -> None:
    stranger = Configuration(id="f" * 32, created_at="", sealing=repository.configuration.sealing)
    with pytest.raises(Damaged, match="lost its key slots"):
        unlock(repository.store, stranger, PASSPHRASE)
