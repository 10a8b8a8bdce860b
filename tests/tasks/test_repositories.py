"""From settings to an opened repository: what is made where, and what is refused because it was not so before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.chains.backup import back_up
from recollect.settings import load_settings
from storage import keys
from storage.errors import NoRepositoryYet, NotEncrypted, SecretMissing, SecretRefused
from storage.format.audit_row import Outcome
from storage.format.configuration import CONFIGURATION_NAME, Configuration, Sealing, write_configuration
from storage.format.key_slot import LEAST_COST
from storage.format.secret import new_recovery_key, typed_secret
from storage.key_rotation import plan_rotation, rotate
from storage.keys import add_slot, unlock
from storage.opening import create_repository, open_repository
from storage.stores.address import open_store
from tasks import repositories
from tasks.known_repositories import KeysWentBack, RepositoryGone
from tasks.repositories import (
    EncryptionUndecided,
    RepositoryThere,
    allow_new_repository,
    encrypted_place,
    make_named,
    on_this_computer,
    open_named,
)
from tasks.secret import Person
from tasks.settings_in_force import using
from tests.flows.chains.house import House

PASSPHRASE = "correct horse battery staple"
SECRET = typed_secret(PASSPHRASE)


@pytest.fixture(autouse=True)
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(keys, "USUAL_COST", LEAST_COST)
    keys.forget_unlocked()
    yield
    keys.forget_unlocked()


def downgraded(repository: Path) -> None:
    """Let recollect.json say that the repository is open, as whoever can write to the store may."""
    store = open_store(str(repository))
    found = json.loads(store.read(CONFIGURATION_NAME))
    told = Configuration(found["id"], found["created_at"], Sealing.OPEN)
    store.write(CONFIGURATION_NAME, write_configuration(told))


def test_the_repository_on_this_computer_is_open_unless_a_secret_is_set(house: House) -> None:
    assert open_named(create=True).configuration.sealing is Sealing.OPEN
    shutil.rmtree(house.repo)
    allow_new_repository()
    with house.set(passphrase=PASSPHRASE):
        assert open_named(create=True).configuration.sealing is Sealing.AES
        assert back_up("Ada").outcome is Outcome.COMPLETED
    with pytest.raises(SecretMissing):
        open_named()


def test_a_new_encrypted_repository_comes_with_a_word_about_recovery_keys(house: House) -> None:
    told: list[str] = []
    settings = house.load(passphrase=PASSPHRASE)
    with using(settings, Person(tell=told.append)):
        open_named(create=True)
        open_named(create=True)
    assert len(told) == 1
    assert "`recollect key add --recovery`" in told[0]
    assert PASSPHRASE not in told[0]


def test_a_first_backup_to_another_computer_wants_a_word_about_encryption(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = open_store(str(house.base.parent / "far"))

    class Far:
        url = "s3://bucket/anki"

        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

    monkeypatch.setattr(repositories, "open_store", lambda *_: Far())
    with pytest.raises(EncryptionUndecided) as undecided:
        open_named(create=True)
    assert "`recollect init`" in undecided.value.advice
    assert inner.list("") == []
    with house.set(passphrase=PASSPHRASE):
        assert open_named(create=True).configuration.sealing is Sealing.AES
    inner = open_store(str(house.base.parent / "farther"))
    assert make_named(secret=None, despite_memory=True).configuration.sealing is Sealing.OPEN
    assert open_named(create=True).configuration.sealing is Sealing.OPEN


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("/mnt/usb", True),
        ("C:\\x", True),
        ("memory://x", True),
        ("s3://b/x", False),
        ("sftp://nas/x", False),
        ("\\\\nas\\anki", False),
        ("//nas/anki", False),
    ],
)
def test_disks_are_here_and_servers_are_not(url: str, here: bool) -> None:
    assert on_this_computer(url) is here


def test_an_encrypted_repository_that_says_it_is_open_is_refused(house: House) -> None:
    with house.set(passphrase=PASSPHRASE):
        back_up("Ada")
        downgraded(Path(house.repo))
        with pytest.raises(NotEncrypted, match="although a passphrase is set"):
            open_named(create=True)
    # Nothing is set any more: that this computer knew it as encrypted is all there is to go by.
    with pytest.raises(NotEncrypted, match="was encrypted when this computer last used it") as refused:
        open_named(create=True)
    assert "`recollect backup --new-repository`" in refused.value.advice
    allow_new_repository()
    open_named(create=True)


def test_it_is_refused_under_another_address_too(house: House, tmp_path: Path) -> None:
    with house.set(passphrase=PASSPHRASE):
        back_up("Ada")
    shutil.copytree(house.repo, tmp_path / "moved")
    downgraded(tmp_path / "moved")
    with house.set(repo=str(tmp_path / "moved")), pytest.raises(NotEncrypted):
        open_named()


def test_another_open_repository_in_the_place_of_an_encrypted_one_is_refused(house: House) -> None:
    with house.set(passphrase=PASSPHRASE):
        back_up("Ada")
    shutil.rmtree(house.repo)
    create_repository(open_store(house.repo))
    with pytest.raises(NotEncrypted):
        back_up("Ada")


def test_keys_that_went_back_are_refused(house: House, tmp_path: Path) -> None:
    with house.set(passphrase=PASSPHRASE):
        open_named(create=True)
        store, configuration = encrypted_place()
        shutil.copytree(house.repo, tmp_path / "before")
        plan = plan_rotation(store, configuration, [SECRET])
        rotate(store, configuration, plan, new_recovery_key()[0])
        assert open_named().seal.generation == 2
        shutil.rmtree(house.repo)
        shutil.copytree(tmp_path / "before", house.repo)
        keys.forget_unlocked()
        with pytest.raises(KeysWentBack):
            back_up("Ada")
        allow_new_repository()
        assert back_up("Ada").outcome is Outcome.COMPLETED


def test_whoever_sits_at_a_terminal_is_asked_once_and_only_where_it_is_needed(house: House) -> None:
    asked: list[str] = []
    person = Person(ask=lambda question: asked.append(question) or PASSPHRASE)
    with using(house.load(), person):
        open_named(create=True)
    assert asked == []
    shutil.rmtree(house.repo)
    create_repository(open_store(house.repo), None, SECRET)
    with using(house.load(), person):
        assert back_up("Ada").outcome is Outcome.COMPLETED
        open_named()
    assert len(asked) == 1


def test_a_first_backup_is_not_encrypted_with_what_nobody_was_asked_for(house: House) -> None:
    with using(house.load(), Person(ask=lambda _: PASSPHRASE)):
        assert open_named(create=True).configuration.sealing is Sealing.OPEN


def test_a_repository_is_made_once_and_not_where_another_was(house: House) -> None:
    make_named(secret=SECRET, label="mine")
    with pytest.raises(RepositoryThere):
        make_named(secret=SECRET)
    with house.set(passphrase=PASSPHRASE):
        assert [slot.label for slot in keys.list_slots(*encrypted_place()).slots] == ["mine"]
        assert back_up("Ada").outcome is Outcome.COMPLETED
    shutil.rmtree(house.repo)
    with pytest.raises(RepositoryGone):
        make_named(secret=SECRET)
    assert make_named(secret=None, despite_memory=True).configuration.sealing is Sealing.OPEN
    open_named()


def test_a_new_repository_is_not_left_open_where_an_encrypted_one_was(house: House) -> None:
    """Its passphrase was typed, and is set nowhere: a scheduled backup would begin an open one without a word."""
    with house.set(passphrase=PASSPHRASE):
        back_up("Ada")
    shutil.rmtree(house.repo)
    with pytest.raises(EncryptionUndecided) as undecided:
        allow_new_repository()
    assert "`recollect init --new-repository`" in undecided.value.advice
    with pytest.raises(RepositoryGone):
        open_named(create=True)
    with house.set(passphrase="another one"):
        allow_new_repository()
        assert open_named(create=True).configuration.sealing is Sealing.AES


def test_an_open_repository_has_no_keys_and_an_empty_place_no_repository(house: House) -> None:
    with pytest.raises(NoRepositoryYet):
        encrypted_place()
    open_named(create=True)
    with pytest.raises(NotEncrypted, match="has no keys"):
        encrypted_place()


def test_a_wrong_passphrase_leaves_nothing_behind_and_is_told(house: House) -> None:
    make_named(secret=SECRET)
    before = sorted(Path(house.repo).rglob("*"))
    with house.set(passphrase="something else"):
        with pytest.raises(SecretRefused) as refused:
            back_up("Ada")
        assert "something else" not in str(refused.value)
    assert sorted(Path(house.repo).rglob("*")) == before


def test_what_is_remembered_of_repositories_is_whether_they_were_encrypted_and_no_secret(house: House) -> None:
    with house.set(passphrase=PASSPHRASE):
        repository = open_named(create=True)
    text = (house.state / "known-repositories.json").read_text()
    assert json.loads(text) == {house.repo: {"id": repository.id, "generation": 1}}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/x": "an id"}', '{"/x": {"id": 1}}', '{"/x": null}'])
def test_a_memory_that_makes_no_sense_is_none(house: House, text: str) -> None:
    house.state.mkdir()
    (house.state / "known-repositories.json").write_text(text)
    assert open_named(create=True).id


def test_every_secret_at_hand_opens_the_same_repository(house: House, tmp_path: Path) -> None:
    make_named(secret=SECRET)
    store = open_store(house.repo)
    configuration = open_repository(store, None, SECRET).configuration
    recovery, text = new_recovery_key()
    add_slot(store, configuration, unlock(store, configuration, SECRET).keyring, recovery)
    new = {"cache": tmp_path / "cache of another", "state": tmp_path / "state of another"}
    with using(load_settings({"repo": house.repo, "passphrase": text.lower(), **new})):
        assert open_named().id == configuration.id
