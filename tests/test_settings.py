"""Settings come from where they should, wrong ones are explained, and secrets stay out of sight."""

from __future__ import annotations

import json
import os
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recollect.addresses import shown_url
from recollect.errors import SettingsInvalid
from recollect.settings import (
    SETTING_NAMES,
    RepositoryAddress,
    Settings,
    default_repository_url,
    load_settings,
    repository_address,
)

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder and a home without any settings."""
    for name in list(os.environ):
        if name.upper().startswith("RECOLLECT_"):
            monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("config", "data", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_names, **_options: home / "config" / "recollect")
    return here


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(overrides: Mapping[str, object] = {}, config: Path | None = None) -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(overrides, config=config)
    return caught.value


def test_without_any_setting_there_are_sensible_defaults() -> None:
    settings = load_settings()

    assert (settings.base, settings.repo, settings.config_file) == (None, None, None)
    assert (settings.daily, settings.weekly, settings.monthly) == (None, None, None)
    assert (settings.at_once, settings.uploads) == (2, 4)
    assert settings.cache.is_absolute()
    assert settings.state.is_absolute()
    assert settings.host is None


@pytest.mark.parametrize("elsewhere", ["sftp://friend/x", "/mnt/usb", "offsite"])
def test_options_in_the_environment_do_not_go_to_another_address(
    elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password for one server must not be sent to another one that the command line names."""
    monkeypatch.setenv("RECOLLECT_REPO", "sftp://nas/anki")
    monkeypatch.setenv("RECOLLECT_REPO_OPTIONS", f'{{"password": "{SECRET}"}}')
    monkeypatch.setenv("RECOLLECT_REPOSITORIES", '{"offsite": {"url": "s3://b/x", "options": {"anon": true}}}')
    assert repository_address(load_settings({"repo": "sftp://nas/anki"})).options == {"password": SECRET}
    assert repository_address(load_settings()).options == {"password": SECRET}
    assert SECRET not in repository_address(load_settings({"repo": elsewhere})).options.values()


@pytest.mark.parametrize("given_in", [("file",), ("file", "environment"), ("file", "environment", "command line")])
def test_command_line_beats_environment_beats_file(given_in: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    overrides: dict[str, object] = {"uploads": None}
    for number, place in enumerate(given_in, start=10):
        if place == "file":
            write(Path("recollect.toml"), f"daily = {number}\nweekly = 5\n")
        elif place == "environment":
            monkeypatch.setenv("RECOLLECT_DAILY", str(number))
        else:
            overrides["daily"] = number

    settings = load_settings(overrides)

    assert settings.daily == 9 + len(given_in)
    assert settings.weekly == 5, "a file that was beaten on one setting counts for the others"
    assert settings.uploads == 4, "what the command line leaves out was not given"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOLLECT_DAILY", "")
    monkeypatch.setenv("RECOLLECT_REPO_OPTIONS", "")
    monkeypatch.setenv("RECOLLECT_CONFIG", "")

    assert load_settings() == load_settings()
    assert load_settings().daily is None


def test_variables_of_other_parts_of_recollect_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOLLECT_TELEPATHY", SECRET)
    monkeypatch.setenv("RECOLLECT_CONFIG_FILE", "elsewhere.toml")

    settings = load_settings()

    assert settings.config_file is None
    assert SECRET not in repr(settings)


def test_the_file_is_the_named_one_then_the_one_here_then_the_users_own(
    clean_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(tmp_path / "home" / "config" / "recollect" / "recollect.toml", "daily = 1")
    assert (load_settings().daily, load_settings().config_file) == (1, own)

    here = write(clean_place / "recollect.toml", "daily = 2")
    assert (load_settings().daily, load_settings().config_file) == (2, here)

    in_environment = write(tmp_path / "environment.toml", "daily = 3")
    monkeypatch.setenv("RECOLLECT_CONFIG", str(in_environment))
    assert (load_settings().daily, load_settings().config_file) == (3, in_environment)

    named = write(tmp_path / "named.toml", "daily = 4")
    settings = load_settings(config=named)
    assert (settings.daily, settings.weekly, settings.config_file) == (4, None, named)


def test_a_folder_named_like_the_file_is_passed_over(clean_place: Path) -> None:
    (clean_place / "recollect.toml").mkdir()

    assert load_settings().config_file is None


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(config=tmp_path / "no.toml")
    assert str(tmp_path / "no.toml") in error.problem

    monkeypatch.setenv("RECOLLECT_CONFIG", str(tmp_path / "nor this.toml"))
    error = refused()
    assert str(tmp_path / "nor this.toml") in error.problem
    assert "RECOLLECT_CONFIG" in error.problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"daily = ", "at end of document"),
        (b"daily = 3\nweekly 4\n", "line 2"),
        (b"host = '\xff'", "not UTF-8"),
        (b"daily = " + b"9" * 5000, "not valid TOML"),
        (b"base = " + b"[" * 20_000, "not valid TOML"),
        (b"#" * ((1 << 20) + 1), "larger than"),
        (f"[repositories.nas]\nurl = {SECRET}".encode(), "line 2"),
    ],
)
def test_a_file_that_is_no_toml_is_explained(tmp_path: Path, content: bytes, said: str) -> None:
    config = tmp_path / "broken.toml"
    config.write_bytes(content)

    error = refused(config=config)

    assert str(config) in error.problem
    assert said in error.problem
    assert SECRET not in str(error)


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    config = tmp_path / "windows.toml"
    config.write_bytes(b"\xef\xbb\xbfdaily = 3\r\n")

    assert load_settings(config=config).daily == 3


@pytest.mark.parametrize("key", ["dialy", "config_file", "_base"])
def test_an_unknown_key_is_named_with_its_file_and_the_known_ones(tmp_path: Path, key: str) -> None:
    config = write(tmp_path / "odd.toml", f"{key} = 'x'")

    error = refused(config=config)

    assert str(config) in error.problem
    assert "unknown" in error.problem
    assert all(name in error.advice for name in SETTING_NAMES)


def test_an_unknown_key_of_a_repository_is_named(tmp_path: Path) -> None:
    error = refused(config=write(tmp_path / "c.toml", "[repositories.nas]\nurl = '/mnt/nas'\npasword = 'x'"))

    assert "repositories.nas.pasword" in error.problem
    assert "url, options" in error.advice


def test_a_repository_without_a_url_is_named(tmp_path: Path) -> None:
    error = refused(config=write(tmp_path / "c.toml", "[repositories.nas]\noptions = {}"))

    assert "repositories.nas.url" in error.problem


def test_an_unknown_override_is_an_error() -> None:
    assert "the command line" in refused({"dialy": 3}).problem


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("daily", -1, "0 to 9999"),
        ("weekly", 10_000, "0 to 9999"),
        ("monthly", "many", "0 to 9999"),
        ("monthly", True, "0 to 9999"),
        ("monthly", 1.5, "0 to 9999"),
        ("at_once", 0, "1 to 32"),
        ("uploads", 33, "1 to 32"),
        ("host", "", "1 to 255"),
        ("host", "a\x1b[31m", "control"),
        ("host", "h" * 256, "1 to 255"),
        ("repo", "", "a URL"),
        ("repo", "file:///a\nb", "a URL"),
        ("base", "", "data folder"),
        ("cache", "~nobody-of-that-name-here/x", "a folder"),
        ("repo_options", [SECRET], "a table"),
        ("repositories", {"nas": SECRET}, "tables"),
        ("repositories", {"default": {"url": "/x"}}, "tables"),
        ("repositories", {f"s3://me:{SECRET}@x": {"url": "/x"}}, "tables"),
        ("repositories", {f"s3://me:{SECRET}@x": {"url": 3}}, "tables"),
    ],
)
def test_a_wrong_value_is_explained_with_what_is_allowed(key: str, value: object, allowed: str) -> None:
    error = refused({key: value})

    assert key in error.problem
    assert "the command line" in error.problem
    assert allowed in error.advice
    assert SECRET not in "".join(traceback.format_exception(error))
    assert error.__context__ is None, "a context would hold the value"


def test_a_wrong_value_is_traced_to_where_it_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "c.toml", "daily = -1\nweekly = -1")
    monkeypatch.setenv("RECOLLECT_WEEKLY", "none")

    error = refused(config=config)

    assert f"daily in {config}" in error.problem
    assert "weekly in the environment variable RECOLLECT_WEEKLY" in error.problem


@pytest.mark.parametrize("text", [f"key={SECRET}", "{", "[" * 100_000])
@pytest.mark.parametrize("name", ["RECOLLECT_REPO_OPTIONS", "RECOLLECT_REPOSITORIES"])
def test_a_variable_that_is_no_json_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)

    error = refused()

    assert name in error.problem
    assert SECRET not in "".join(traceback.format_exception(error))
    assert error.__context__ is None, "a context would hold the value"


def test_a_tilde_means_home_and_paths_are_absolute(clean_place: Path, tmp_path: Path) -> None:
    settings = load_settings({"base": "~/Anki2", "cache": "cache/../c", "repo": "~/backups"})

    assert settings.base == tmp_path / "home" / "Anki2"
    assert settings.cache == clean_place / "c"
    assert settings.repo == str(tmp_path / "home" / "backups")


def test_relative_paths_in_a_file_start_at_the_file(clean_place: Path, tmp_path: Path) -> None:
    config = write(
        tmp_path / "etc" / "recollect.toml",
        "base = 'Anki2'\ncache = '~/c'\nrepo = './backups'\n"
        "[repositories]\nnas.url = '../nas'\nfar.url = 's3://bucket/x'\nabs.url = '/mnt/x'\n",
    )

    settings = load_settings(config=config)

    assert settings.base == tmp_path / "etc" / "Anki2"
    assert settings.cache == tmp_path / "home" / "c"
    assert settings.repo == str(tmp_path / "etc" / "backups")
    assert {name: known.url for name, known in settings.repositories.items()} == {
        "nas": str(tmp_path / "nas"),
        "far": "s3://bucket/x",
        "abs": "/mnt/x",
    }


def test_a_relative_config_path_still_gives_absolute_paths(clean_place: Path) -> None:
    write(clean_place / "sub" / "c.toml", "repo = './backups'")

    assert load_settings(config=Path("sub/c.toml")).repo == str(clean_place / "sub" / "backups")


def test_the_file_can_hold_the_address_and_the_environment_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(
        tmp_path / "c.toml",
        "repo = 's3://bucket/x'\nrepo_options = {endpoint_url = 'https://store'}\n"
        "[repositories.nas]\nurl = 'sftp://nas/x'\noptions = {port = 22}\n",
    )
    monkeypatch.setenv("RECOLLECT_REPO_OPTIONS", json.dumps({"secret": SECRET}))
    monkeypatch.setenv("RECOLLECT_REPOSITORIES", json.dumps({"nas": {"options": {"password": SECRET}}}))

    settings = load_settings(config=config)

    assert repository_address(settings).options == {"endpoint_url": "https://store", "secret": SECRET}
    nas = repository_address(settings, "nas")
    assert (nas.url, dict(nas.options)) == ("sftp://nas/x", {"port": 22, "password": SECRET})


def test_a_files_options_are_not_handed_to_an_address_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "c.toml", f"repo = 's3://bucket/x'\nrepo_options = {{secret = '{SECRET}'}}\n")

    assert repository_address(load_settings(config=config)).options == {"secret": SECRET}
    assert repository_address(load_settings({"repo": "s3://bucket/x"}, config=config)).options == {"secret": SECRET}
    assert repository_address(load_settings({"repo": "sftp://elsewhere/x"}, config=config)).options == {}
    monkeypatch.setenv("RECOLLECT_REPO", "sftp://elsewhere/x")
    assert repository_address(load_settings(config=config)).options == {}
    monkeypatch.setenv("RECOLLECT_REPO_OPTIONS", '{"port": 22}')
    assert repository_address(load_settings(config=config)).options == {"port": 22}


def test_a_files_options_without_an_address_wait_for_one(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", "repo_options = {anon = true}\n")

    assert repository_address(load_settings({"repo": "s3://bucket/x"}, config=config)).options == {"anon": True}


def test_the_default_repository_is_on_this_disk() -> None:
    address = repository_address(load_settings())

    assert (address.name, address.url, address.options) == ("default", default_repository_url(), {})
    assert Path(address.url).is_absolute()
    assert Path(address.url).parts[-2:] == ("recollect", "repository")


def test_the_default_may_be_a_repository_with_a_name() -> None:
    nas = {"nas": {"url": "sftp://nas/x", "options": {"port": 22}}}
    settings = load_settings({"repo": "nas", "repositories": nas, "repo_options": {"username": "ada"}})

    for name in ("default", "nas"):
        address = repository_address(settings, name)
        assert (address.name, address.url) == ("nas", "sftp://nas/x")
        assert address.options == {"port": 22, "username": "ada"}


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "memory://x", "simplecache::s3://bucket/x", "/mnt/usb", "./usb", "~/usb", "usb/anki"]
)
def test_a_url_or_a_path_stands_for_itself(url: str) -> None:
    settings = load_settings({"repo": "s3://mine/x", "repo_options": {"secret": SECRET}})

    address = repository_address(settings, url)

    assert address.name == "default"
    assert address.options == {}
    assert address.url == url if "://" in url else Path(address.url).is_absolute()


def test_a_url_that_the_settings_know_comes_with_its_options() -> None:
    settings = load_settings(
        {
            "repo": "s3://mine/x",
            "repo_options": {"secret": SECRET},
            "repositories": {"nas": {"url": "sftp://nas/x", "options": {"port": 22}}},
        }
    )

    assert repository_address(settings, "s3://mine/x").options == {"secret": SECRET}
    assert repository_address(settings, "sftp://nas/x").options == {"port": 22}


@pytest.mark.parametrize("overrides", [{}, {"repo": "nsa"}])
def test_an_unknown_name_is_answered_with_the_known_ones(overrides: dict[str, object]) -> None:
    known = {"nas": {"url": "/mnt/nas"}, "cloud": {"url": "s3://x"}}
    settings = load_settings({"repositories": known, **overrides})

    with pytest.raises(SettingsInvalid) as caught:
        repository_address(settings, "default" if overrides else "nsa")

    assert "nsa" in caught.value.problem
    assert "cloud, nas" in caught.value.advice


def test_a_bad_path_in_the_place_of_a_name_is_explained() -> None:
    with pytest.raises(SettingsInvalid, match="user who is not known"):
        repository_address(load_settings(), "~nobody-of-that-name-here/x")


def test_an_address_shares_nothing_with_the_settings() -> None:
    settings = load_settings({"repo": "s3://x", "repo_options": {"client": {"secret": SECRET}}})

    address = repository_address(settings)
    address.options["client"].clear()

    assert repository_address(settings).options == {"client": {"secret": SECRET}}


def test_an_address_can_be_hashed_and_sent_to_another_process() -> None:
    address = RepositoryAddress("nas", "sftp://nas/x", {"port": 22})

    assert pickle.loads(pickle.dumps(address)) == address
    assert len({address, address}) == 1


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().daily = 3


def test_the_command_line_needs_no_quotes_of_its_own(tmp_path: Path) -> None:
    assert load_settings({"base": tmp_path, "daily": "7"}).daily == 7


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"sftp://ada:{SECRET}@nas:22/x", "sftp://ada@nas:22/x"),
        (f"s3://key:a/b?c@{SECRET}@bucket/x", "s3://key@bucket/x"),
        (f"filecache::https://ada:{SECRET}@host/x?sig={SECRET}", "filecache:…"),
        (f"simplecache::s3://{SECRET}@bucket", "simplecache:…"),
        (f"simplecache::{SECRET}", "simplecache:…"),
        (f"zip://x::s3://key:{SECRET}@bucket/x", "zip:…"),
        (f"ada:{SECRET}@nas:/x", "ada:…"),
        (f"https://server/api?key={SECRET}#x", "https://server/api"),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
        ("C:/backups", "C:/backups"),
        ("s3://bucket/with@sign", "s3://bucket/with@sign"),
        ("/mnt/who?/a:b@c", "/mnt/who?/a:b@c"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


JSON = st.recursive(
    st.just(SECRET),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3)
    ),
    max_leaves=5,
)
OPTIONS = st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=3)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(options=OPTIONS, user=st.from_regex(r"[a-z]{0,5}", fullmatch=True))
def test_no_text_about_settings_shows_a_secret(options: dict[str, object], user: str) -> None:
    url = f"sftp://{user}:{SECRET}@nas/x"
    settings = load_settings(
        {"repo": url, "repo_options": options, "repositories": {"nas": {"url": url, "options": options}}}
    )
    addresses = [repository_address(settings), repository_address(settings, "nas")]

    for thing in (settings, settings.repositories, settings.repositories["nas"], *addresses):
        assert SECRET not in f"{thing!r} {thing!s}"
    for address in addresses:
        assert address.options == options
        assert address.url == url
        assert SECRET not in address.shown


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from([*SETTING_NAMES, "other"]), st.one_of(JSON, OPTIONS, st.integers(), st.binary()), max_size=4
    )
)
def test_whatever_is_set_the_answer_is_settings_or_an_error_without_the_secret(values: dict[str, object]) -> None:
    plain = {key: value for key, value in values.items() if value != SECRET}
    try:
        outcome: object = load_settings(plain)
    except SettingsInvalid as error:
        outcome = error

    assert isinstance(outcome, Settings | SettingsInvalid)
    assert SECRET not in f"{outcome!r} {outcome!s}"


@given(text=st.text(max_size=200))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_the_file_holds_the_answer_is_settings_or_an_error_naming_it(tmp_path: Path, text: str) -> None:
    config = tmp_path / "any.toml"
    config.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        outcome = load_settings(config=config).config_file
    except SettingsInvalid as error:
        assert str(config) in error.problem  # noqa: PT017
    else:
        assert outcome == config


@pytest.mark.parametrize(
    "address", ["hooks.example.org/x", "ftp://example.org/x", "https://", "http://[::1", "http://a\nb"]
)
def test_an_address_for_notifications_that_none_could_call_is_refused_and_not_shown(address: str) -> None:
    error = refused({"notify": f"{address}{SECRET}" if "://" not in address else address})

    assert "notify" in error.problem
    assert "http:// or https://" in error.problem
    assert SECRET not in str(error)


def test_the_address_for_notifications_is_a_secret(clean_place: Path) -> None:
    write(clean_place / "recollect.toml", f'notify = "https://hooks.example.org/{SECRET}"\noverdue_hours = 50\n')

    found = load_settings()

    assert found.notify is not None
    assert found.notify.get_secret_value().endswith(SECRET)
    assert found.overdue_hours == 50
    assert SECRET not in repr(found)


@pytest.mark.parametrize("hours", [0, 8761, True])
def test_hours_until_a_backup_is_overdue_have_a_range(hours: int) -> None:
    assert "1 to 8760" in str(refused({"overdue_hours": hours}))
