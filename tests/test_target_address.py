from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recollect.errors import SettingsInvalid
from recollect.settings import RepositoryAddress, Settings, load_settings
from recollect.target_address import target_address

SECRET = "geheim-4711"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Repositories on two servers and in a bucket; each has a secret of its own."""
    (tmp_path / "recollect.toml").touch()
    repositories: dict[str, Any] = {
        "nas": {"url": "sftp://lena@nas:2222/backups/anki", "options": {"client_keys": ["nas-key"]}},
        "exports": {"url": "sftp://lena@nas:2222/exports", "options": {"client_keys": ["exports-key"]}},
        "bucket": {"url": "s3://bucket/anki", "options": {"secret": SECRET}},
        "inside": {"url": f"ftp://lena:{SECRET}@files/anki"},
    }
    return load_settings(
        {"repo": str(tmp_path / "here"), "repositories": repositories}, config=tmp_path / "recollect.toml"
    )


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("sftp://lena@nas:2222/exports/ada.colpkg", {"client_keys": ["exports-key"]}),
        ("sftp://lena@nas:2222/exports/2026/ada.colpkg", {"client_keys": ["exports-key"]}),
        ("sftp://lena@nas:2222/backups/ada.colpkg", {"client_keys": ["nas-key"]}),
        ("SFTP://lena@nas:2222/ada.colpkg", {"client_keys": ["nas-key"]}),
        ("s3://bucket/ada.colpkg", {"secret": SECRET}),
        # Another port, user, server or bucket, and what only begins alike.
        ("sftp://lena@nas/exports/ada.colpkg", {}),
        ("sftp://nas:2222/exports/ada.colpkg", {}),
        ("sftp://eve@nas:2222/exports/ada.colpkg", {}),
        ("sftp://lena@nas:22222/exports/ada.colpkg", {}),
        ("sftp://lena@nas:2222@evil/exports/ada.colpkg", {}),
        ("sftp://lena@evil/nas:2222/exports/ada.colpkg", {}),
        ("s3://bucket2/ada.colpkg", {}),
        ("s3://other/ada.colpkg", {}),
        ("gs://bucket/ada.colpkg", {}),
    ],
)
def test_options_go_to_the_very_server_that_they_are_for_and_to_no_other(
    settings: Settings, target: str, options: dict[str, Any]
) -> None:
    found = target_address(settings, target)
    assert (found.url, found.options) == (target, options)


def test_what_gets_to_another_repository_goes_to_its_very_server_and_to_no_other(settings: Settings) -> None:
    block = RepositoryAddress("school", "s3://school/anki", {"secret": SECRET})
    assert target_address(settings, "s3://school/ada.colpkg", block).options == {"secret": SECRET}
    assert target_address(settings, "s3://school2/ada.colpkg", block).options == {}
    assert target_address(settings, "s3://school/ada.colpkg").options == {}


def test_a_password_in_a_repositorys_url_is_used_on_its_server_and_never_shown(settings: Settings) -> None:
    found = target_address(settings, "ftp://lena@files/ada.colpkg")
    assert found.url == f"ftp://lena:{SECRET}@files/ada.colpkg"
    assert SECRET not in repr(found)
    assert target_address(settings, "ftp://lena:other@files/a.colpkg").url == "ftp://lena:other@files/a.colpkg"
    assert target_address(settings, "ftp://files/a.colpkg").url == "ftp://files/a.colpkg"


def test_the_default_repositorys_options_count_too(tmp_path: Path) -> None:
    (tmp_path / "recollect.toml").touch()
    given = {"repo": "s3://bucket/anki", "repo_options": {"secret": SECRET}}
    settings = load_settings(given, config=tmp_path / "recollect.toml")
    assert target_address(settings, "s3://bucket/x/ada.colpkg").options == {"secret": SECRET}


def test_a_path_is_made_whole_and_gets_no_options(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = target_address(settings, "./ada.colpkg")
    assert (found.url, found.options) == (str(tmp_path / "ada.colpkg"), {})
    with pytest.raises(SettingsInvalid):
        target_address(settings, "./ada\n.colpkg")
