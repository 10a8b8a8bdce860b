"""Automatic sync is switched off, and back to what its user had, in Anki's own list of profiles."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
from anki.db import DB
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.automatic_sync import NO_AUTOMATIC_SYNC, AutomaticSync, automatic_sync, switch_automatic_sync
from profiles.errors import PreferencesUnusable, ProfileUnknown
from profiles.sample import make_sample_base_folder
from tests.profiles.preferences_base import make_base, profile, rows_in

BOTH = AutomaticSync(collection=True, media=True)
EVERY_ANSWER = [AutomaticSync(collection, media) for collection in (True, False) for media in (True, False)]


def as_anki_reads(base: Path, name: str) -> dict[str, object]:
    """qt/aqt/profiles.py, ProfileManager.load."""
    db = DB(str(base / "prefs21.db"))
    try:
        assert db.scalar("pragma integrity_check") == "ok"
        loaded = pickle.loads(db.scalar("select cast(data as blob) from profiles where name = ? collate nocase", name))
        assert isinstance(loaded, dict)
        return loaded
    finally:
        db.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("sample") / "Anki2"
    make_sample_base_folder(base)
    return base


def test_both_are_switched_off_and_on_again_in_a_real_base_folder(sample: Path, tmp_path: Path) -> None:
    base = tmp_path / "Anki2"
    shutil.copytree(sample, base)
    before = as_anki_reads(base, "Ada")
    rows = rows_in(base)

    assert switch_automatic_sync(base, "Ada", NO_AUTOMATIC_SYNC) == BOTH
    assert as_anki_reads(base, "Ada") == before | {"autoSync": False, "syncMedia": False}
    assert automatic_sync(base, "Ada") == NO_AUTOMATIC_SYNC
    assert rows_in(base) | {"Ada": rows["Ada"]} == rows

    assert switch_automatic_sync(base, "Ada", BOTH) == NO_AUTOMATIC_SYNC
    assert rows_in(base) == rows


@pytest.mark.parametrize("had", EVERY_ANSWER)
def test_switching_back_gives_just_what_the_user_had(tmp_path: Path, had: AutomaticSync) -> None:
    rows = {"Ada": profile(autoSync=had.collection, syncMedia=had.media), "Ben": profile()}
    base = make_base(tmp_path / "Anki2", rows)

    previous = switch_automatic_sync(base, "Ada", NO_AUTOMATIC_SYNC)
    assert automatic_sync(base, "Ada") == NO_AUTOMATIC_SYNC
    switch_automatic_sync(base, "Ada", previous)

    assert previous == automatic_sync(base, "Ada") == had
    assert rows_in(base) == rows


def test_a_profile_of_which_anki_says_nothing_syncs_and_can_be_stopped(tmp_path: Path) -> None:
    base = make_base(tmp_path / "Anki2", {"Ada": pickle.dumps({"numBackups": 50}, protocol=4)})
    assert automatic_sync(base, "Ada") == BOTH
    assert switch_automatic_sync(base, "Ada", BOTH) == BOTH
    assert as_anki_reads(base, "Ada") == {"numBackups": 50}

    assert switch_automatic_sync(base, "Ada", NO_AUTOMATIC_SYNC) == BOTH
    assert as_anki_reads(base, "Ada") == {"numBackups": 50, "autoSync": False, "syncMedia": False}
    assert switch_automatic_sync(base, "Ada", BOTH) == NO_AUTOMATIC_SYNC
    assert automatic_sync(base, "Ada") == BOTH


class _Calls:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_nothing_in_the_list_is_ever_run(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    rows = {"_global": pickle.dumps(_Calls(mark)), "Ada": profile(window=_Calls(mark)), "Ben": profile()}
    base = make_base(tmp_path / "Anki2", rows)

    switch_automatic_sync(base, "Ada", NO_AUTOMATIC_SYNC)
    assert automatic_sync(base, "Ada") == NO_AUTOMATIC_SYNC

    assert not mark.exists()
    assert as_anki_reads(base, "Ada")["autoSync"] is False
    assert mark.exists(), "the bomb must work, or this test proves nothing"


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04", b"torn" * 99, pickle.dumps([1]), profile(autoSync=1), b"\x80\x04}r\xff\xff\xff\xff."]
)
def test_a_row_that_anki_did_not_write_is_refused_and_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    rows = {"Ada": data, "Ben": profile()}
    base = make_base(tmp_path / "Anki2", rows)
    before = (base / "prefs21.db").read_bytes()

    with pytest.raises(PreferencesUnusable, match="Ada") as caught:
        switch_automatic_sync(base, "Ada", NO_AUTOMATIC_SYNC)

    assert "Preferences > Syncing" in caught.value.advice
    with pytest.raises(PreferencesUnusable, match="Ada"):
        automatic_sync(base, "Ada")
    assert (base / "prefs21.db").read_bytes() == before
    assert [path.name for path in base.iterdir() if path.is_file()] == ["prefs21.db"]
    assert switch_automatic_sync(base, "Ben", NO_AUTOMATIC_SYNC) == BOTH


@pytest.mark.parametrize("name", ["Cleo", "ada", "_global", "", "Ada\n"])
def test_a_profile_that_is_not_listed_is_unknown(tmp_path: Path, name: str) -> None:
    base = make_base(tmp_path / "Anki2", {"_global": profile(), "Ada": profile()})
    with pytest.raises(ProfileUnknown):
        switch_automatic_sync(base, name, NO_AUTOMATIC_SYNC)
    with pytest.raises(ProfileUnknown):
        automatic_sync(base, name)


def test_a_secret_in_a_damaged_row_is_never_told(tmp_path: Path) -> None:
    base = make_base(tmp_path / "Anki2", {"Ada": profile(syncKey="hidden token")[:-3]})
    with pytest.raises(PreferencesUnusable) as caught:
        automatic_sync(base, "Ada")
    assert "hidden" not in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(
    others=st.dictionaries(
        st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.binary(max_size=9) | st.text(max_size=9)
    ),
    had=st.sampled_from(EVERY_ANSWER),
    to=st.sampled_from(EVERY_ANSWER),
)
def test_whatever_a_profile_holds_it_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, others: dict[str, object], had: AutomaticSync, to: AutomaticSync
) -> None:
    kept = others | {"autoSync": had.collection, "syncMedia": had.media}
    rows = {"_global": profile(), "Ada": pickle.dumps(kept, protocol=4), "Ben": profile()}
    base = make_base(tmp_path_factory.mktemp("any") / "Anki2", rows)

    assert switch_automatic_sync(base, "Ada", to) == had
    assert as_anki_reads(base, "Ada") == kept | {"autoSync": to.collection, "syncMedia": to.media}
    assert switch_automatic_sync(base, "Ada", had) == to
    assert rows_in(base) == rows
