"""What the server, the worker and the flows find in their environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployments.local.environment import (
    client_environment,
    joined_environment,
    server_environment,
    settings_environment,
    worker_environment,
)
from deployments.local.home import Home, made
from recollect.settings import Settings, load_settings

URL = "http://127.0.0.1:4300/api"
OTHERS = {
    "PREFECT_API_URL": "https://other.example/api",
    "PREFECT_API_KEY": "hunter2",
    "PREFECT_HOME": "/elsewhere",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://other.example/it",
    "PREFECT_LOGGING_LEVEL": "DEBUG",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(Home(tmp_path / "prefect"))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests; the current folder is an empty one."""
    for name in os.environ:
        if name.upper().startswith(("RECOLLECT_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def settings_elsewhere(environment: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a flow finds, which runs in a folder that is made for it."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_the_settings_of_the_current_folder_are_in_force_wherever_a_flow_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    Path("recollect.toml").write_text('repo = "./here"\n[repositories.other]\nurl = "../other"\nkey_file = "key"\n')
    here = load_settings()
    assert here.repo == str(tmp_path / "here" / "here")
    assert settings_elsewhere(worker_environment(os.environ, here, home, URL), tmp_path, monkeypatch) == here


def test_relative_paths_in_the_environment_mean_the_folder_in_which_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RECOLLECT_BASE": "Anki2",
        "RECOLLECT_REPO": "./there",
        "recollect_state": "state",
        "RECOLLECT_CACHE": "../cache",
        "RECOLLECT_KEY_FILE": "key",
        "RECOLLECT_REPOSITORIES": json.dumps(
            {"b": {"url": "./b", "passphrase_file": "p"}, "s": {"url": "s3://b", "options": {"secret": "hunter2"}}}
        ),
    }.items():
        monkeypatch.setenv(name, value)
    here = load_settings()
    environment = settings_environment(os.environ, here)
    assert settings_elsewhere(environment, tmp_path, monkeypatch) == here
    assert here.state == tmp_path / "here" / "state"
    assert here.repositories["b"].passphrase_file == tmp_path / "here" / "p"


def test_a_secret_in_the_file_does_not_get_into_the_environment(home: Home) -> None:
    Path("recollect.toml").write_text(
        'repo = "sftp://nas/x"\nrepo_options = {password = "hunter2"}\n'
        '[repositories.b]\nurl = "s3://b"\noptions = {secret = "hunter2"}\n'
    )
    inherited = {**os.environ, "RECOLLECT_REPOSITORIES": '{"b": {"url": "s3://b"}}'}
    environment = worker_environment(inherited, load_settings(), home, URL)
    assert "hunter2" not in str(environment)


def test_the_server_gets_no_settings_of_ours_and_its_own_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    inherited = {**os.environ, **OTHERS, "RECOLLECT_PASSPHRASE": "hunter2", "PYTHONPATH": "here"}
    environment = server_environment(inherited, home, 4300)
    assert "hunter2" not in str(environment)
    assert environment["PREFECT_SERVER_ENCRYPTION_KEY"] == (home.folder / "encryption-key").read_text()
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in environment
    assert environment["PREFECT_HOME"] == str(home.folder)
    assert environment["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PYTHONPATH"] == str(Path("here").absolute())
    # `--port` alone would leave the pages asking the default port.
    assert environment["PREFECT_SERVER_API_PORT"] == "4300"


def test_the_worker_gets_a_passphrase_that_is_in_the_environment_and_nothing_of_other_servers(home: Home) -> None:
    inherited = {**os.environ, **OTHERS, "RECOLLECT_PASSPHRASE": "correct horse"}
    environment = worker_environment(inherited, load_settings(), home, URL)
    assert environment["RECOLLECT_PASSPHRASE"] == "correct horse"
    assert environment["PREFECT_API_URL"] == URL
    assert "hunter2" not in str(environment)
    assert "PREFECT_SERVER_ENCRYPTION_KEY" not in environment


def test_a_worker_of_anothers_server_keeps_what_is_set_for_that(home: Home) -> None:
    environment = joined_environment({**os.environ, **OTHERS}, load_settings(), "https://joined.example/api")
    assert environment["PREFECT_API_KEY"] == "hunter2"
    assert environment["PREFECT_API_URL"] == "https://joined.example/api"


def test_nobody_is_told_of_anything_and_no_hidden_server_starts(home: Home) -> None:
    settings = load_settings()
    for environment in (
        server_environment(os.environ, home, 4300),
        worker_environment(os.environ, settings, home, URL),
        joined_environment(os.environ, settings, URL),
        client_environment(os.environ, home, URL),
    ):
        assert environment["DO_NOT_TRACK"] == "1"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert environment["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_a_proxy_is_not_asked_for_this_computers_own_server(variable: str, home: Home) -> None:
    environment = client_environment({variable: "intranet.example"}, home, URL)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"
