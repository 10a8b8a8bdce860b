"""Where a repository's secret comes from: which place wins, what it belongs to, and that none is ever shown."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recollect.errors import SettingsInvalid
from recollect.secret_settings import SECRET_SETTINGS, SecretPlace
from recollect.settings import default_repository_url, load_settings, repository_address

SECRET = "correct-horse-battery-staple"
SET = {
    "passphrase": SECRET,
    "passphrase_file": "/run/secrets/anki",
    "passphrase_command": ["pass", "show", SECRET],
    "passphrase_block": "anki-backups",
    "key_file": "/home/ada/recollect.key",
}


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder without any settings."""
    for name in list(os.environ):
        if name.upper().startswith("RECOLLECT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_names, **_options: tmp_path / "nowhere")
    return tmp_path


def place_of(overrides: Mapping[str, object] = {}, name: str = "default") -> SecretPlace:
    return repository_address(load_settings(overrides), name).secret


def refused(overrides: Mapping[str, object] = {}) -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(overrides)
    assert SECRET not in str(caught.value)
    return caught.value


def test_without_a_setting_there_is_no_secret() -> None:
    assert not place_of().is_set


@pytest.mark.parametrize("name", SECRET_SETTINGS)
def test_each_of_the_ways_is_found_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = SET[name]
    monkeypatch.setenv(f"RECOLLECT_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    place = place_of()
    assert place.is_set
    found = getattr(place, name)
    assert (list(found) if isinstance(found, tuple) else str(found)) == value


@pytest.mark.parametrize("name", [name for name in SECRET_SETTINGS if name != "passphrase"])
def test_each_but_the_passphrase_itself_may_stand_in_a_file(name: str, clean_place: Path) -> None:
    (clean_place / "recollect.toml").write_text(f"{name} = {json.dumps(SET[name])}\n")
    assert getattr(place_of(), name) is not None


@pytest.mark.parametrize("text", [f"passphrase = '{SECRET}'", f"[repositories.nas]\nurl='/x'\npassphrase = '{SECRET}'"])
def test_a_passphrase_in_a_file_is_refused_with_a_better_place(clean_place: Path, text: str) -> None:
    (clean_place / "recollect.toml").write_text(text)
    error = refused()
    assert "holds a passphrase" in error.problem
    assert "passphrase_file" in error.advice


def test_a_command_may_be_a_line_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("pass show 'my anki'", '["pass", "show", "my anki"]'):
        monkeypatch.setenv("RECOLLECT_PASSPHRASE_COMMAND", text)
        assert place_of().passphrase_command == ("pass", "show", "my anki")


@pytest.mark.parametrize("text", ["pass 'show", "[1, 2]", "[", "[]"])
def test_a_command_that_makes_no_sense_is_explained_and_not_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOLLECT_PASSPHRASE_COMMAND", text)
    error = refused()
    assert "passphrase_command in the environment variable RECOLLECT_PASSPHRASE_COMMAND" in error.problem
    assert text not in error.problem


def test_two_ways_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOLLECT_PASSPHRASE", SECRET)
    monkeypatch.setenv("RECOLLECT_KEY_FILE", "/k")
    assert "passphrase and key_file are set" in refused().problem
    nas = {"nas": {"url": "/x", "key_file": "/k", "passphrase_block": "b"}}
    monkeypatch.delenv("RECOLLECT_KEY_FILE")
    assert "repositories.nas" in refused({"repositories": nas}).problem


def test_a_way_in_the_environment_takes_the_place_of_another_in_the_file(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_place / "recollect.toml").write_text(
        "passphrase_file = '/a'\n[repositories]\n"
        "nas = {url = '/nas', key_file = '/k'}\nusb = {url = '/usb', key_file = '/u'}\n"
    )
    monkeypatch.setenv("RECOLLECT_PASSPHRASE", SECRET)
    monkeypatch.setenv("RECOLLECT_REPOSITORIES", json.dumps({"nas": {"passphrase": SECRET}}))
    assert place_of() == place_of(name="nas") == SecretPlace(passphrase=SECRET)
    assert place_of(name="usb") == SecretPlace(key_file=Path("/u"))


def test_a_secret_belongs_to_the_address_that_it_was_written_beside(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_place / "recollect.toml").write_text("repo = 's3://bucket/x'\npassphrase_file = '/a'\n")
    assert place_of().is_set
    assert not place_of({"repo": "s3://elsewhere/x"}).is_set
    assert not place_of(name="s3://elsewhere/x").is_set
    assert place_of(name="s3://bucket/x").is_set
    monkeypatch.setenv("RECOLLECT_REPO", "s3://elsewhere/x")
    assert not place_of().is_set


def test_a_repository_with_a_name_has_its_own_secret_or_that_of_the_default_one_if_it_is_that() -> None:
    known = {"nas": {"url": "sftp://nas/x", "key_file": "/nas.key"}, "usb": {"url": "/usb"}}
    given = {"repositories": known, "passphrase": SECRET}
    assert place_of({**given, "repo": "usb"}, "nas") == SecretPlace(key_file=Path("/nas.key"))
    assert place_of({**given, "repo": "usb"}, "usb") == SecretPlace(passphrase=SECRET)
    assert (
        place_of({**given, "repo": "nas"})
        == place_of({**given, "repo": "nas"}, "nas")
        == SecretPlace(passphrase=SECRET)
    )
    assert place_of({"repositories": known, "repo": "nas"}) == SecretPlace(key_file=Path("/nas.key"))
    assert place_of(given, "sftp://nas/x") == SecretPlace(key_file=Path("/nas.key"))
    assert place_of(given, default_repository_url()) == SecretPlace(passphrase=SECRET)
    assert not place_of({**given, "repo": "nas"}, "/usb").is_set


def test_relative_paths_in_a_file_start_at_the_file(clean_place: Path) -> None:
    (clean_place / "etc").mkdir()
    (clean_place / "etc" / "c.toml").write_text(
        "passphrase_file = 'secret'\n[repositories.nas]\nurl = '/x'\nkey_file = '../nas.key'\n"
    )
    settings = load_settings(config=Path("etc/c.toml"))
    assert settings.passphrase_file == clean_place / "etc" / "secret"
    assert settings.repositories["nas"].key_file == clean_place / "nas.key"


@pytest.mark.parametrize("name", ["Anki", "secret/anki", "", "a b", "x" * 101])
def test_a_block_goes_by_a_name_that_prefect_allows(name: str) -> None:
    assert "passphrase_block" in refused({"passphrase_block": name}).problem


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(SECRET_SETTINGS),
        st.just(SECRET) | st.just([SECRET]) | st.just({"x": SECRET}) | st.integers() | st.just(f"{SECRET} '"),
        max_size=3,
    )
)
def test_no_text_about_settings_shows_a_secret(values: dict[str, object]) -> None:
    hidden = {name: value for name, value in values.items() if name in {"passphrase", "passphrase_command"}}
    given = {**hidden, "repositories": {"nas": {"url": "/x", **hidden}}}
    try:
        settings = load_settings(given)
        told: list[object] = [settings, *settings.repositories.values()]
        told += [repository_address(settings), repository_address(settings, "nas").secret]
    except SettingsInvalid as error:
        told = [error]
    assert not any(SECRET in f"{thing!r} {thing!s}" for thing in told)


def test_a_place_can_be_sent_to_another_process_and_used_as_a_key() -> None:
    place = place_of({"passphrase_command": ["pass", "show"]})
    assert pickle.loads(pickle.dumps(place)) == place
    assert len({place, place_of({"passphrase_command": "pass show"})}) == 1
    assert "pass" not in repr(place).replace("SecretPlace", "")
