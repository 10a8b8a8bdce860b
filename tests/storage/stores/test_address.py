"""Which URLs open which store, and what a person hears of those that can't be opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.errors import RecollectError
from storage.errors import NotARepository, StoreAddressInvalid, StoreRefused
from storage.stores.address import open_store, safe_url
from storage.stores.trouble import RetryRule
from tests.storage.conftest import Places, RepositoryPlace

AT_ONCE = RetryRule(pause=lambda _: None)


def test_a_plain_path_and_a_file_url_name_the_same_place(tmp_path: Path) -> None:
    by_path = open_store(str(tmp_path / "my backups"))
    by_url = open_store((tmp_path / "my backups").as_uri())

    by_path.write("a", b"1")

    assert by_url.read("a") == b"1"
    assert by_path.url == by_url.url == str(tmp_path / "my backups")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert open_store("~/backups").url == str(tmp_path / "backups")


def test_a_relative_path_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store("x/../backups").url == str(tmp_path / "backups")


def test_opening_makes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "a" / "b"))

    assert store.list("") == []
    assert list(tmp_path.iterdir()) == []


def test_what_must_exist_and_does_not_is_an_error_on_every_kind_of_store(repository_place: RepositoryPlace) -> None:
    with pytest.raises(NotARepository, match="nothing at"):
        repository_place.open(must_exist=True)

    repository_place.open().write("recollect.json", b"{}")

    assert repository_place.open(must_exist=True).read("recollect.json") == b"{}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:hunter2@bucket/anki", "s3://key@bucket/anki"),
        ("sftp://lena:hunter2@host:2222/backups/", "sftp://lena@host:2222/backups"),
        ("sftp://lena:hunt@er2@host/backups", "sftp://lena@host/backups"),
        ("ftp://lena:hunter2@host/x?password=hunter2#hunter2", "ftp://lena@host/x"),
        ("S3://Bucket/Anki", "s3://Bucket/Anki"),
        ("sftp://lena:hun/ter2#?x@host/backups", "sftp://lena@host/backups"),
        ("sftp://host:22/folder@home", "sftp://host:22/folder@home"),
        ("memory://x", "memory://x"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    "url",
    ["nas:/backups", "s3:bucket/x", "lena@nas:backups", "lena:geheim-4711@nas:/x", "file:/backups", "s3:geheim-4711"],
)
def test_a_server_written_in_another_programs_way_is_not_taken_for_a_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreAddressInvalid, match="neither a URL nor a path") as refused:
        open_store(url)
    assert "geheim-4711" not in str(refused.value) + safe_url(url)
    assert "./" in refused.value.advice


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::s3://KEY:geheim-4711@bucket",
        "simplecache::KEY:geheim-4711@bucket",
        "zip://x::s3://KEY:geheim-4711@bucket",
        "zip://x::simplecache::s3://KEY:geheim-4711@bucket",
        "zip://x::/geheim-4711",
        "FILECACHE::ftp://geheim-4711@host/x",
    ],
)
def test_a_chain_of_protocols_is_refused_and_shows_no_secret(url: str) -> None:
    with pytest.raises(StoreAddressInvalid, match="chains several protocols") as refused:
        open_store(url)
    assert "geheim-4711" not in str(refused.value) + safe_url(url)


@pytest.mark.parametrize("name", ["./my: folder", "a/b:c", "a/b::c", "C:/backups", r"C:\backups"])
def test_a_colon_in_the_name_of_a_folder_is_no_server(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(open_store(name).url).is_absolute()
    assert open_store(f"{tmp_path}/{name}").list("") == []


@pytest.mark.parametrize(
    "url", ["sftp://[::1]/backups", "sftp://[fe80::1]:22/backups", "sftp://lena:a::b@host/backups"]
)
def test_an_address_or_password_with_two_colons_is_no_chain(url: str) -> None:
    assert open_store(url).url.startswith("sftp://")


@given(st.sampled_from(["s3", "sftp", "ftp", "webdav", "nonsense"]), st.text(max_size=30), st.text(max_size=30))
def test_no_url_gives_away_its_password_or_ends_in_a_traceback(protocol: str, before: str, after: str) -> None:
    url = f"{protocol}://{before}:geheim-4711@{after}"
    if "/" in before or "?" in before or "#" in before:  # then what follows is a path, in which no password has a place
        return

    assert "geheim-4711" not in safe_url(url)
    if protocol in {"s3", "nonsense"}:
        assert "geheim-4711" not in _shown_on_opening(url)


def _shown_on_opening(url: str) -> str:
    try:
        store = open_store(url)
    except RecollectError as error:
        return str(error)
    return store.url + repr(store)


def test_neither_the_url_nor_an_error_nor_the_repr_shows_a_secret(places: Places) -> None:
    place = places.new("s3-rclone")
    wrong = {**place.options, "secret": "geheim-4711"}
    store = open_store(place.url, wrong, retries=AT_ONCE)

    with pytest.raises(StoreRefused) as refused:
        store.read("a")

    assert "geheim-4711" not in store.url + repr(store) + str(refused.value) + repr(refused.value)


def test_key_and_secret_may_stand_in_an_s3_url(places: Places) -> None:
    place = places.new("s3-rclone")
    options = dict(place.options)
    url = place.url.replace("s3://", f"s3://{options.pop('key')}:{options.pop('secret')}@")
    store = open_store(url, options)

    store.write("a", b"1")

    assert place.open().read("a") == b"1"
    assert store.url == place.url.replace("s3://", "s3://recollect-test-access-key@")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "a\nb",
        "nonsense://x/y",
        "s3://",
        "s3:///x",
        "s3://bucket/x?key=1",
        "s3://bucket/x#1",
        "sftp:///x",
        "sftp://host",
        "sftp://host/",
        "/",
        "file:///",
        "sftp://host:notaport/x",
        "sftp://host:99999/x",
        "s3://[broken/x",
        "~nobody-of-that-name/x",
    ],
)
def test_a_url_that_makes_no_sense_is_said_to(url: str) -> None:
    with pytest.raises(StoreAddressInvalid) as refused:
        open_store(url)

    assert refused.value.advice


@pytest.mark.parametrize(
    ("url", "options"),
    [("/backups", {"key": "x"}), ("s3://b/x", {"no_such_option": 1}), ("s3://b/x", {"config_kwargs": "no mapping"})],
)
def test_options_that_make_no_sense_are_said_to(url: str, options: dict[str, object]) -> None:
    with pytest.raises(StoreAddressInvalid):
        open_store(url, options, retries=AT_ONCE, must_exist=True)


def test_an_unknown_option_for_sftp_is_said_to(places: Places) -> None:
    place = places.new("sftp-rclone")

    with pytest.raises(StoreAddressInvalid):
        open_store(place.url, {**place.options, "no_such_option": 1}, must_exist=True)


@pytest.mark.parametrize(
    ("url", "hidden", "command"),
    [
        ("sftp://host/x", "sshfs", f"{sys.executable} -m pip install sshfs"),
        ("gs://bucket/x", "gcsfs", f"{sys.executable} -m pip install gcsfs"),
        ("abfs://container/x", "adlfs", f"{sys.executable} -m pip install adlfs"),
        ("webdav://host/x", "webdav4", "webdav"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    url: str, hidden: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, hidden, None)
    monkeypatch.delitem(sys.modules, "storage.stores.sftp_medium", raising=False)

    with pytest.raises(StoreAddressInvalid) as refused:
        open_store(url)

    assert command in refused.value.advice


def test_importing_the_address_module_loads_no_protocol() -> None:
    listing = "import sys, storage.stores.address; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()

    assert not {"fsspec", "s3fs", "aiobotocore", "botocore", "aiohttp", "sshfs", "asyncssh"} & set(loaded)
