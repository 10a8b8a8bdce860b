from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.local.unattended import what_needs_a_person
from recollect.settings import load_settings
from storage.format.secret import typed_secret
from storage.opening import create_repository
from storage.stores.address import open_store


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Those of a computer with an encrypted repository that it has not used yet, and no secret for it."""
    place = tmp_path / "repository"
    create_repository(
        open_store(str(place), {}), tmp_path / "other-cache", typed_secret("correct horse battery staple")
    )
    return {"repo": str(place), "state": tmp_path / "state", "cache": tmp_path / "cache"}


def told(settings: dict[str, Any]) -> tuple[str, ...]:
    return what_needs_a_person(load_settings(settings))


def test_a_passphrase_that_can_only_be_typed_is_told_before_a_run_fails(settings: dict[str, Any]) -> None:
    (sentence,) = told(settings)
    assert settings["repo"] in sentence
    assert "passphrase_file" in sentence


def test_a_secret_that_the_settings_name_needs_nobody(settings: dict[str, Any], tmp_path: Path) -> None:
    assert told({**settings, "passphrase_file": tmp_path / "p"}) == ()


def test_what_is_not_encrypted_or_not_there_needs_nobody(settings: dict[str, Any], tmp_path: Path) -> None:
    assert told({**settings, "repo": str(tmp_path / "nothing")}) == ()
    create_repository(open_store(str(tmp_path / "open"), {}), tmp_path / "other-cache", None)
    assert told({**settings, "repo": str(tmp_path / "open")}) == ()
    assert told({**settings, "repo": "a-block-of-the-server"}) == ()


def test_a_repository_elsewhere_is_known_from_before_and_not_asked(settings: dict[str, Any]) -> None:
    named = {**settings, "repositories": {"b": {"url": "sftp://nas.invalid/b", "key_file": "k"}}, "key_file": "k"}
    assert told(named) == ()
    del named["repositories"]["b"]["key_file"]
    assert told(named) == ()
    settings["state"].mkdir()
    seen = {"sftp://nas.invalid/b": {"id": "0" * 32, "generation": 2}}
    (settings["state"] / "known-repositories.json").write_text(json.dumps(seen))
    (sentence,) = told(named)
    assert "repositories.b.passphrase_file" in sentence
