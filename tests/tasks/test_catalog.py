"""Profiles and snapshots by the names that people give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import SnapshotUnknown
from storage.format.listing import NOTHING
from storage.format.manifest import Manifest, ProfileKey, StoredFolder, new_snapshot_id, profile_key, snapshot_name
from storage.opening import create_repository
from storage.repository import Repository
from storage.stores.address import open_store
from tasks.catalog import Catalog, StoredProfile, choose_profile, choose_snapshot, read_catalog

FIRST = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> Repository:
    return create_repository(
        open_store(f"memory://{request.node.name.replace('[', '-').replace(']', '')}-{id(request)}")
    )


def commit(repository: Repository, name: str, host: str = "desk", *, minutes: Sequence[int] = (0,)) -> ProfileKey:
    """Empty snapshots of a profile, taken so many minutes after FIRST."""
    source = f"/home/{host}/Anki2/{name}"
    key = profile_key(name, host, source)
    for minute in minutes:
        taken_at = FIRST + timedelta(minutes=minute)
        repository.commit(
            Manifest(
                id=new_snapshot_id(taken_at, bytes([0xAB, 0xCD, 0, minute])),
                profile=name,
                profile_key=key,
                host=host,
                source=source,
                taken_at=taken_at,
                parent=None,
                files=(),
                folders=(StoredFolder("collection.media", 0, NOTHING),),
            )
        )
    return key


def spoil(repository: Repository, key: ProfileKey, which: int) -> str:
    ref = repository.snapshots(key)[which]
    repository.store.write(snapshot_name(key, ref.id), b"spoiled")
    return ref.id


def test_an_empty_repository_has_an_empty_catalog(repository: Repository) -> None:
    assert read_catalog(repository) == Catalog(repository.store.url, (), ())


def test_profiles_are_listed_by_name_with_their_snapshots_oldest_first(repository: Repository) -> None:
    for name in ("ben", "Ada", "Zoë"):
        commit(repository, name, minutes=(5, 1, 3))
    catalog = read_catalog(repository)
    assert [profile.name for profile in catalog.profiles] == ["Ada", "ben", "Zoë"]
    for profile in catalog.profiles:
        times = [ref.taken_at for ref in profile.refs]
        assert times == sorted(times)
        assert len(times) == 3
    assert catalog.remarks == ()


def test_a_profile_whose_newest_manifest_is_damaged_is_known_by_an_older_one(repository: Repository) -> None:
    key = commit(repository, "Ada", minutes=(1, 2, 3))
    spoil(repository, key, -1)
    (profile,) = read_catalog(repository).profiles
    assert (profile.name, len(profile.refs)) == ("Ada", 3)


def test_a_profile_without_any_readable_manifest_is_remarked_on(repository: Repository) -> None:
    key = commit(repository, "Ada")
    spoiled = spoil(repository, key, 0)
    commit(repository, "Ben")
    catalog = read_catalog(repository)
    assert [profile.name for profile in catalog.profiles] == ["Ben"]
    (remark,) = catalog.remarks
    assert spoiled in remark


def test_a_profile_is_chosen_by_its_name_then_whatever_its_capitals_or_by_its_key(repository: Repository) -> None:
    upper, lower = commit(repository, "ADA"), commit(repository, "ada")
    zoe = commit(repository, "Zoë")
    catalog = read_catalog(repository)
    assert choose_profile(catalog, "ADA").key == upper
    assert choose_profile(catalog, "ada").key == lower
    assert choose_profile(catalog, "zoË").key == zoe
    assert choose_profile(catalog, zoe).name == "Zoë"
    with pytest.raises(SnapshotUnknown, match="several profiles"):
        choose_profile(catalog, "Ada")


def test_of_namesakes_the_own_one_is_meant_and_without_one_all_are_told_apart(repository: Repository) -> None:
    desk, laptop = commit(repository, "Ada", "desk"), commit(repository, "Ada", "laptop")
    catalog = read_catalog(repository)
    assert choose_profile(catalog, "Ada", own_key=laptop).key == laptop
    with pytest.raises(SnapshotUnknown) as told:
        choose_profile(catalog, "Ada", own_key=ProfileKey("Ada-00000000"))
    for part in (desk, laptop, "desk", "laptop", "/home/laptop/Anki2/Ada"):
        assert part in str(told.value)


def test_an_own_profile_of_another_name_is_not_meant(repository: Repository) -> None:
    own = commit(repository, "Ada")
    ben = commit(repository, "Ben")
    assert choose_profile(read_catalog(repository), "Ben", own_key=own).key == ben


def test_an_unknown_name_is_answered_with_the_known_ones(repository: Repository) -> None:
    with pytest.raises(SnapshotUnknown, match="none"):
        choose_profile(read_catalog(repository), "Ada")
    commit(repository, "Ben")
    with pytest.raises(SnapshotUnknown, match="Profiles in it: Ben"):
        choose_profile(read_catalog(repository), "Ada")


@pytest.fixture
def ada(repository: Repository) -> StoredProfile:
    commit(repository, "Ada", minutes=(1, 2, 30))
    (profile,) = read_catalog(repository).profiles
    return profile


def test_latest_is_the_newest(ada: StoredProfile) -> None:
    assert choose_snapshot(ada) == choose_snapshot(ada, "latest") == ada.refs[-1]


def test_a_snapshot_is_chosen_by_its_id_or_the_beginning_or_end_of_it(ada: StoredProfile) -> None:
    ref = ada.refs[0]
    assert ref.id == "20260301T083100Z-abcd0001"
    for wanted in (ref.id, "20260301T0831", "20260301T083100Z-", "0001", "abcd0001"):
        assert choose_snapshot(ada, wanted) == ref


@pytest.mark.parametrize("wanted", ["2026", "20260301T08", "20260301T083"])
def test_what_several_snapshots_answer_to_is_refused(ada: StoredProfile, wanted: str) -> None:
    with pytest.raises(SnapshotUnknown, match="Several snapshots of Ada answer to"):
        choose_snapshot(ada, wanted)


@pytest.mark.parametrize("wanted", ["", "2", "01", "001", "abcd", "LATEST", "20260301T083100Z-abcd00010", "../Ben"])
def test_what_no_snapshot_answers_to_is_refused(ada: StoredProfile, wanted: str) -> None:
    with pytest.raises(SnapshotUnknown, match=f"No snapshot of Ada answers to {wanted!r}"):
        choose_snapshot(ada, wanted)
