from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from deployments.local.environment import worker_environment
from deployments.local.home import Home, made
from deployments.local.introducing import NotRegistered, introduce
from recollect.settings import load_settings
from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(Home(tmp_path / "prefect"))


def environment(home: Home) -> dict[str, str]:
    inherited = {**os.environ, "RECOLLECT_STATE": str(home.folder.parent), "PYTHONPATH": str(PROJECT)}
    made = worker_environment(inherited, load_settings(), home, f"http://{HOST}:1/api")
    return {**made, "RECOLLECT_STATE": str(home.folder.parent), "PREFECT_CLIENT_MAX_RETRIES": "0"}


def wait(seconds: float) -> bool:
    """As nobody stops it."""
    time.sleep(seconds)
    return False


def test_a_server_that_fails_meanwhile_is_told_in_a_sentence(home: Home) -> None:
    with pytest.raises(NotRegistered) as refused:
        introduce(home, environment(home), wait)
    assert "does not answer" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_what_is_stopped_meanwhile_ends_at_once(home: Home) -> None:
    assert introduce(home, environment(home), lambda _: True) is None


def test_what_breaks_is_told_with_its_last_words(home: Home) -> None:
    with pytest.raises(NotRegistered, match=r"ended with code 1(.|\n)*No module named"):
        introduce(home, {**environment(home), "PYTHONPATH": "", "PYTHONHOME": str(home.folder)}, wait)
