from __future__ import annotations

import json
import os
import stat

import pytest

from storage.format.secret import SecretKind, typed_secret
from tests.cli.desk import PASSPHRASE, Desk


def configuration(desk: Desk) -> dict[str, object]:
    found: dict[str, object] = json.loads((desk.repository / "recollect.json").read_text())
    return found


def secret_in(output: str) -> str:
    """The recovery key that was shown."""
    (line,) = (line for line in output.splitlines() if line.startswith("Recovery key:"))
    return line.removeprefix("Recovery key:").strip()


def test_a_place_on_this_computer_is_not_encrypted_unless_a_secret_is_set(desk: Desk) -> None:
    ran = desk.call("init")
    assert ran.code == 0
    assert "not encrypted" in ran.out
    assert configuration(desk)["sealing"] == "open"
    other = desk.having(RECOLLECT_REPO=str(desk.home / "other"), RECOLLECT_PASSPHRASE=PASSPHRASE)
    ran = other.call("init")
    assert (ran.code, "encrypted" in ran.out) == (0, True)
    assert json.loads((desk.home / "other" / "recollect.json").read_text())["sealing"] == "aes-256-gcm"


def test_the_recovery_key_is_shown_once_and_opens_what_was_backed_up(desk: Desk) -> None:
    locked = desk.having(RECOLLECT_PASSPHRASE=PASSPHRASE)
    ran = locked.call("init")
    text = secret_in(ran.out)
    assert typed_secret(text).kind is SecretKind.RECOVERY
    assert "Write it down" in ran.err
    assert PASSPHRASE not in ran.out + ran.err
    assert locked.call("backup", "Ada").code == 0
    with_the_key = desk.having(RECOLLECT_PASSPHRASE=text.lower().replace("-", " "))
    ran = with_the_key.call("restore", "Ada", "--to", str(desk.home / "restored"))
    assert ran.code == 0, ran.err
    assert (desk.home / "restored" / "collection.anki2").exists()
    assert text not in locked.call("key", "list").out


def test_json_tells_programs_all_of_it(desk: Desk) -> None:
    made = desk.having(RECOLLECT_PASSPHRASE=PASSPHRASE).call("init", "--json").json
    assert made["encrypted"] is True
    assert made["id"] == configuration(desk)["id"]
    assert typed_secret(made["recovery_key"]).kind is SecretKind.RECOVERY
    other = desk.call("init", str(desk.home / "other"), "--json").json
    assert (other["url"], other["encrypted"], other["recovery_key"]) == (str(desk.home / "other"), False, None)


def test_a_key_file_is_made_for_its_owners_eyes_and_used_again(desk: Desk) -> None:
    file = desk.home / "anki.key"
    ran = desk.call("init", "--key-file", str(file), "--label", "Ada's stick")
    assert ran.code == 0, ran.err
    assert "Keep a copy of it elsewhere" in ran.err
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text()
    assert content.split()[4] not in ran.out + ran.err
    locked = desk.having(RECOLLECT_KEY_FILE=str(file))
    assert locked.call("backup", "Ada").code == 0
    labels = {slot["label"] for slot in locked.call("key", "list", "--json").json}
    assert labels == {"Ada's stick", ""}
    ran = locked.having(RECOLLECT_REPO=str(desk.home / "second")).call("init", "--key-file", "anki.key")
    assert ran.code == 0, ran.err
    assert file.read_text() == content


def test_what_contradicts_itself_is_refused(desk: Desk) -> None:
    locked = desk.having(RECOLLECT_PASSPHRASE=PASSPHRASE)
    for at, arguments in (
        (locked, ("--no-encryption",)),
        (locked, ("--key-file", "k")),
        (desk, ("--no-encryption", "--key-file", "k")),
        (desk, ("--no-encryption", "--label", "mine")),
    ):
        ran = at.call("init", *arguments)
        assert (ran.code, "leave out" in ran.err) == (2, True), ran.err
    assert not desk.repository.exists()
    assert not (desk.home / "k").exists()


def test_where_nobody_can_be_asked_the_ways_are_named(desk: Desk) -> None:
    ran = desk.call("init", "--encryption")
    assert ran.code == 2
    assert "RECOLLECT_PASSPHRASE" in ran.err
    assert not desk.repository.exists()


def test_a_weak_passphrase_and_a_key_file_that_is_none_make_nothing(desk: Desk) -> None:
    (desk.home / "photo.jpg").write_bytes(b"\xff\xd8")
    for ran in (
        desk.having(RECOLLECT_PASSPHRASE="1234").call("init"),
        desk.call("init", "--key-file", "photo.jpg"),
        desk.call("init", "--key-file", "no/such/folder/key"),
    ):
        assert (ran.code, ran.out) == (1, "")
        assert "Traceback" not in ran.err
    assert not (desk.repository / "recollect.json").exists()
    assert (desk.home / "photo.jpg").read_bytes() == b"\xff\xd8"


def test_a_repository_is_not_made_twice_nor_where_something_else_is(desk: Desk) -> None:
    assert desk.call("init").code == 0
    ran = desk.call("init")
    assert (ran.code, "There is a repository" in ran.err) == (1, True)
    (desk.home / "holiday").mkdir()
    (desk.home / "holiday" / "beach.jpg").write_bytes(b"a picture")
    ran = desk.call("init", str(desk.home / "holiday"))
    assert (ran.code, "not empty" in ran.err) == (1, True)
    assert [path.name for path in (desk.home / "holiday").iterdir()] == ["beach.jpg"]


def test_a_backup_to_another_computer_without_a_word_about_encryption_stores_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.repositories.on_this_computer", lambda _: False)
    ran = desk.call("backup")
    assert ran.code == 1
    assert "`recollect init`" in ran.err
    assert not list(desk.repository.rglob("*"))
    assert desk.call("init", "--no-encryption").code == 0
    assert desk.call("backup", "Ada").code == 0


def test_a_backup_that_makes_an_encrypted_repository_says_how_to_get_a_recovery_key(desk: Desk) -> None:
    ran = desk.having(RECOLLECT_PASSPHRASE=PASSPHRASE).call("backup", "Ada")
    assert ran.code == 0
    assert "`recollect key add --recovery`" in ran.err
    assert "Recovery key:" not in ran.out + ran.err
    assert PASSPHRASE not in ran.out + ran.err


def test_no_command_shows_the_passphrase(locked: Desk) -> None:
    desk, locked = locked, locked.having(RECOLLECT_PASSPHRASE=PASSPHRASE)
    told = []
    for arguments in (
        ("backup", "--json"),
        ("backup",),
        ("snapshots", "--json"),
        ("audit", "--json"),
        ("prune", "--dry-run", "--json"),
        ("restore", "Ada", "--to", str(desk.home / "restored"), "--json"),
        ("deleted", "Ada"),
        ("key", "list", "--json"),
        ("key", "add", "--recovery", "--json"),
        ("restore", "Nobody", "--plan"),
    ):
        ran = locked.call(*arguments)
        assert "Traceback" not in ran.err
        told.append(ran.out + ran.err)
    wrong = locked.having(RECOLLECT_PASSPHRASE=PASSPHRASE + "!").run("snapshots")
    assert wrong.code == 1
    told.append(wrong.out + wrong.err)
    assert not any(PASSPHRASE in one for one in told)
    everywhere = [path for path in desk.home.rglob("*") if path.is_file()]
    assert not any(PASSPHRASE.encode() in path.read_bytes() for path in everywhere)


def test_a_key_file_that_a_link_stands_for_is_not_written_through(desk: Desk) -> None:
    target = desk.home / "elsewhere"
    try:
        (desk.home / "key").symlink_to(target)
    except OSError:
        pytest.skip("this system allows no links")
    ran = desk.call("init", "--key-file", "key")
    assert ran.code == 1
    assert not target.exists()
