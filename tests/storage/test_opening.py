from __future__ import annotations

import json
from pathlib import Path
from threading import Barrier

import pytest

from storage import keys
from storage.errors import NoRepositoryYet, NotARepository, NotEncrypted, SecretMissing, SecretRefused, StorageError
from storage.format.configuration import CONFIGURATION_NAME, Configuration, Sealing, write_configuration
from storage.format.key_slot import LEAST_COST
from storage.format.secret import Secret, typed_secret
from storage.opening import create_repository, open_or_create_repository, open_repository
from storage.store import Store, StoredObject
from storage.stores.address import open_store
from tests.faults.faulty_store import ANY, FaultyStore
from tests.storage.small_backup import back_up, restore, source_of

SECRET = typed_secret("correct horse battery staple")
SOURCE = source_of(1, pages=20, media=5)


@pytest.fixture(autouse=True)
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "USUAL_COST", LEAST_COST)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "repository"))


def test_an_encrypted_repository_gives_back_what_was_stored(store: Store) -> None:
    ref = back_up(open_or_create_repository(store, None, SECRET), SOURCE, run=0)
    assert restore(open_or_create_repository(store, None, SECRET), ref) == SOURCE


def test_nothing_that_is_stored_shows_any_of_it(store: Store) -> None:
    back_up(create_repository(store, None, SECRET), SOURCE, run=0)
    stored = {item.name: store.read(item.name) for item in store.list("")}
    pieces = [SOURCE.collection[at : at + 24] for at in range(0, len(SOURCE.collection), 4096)]
    told = [
        *pieces,
        *(content[:24] for content in SOURCE.media.values()),
        *SOURCE.media,
        b"collection.anki2",
        b"/home/ada",
    ]
    for name, content in stored.items():
        assert not any(piece in content or piece in name.encode() for piece in told), name


def test_the_lengths_of_media_do_not_show_in_the_lengths_of_packs(store: Store, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"))
    grown = source_of(1, pages=20, media=5)
    longer = type(grown)(grown.collection, {name: content + b"12345" for name, content in grown.media.items()})
    back_up(create_repository(store, None, SECRET), grown, run=0)
    back_up(create_repository(other, None, SECRET), longer, run=0)
    assert _body_lengths(store) == _body_lengths(other)


def _body_lengths(store: Store) -> list[int]:
    """The lengths of packs without their tables."""
    packs = [store.read(item.name) for item in store.list("packs")]
    return sorted(len(pack) - int.from_bytes(pack[-16:-12], "little") for pack in packs)


def test_an_encrypted_repository_without_a_secret_names_the_ways_to_give_one(store: Store) -> None:
    create_repository(store, None, SECRET)
    with pytest.raises(SecretMissing) as missing:
        open_repository(store)
    ways = ("RECOLLECT_PASSPHRASE", "passphrase_file", "passphrase_command", "passphrase_block", "key_file", "recovery")
    assert all(way in missing.value.advice for way in ways)


def test_a_secret_is_asked_for_only_where_one_is_needed(store: Store, tmp_path: Path) -> None:
    asked: list[str] = []

    def ask() -> Secret:
        asked.append("once")
        return SECRET

    create_repository(plain := open_store(str(tmp_path / "plain")))
    create_repository(store, None, SECRET)
    open_repository(plain, None, ask)
    assert asked == []
    open_repository(store, None, ask)
    assert asked == ["once"]


def test_an_open_repository_is_refused_where_a_secret_is_set(store: Store) -> None:
    create_repository(store)
    for make in (open_repository, create_repository, open_or_create_repository):
        with pytest.raises(NotEncrypted, match="although a passphrase is set for it"):
            make(store, None, SECRET)


def test_a_repository_that_was_told_to_be_open_gives_no_wrong_byte(store: Store) -> None:
    """Whoever can write to the store can change what recollect.json says, and gains nothing by it."""
    repository = create_repository(store, None, SECRET)
    ref = back_up(repository, SOURCE, run=0)
    told = Configuration(repository.id, repository.configuration.created_at, Sealing.OPEN)
    store.write(CONFIGURATION_NAME, write_configuration(told))
    with pytest.raises(NotEncrypted):
        open_repository(store, None, SECRET)
    with pytest.raises(StorageError):
        restore(open_repository(store), ref)


def test_slots_are_fetched_while_it_is_found_out_whose_they_are(store: Store) -> None:
    create_repository(store, None, SECRET)
    keys.forget_unlocked()
    both = Barrier(2)

    class Together(FaultyStore):
        """Answers neither before both were asked."""

        def read(self, name: str) -> bytes:
            if name == CONFIGURATION_NAME:
                both.wait(timeout=60)
            return super().read(name)

        def list(self, prefix: str) -> list[StoredObject]:
            both.wait(timeout=60)
            return super().list(prefix)

    assert open_repository(Together(store), None, SECRET).seal.generation == 1
    again = FaultyStore(store)
    open_repository(again, None, SECRET)
    assert [one.name for one in again.requests] == [CONFIGURATION_NAME]


def test_a_slot_that_was_not_there_yet_when_slots_were_fetched_is_found(store: Store) -> None:
    create_repository(store, None, SECRET)
    keys.forget_unlocked()

    class Early(FaultyStore):
        """The first listing is of before the repository was made."""

        def list(self, prefix: str) -> list[StoredObject]:
            found = super().list(prefix)
            return found if self.count("list") > 1 else []

    assert open_repository(Early(store), None, SECRET).seal.generation == 1


def test_two_repositories_with_one_passphrase_share_no_key(store: Store, tmp_path: Path) -> None:
    one = create_repository(store, None, SECRET)
    other = create_repository(open_store(str(tmp_path / "other")), None, SECRET)
    assert one.seal.blob_id(b"a picture") != other.seal.blob_id(b"a picture")


def test_a_creation_that_dies_at_any_request_can_be_done_again(tmp_path: Path) -> None:
    died = 0
    for nth in range(1, 30):
        inner = open_store(str(tmp_path / str(nth)))
        store = FaultyStore(inner)
        store.fail(ANY, nth=nth, every=True)
        try:
            create_repository(store, None, SECRET)
        except StorageError:
            died += 1
        else:
            break
        keys.forget_unlocked()
        ref = back_up(open_or_create_repository(inner, None, SECRET), SOURCE, run=0)
        keys.forget_unlocked()
        assert restore(open_repository(inner, None, SECRET), ref) == SOURCE
    else:
        raise AssertionError("the creation never came to its end")
    assert died >= 4


def test_of_two_who_create_at_once_both_open_the_same_and_no_key_is_left_over(store: Store) -> None:
    class Late(FaultyStore):
        def create(self, name: str, data: bytes) -> None:
            if name == CONFIGURATION_NAME:
                create_repository(self.inner, None, SECRET)
            self.inner.create(name, data)

    repository = create_repository(Late(store), None, SECRET)
    assert repository.id == open_repository(store, None, SECRET).id
    (slot,) = store.list("keys")
    assert json.loads(store.read(slot.name))["repository"] == repository.id


def test_a_wrong_secret_is_refused_and_creates_nothing(store: Store) -> None:
    create_repository(store, None, SECRET)
    before = [item.name for item in store.list("")]
    for make in (open_repository, create_repository, open_or_create_repository):
        with pytest.raises(SecretRefused):
            make(store, None, typed_secret("something else"))
    assert [item.name for item in store.list("")] == before


def test_an_empty_place_is_told_from_one_that_is_no_repository(store: Store) -> None:
    with pytest.raises(NoRepositoryYet):
        open_repository(store)
    store.write("holiday/beach.jpg", b"a picture")
    with pytest.raises(NotARepository) as foreign:
        open_repository(store)
    assert not isinstance(foreign.value, NoRepositoryYet)
