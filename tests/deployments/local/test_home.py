from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from deployments.local.home import (
    DEFAULT_PORT,
    Home,
    HomeUnusable,
    Record,
    encryption_key,
    forget_up,
    home_of,
    made,
    remember_port,
    remember_up,
    remembered_port,
    what_is_up,
    wish_to_end,
)
from deployments.local.lock import held
from recollect.settings import load_settings

RECORD = Record(
    1,
    datetime(2026, 5, 4, 3, 2, tzinfo=UTC),
    "http://127.0.0.1:4300/api",
    joined=False,
    remarks=("b",),
    lines=("a", "é"),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(Home(tmp_path / "prefect"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_lies_in_the_state_folder(tmp_path: Path) -> None:
    assert home_of(load_settings({"state": tmp_path})).folder == tmp_path / "prefect"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_nobody_else_may_look_into_the_home_or_at_its_key(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir(mode=0o755)
    home = made(Home(tmp_path / "prefect"))
    encryption_key(home)
    assert mode(home.folder) == mode(home.logs) == 0o700
    assert mode(home.folder / "encryption-key") == 0o600


def test_the_key_is_one_that_prefect_takes_and_stays_the_same(home: Home) -> None:
    key = encryption_key(home)
    assert encryption_key(home) == key
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"it")) == b"it"


def test_a_home_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeUnusable, match="file"):
        made(Home(tmp_path / "file" / "prefect"))


def test_the_port_that_was_used_last_is_used_again(home: Home) -> None:
    assert remembered_port(home) == DEFAULT_PORT
    remember_port(home, 4300)
    assert remembered_port(home) == 4300


@pytest.mark.parametrize("noted", ["", "0", "70000", "many"])
def test_a_note_that_is_no_port_is_as_good_as_none(noted: str, home: Home) -> None:
    (home.folder / "port").write_text(noted)
    assert remembered_port(home) == DEFAULT_PORT


def test_what_is_up_is_so_only_while_its_process_lives(home: Home) -> None:
    with held(home.lock):
        assert what_is_up(home) is None
        remember_up(home, RECORD)
        assert what_is_up(home) == RECORD
    assert home.record.exists()
    assert what_is_up(home) is None


@pytest.mark.parametrize("noted", ["", "[]", "{}", '{"process": 1, "since": "soon"}'])
def test_a_damaged_record_is_none(noted: str, home: Home) -> None:
    with held(home.lock):
        home.record.write_text(noted)
        assert what_is_up(home) is None


def test_what_is_forgotten_leaves_neither_record_nor_wish(home: Home) -> None:
    remember_up(home, RECORD)
    wish_to_end(home)
    forget_up(home)
    forget_up(home)
    assert not home.record.exists()
    assert not home.wish_to_end.exists()
