from __future__ import annotations

import pytest
from typer.main import get_command

import cli.key
from cli.key import key
from storage.errors import StoreUnreachable
from storage.format.secret import SecretKind, typed_secret
from tests.cli.desk import PASSPHRASE, Desk, Ran

OTHER = "another passphrase"


@pytest.fixture
def locked(locked: Desk) -> Desk:
    """The computer with the encrypted repository, on which the passphrase is set."""
    return locked.having(RECOLLECT_PASSPHRASE=PASSPHRASE)


def slots(desk: Desk) -> list[tuple[str, str, int]]:
    listed = desk.call("key", "list", "--json").json
    return sorted((slot["kind"], slot["label"], slot["generation"]) for slot in listed)


def slot_id(desk: Desk, kind: str, label: str) -> str:
    listed = desk.call("key", "list", "--json").json
    (found,) = (slot["slot"] for slot in listed if (slot["kind"], slot["label"]) == (kind, label))
    return str(found)


def opens(desk: Desk, passphrase: str) -> Ran:
    return desk.having(RECOLLECT_PASSPHRASE=passphrase).call("snapshots", "--json")


def test_the_slots_are_listed_without_any_secret(locked: Desk) -> None:
    ran = locked.having(RECOLLECT_PASSPHRASE="").call("key", "list")
    assert ran.code == 0
    assert "first" in ran.out
    assert slots(locked.having(RECOLLECT_PASSPHRASE="")) == [("passphrase", "first", 1)]


def test_a_passphrase_from_a_file_or_the_environment_is_added(locked: Desk) -> None:
    (locked.home / "second").write_text(OTHER + "\n")
    ran = locked.call("key", "add", "--passphrase", "--from-file", "second", "--label", "second")
    assert ran.code == 0, ran.err
    assert OTHER not in ran.out + ran.err
    third = locked.having(THIRD="a third one of these")
    assert third.call("key", "add", "--passphrase", "--from-env", "THIRD").code == 0
    for passphrase in (PASSPHRASE, OTHER, "a third one of these"):
        assert len(opens(locked, passphrase).json) == 1


def test_a_recovery_key_is_added_and_shown_with_what_to_do(locked: Desk) -> None:
    ran = locked.call("key", "add", "--recovery", "--label", "in the safe")
    (text,) = (line.split()[-1] for line in ran.out.splitlines() if line.startswith("Recovery key:"))
    assert "Write it down" in ran.err
    assert len(opens(locked, text).json) == 1
    made = locked.call("key", "add", "--recovery", "--json").json
    assert typed_secret(made["recovery_key"]).kind is SecretKind.RECOVERY
    assert made["recovery_key"] != text
    assert (made["kind"], made["generation"]) == ("recovery", 1)


def test_a_key_file_is_added_and_opens(locked: Desk) -> None:
    assert locked.call("key", "add", "--key-file", "anki.key").code == 0
    by_file = locked.having(RECOLLECT_PASSPHRASE="", RECOLLECT_KEY_FILE=str(locked.home / "anki.key"))
    assert len(by_file.call("snapshots", "--json").json) == 1


def test_nothing_is_added_without_a_secret_that_opens(locked: Desk) -> None:
    for at, said in (
        (locked.having(RECOLLECT_PASSPHRASE=""), "no passphrase"),
        (locked.having(RECOLLECT_PASSPHRASE=OTHER), "does not open"),
    ):
        ran = at.call("key", "add", "--recovery")
        assert (ran.code, ran.out) == (1, "")
        assert said in ran.err
        assert at.call("key", "remove", slot_id(locked, "passphrase", "first")).code == 1
        assert at.call("key", "rotate", "--yes").code == 1
    assert slots(locked) == [("passphrase", "first", 1)]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("add",), "--recovery"),
        (("add", "--recovery", "--passphrase"), "what to add"),
        (("add", "--recovery", "--from-env", "X"), "--passphrase"),
        (("add", "--passphrase", "--from-env", "X", "--from-file", "x"), "not from both"),
        (("add", "--passphrase", "--from-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE"),
        (("add", "--passphrase"), "no terminal"),
        (("remove",), "SLOT"),
        (("lsit",), "list"),
    ],
)
def test_a_wrong_call_ends_with_code_2_and_a_hint(locked: Desk, arguments: tuple[str, ...], hint: str) -> None:
    ran = locked.call("key", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err


def test_no_option_takes_a_secret() -> None:
    """Whatever stands on a command line can be seen by every user of the computer."""
    commands = get_command(key).commands  # type: ignore[attr-defined]
    for command in commands.values():
        for parameter in command.params:
            if "passphrase" in parameter.name or "recovery" in parameter.name:
                assert parameter.is_flag or parameter.name.endswith("_file"), parameter.name


def test_a_passphrase_is_changed_by_adding_and_removing(locked: Desk) -> None:
    changed = locked.having(NEW=OTHER)
    assert changed.call("key", "add", "--passphrase", "--from-env", "NEW", "--label", "second").code == 0
    first = slot_id(locked, "passphrase", "first")
    ran = locked.call("key", "remove", first)
    assert (ran.code, "the one that the present secret opens" in ran.err) == (1, True)
    ran = locked.having(RECOLLECT_PASSPHRASE=OTHER).call("key", "remove", first[:8])
    assert (ran.code, "second" in ran.out) == (0, True)
    assert opens(locked, PASSPHRASE).code == 1
    assert len(opens(locked, OTHER).json) == 1


def test_the_last_slot_and_one_that_is_not_there_are_told(locked: Desk) -> None:
    ran = locked.call("key", "remove", slot_id(locked, "passphrase", "first"))
    assert ran.code == 1
    ran = locked.call("key", "remove", "ffff")
    assert (ran.code, "No key slot goes by that id" in ran.err) == (1, True)
    assert len(opens(locked, PASSPHRASE).json) == 1


def test_a_rotation_shows_what_goes_and_asks_first(locked: Desk) -> None:
    (locked.home / "second").write_text(OTHER)
    assert locked.call("key", "add", "--passphrase", "--from-file", "second", "--label", "second").code == 0
    ran = locked.call("key", "rotate")
    assert (ran.code, ran.out) == (1, "")
    assert "second" in ran.err
    assert "--yes" in ran.err
    assert slots(locked) == [("passphrase", "first", 1), ("passphrase", "second", 1)]


def test_a_rotation_leaves_the_secrets_at_hand_and_a_new_recovery_key(locked: Desk) -> None:
    (locked.home / "second").write_text(OTHER)
    assert locked.call("key", "add", "--passphrase", "--from-file", "second", "--label", "second").code == 0
    assert locked.call("key", "add", "--key-file", "anki.key").code == 0
    old = locked.call("key", "add", "--recovery", "--json").json["recovery_key"]
    ran = locked.call("key", "rotate", "--keep-passphrase-file", "second", "--yes", "--json")
    assert ran.code == 0, ran.err
    new = ran.json["recovery_key"]
    assert "can still read it" in ran.err
    assert slots(locked) == [
        ("passphrase", "first", 2),
        ("passphrase", "second", 2),
        ("recovery", "made by a rotation", 2),
    ]
    for secret in (PASSPHRASE, OTHER, new):
        assert len(opens(locked, secret).json) == 1
    assert opens(locked, old).code == 1
    assert locked.call("backup", "Ada", "--force").code == 0
    assert len(opens(locked, new).json) == 2


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_the_new_recovery_key_is_out_before_anything_is_done(
    locked: Desk, as_json: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows may be cut off, and leave that key as the only one that opens the newest keys."""
    slots_before = slots(locked)

    def cut_off(*_: object) -> None:
        raise StoreUnreachable("The store can't be reached", "Try again")

    monkeypatch.setattr(cli.key, "rotate_keys", cut_off)
    ran = locked.call("key", "rotate", *as_json)
    assert ran.code == 1
    shown = ran.json["recovery_key"] if as_json else next(line for line in ran.out.splitlines() if "-" in line)
    assert len(shown) > 20
    assert slots(locked) == slots_before


def test_without_slots_to_remove_a_rotation_does_not_ask(locked: Desk) -> None:
    ran = locked.call("key", "rotate")
    assert ran.code == 0, ran.err
    assert "Recovery key:" in ran.out


def test_a_repository_that_is_not_encrypted_has_no_keys(desk: Desk) -> None:
    desk.call("init")
    for arguments in (("list",), ("add", "--recovery"), ("remove", "ab"), ("rotate",)):
        ran = desk.call("key", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert "is not encrypted" in ran.err


@pytest.mark.parametrize("command", ["list", "add", "remove", "rotate"])
def test_every_command_explains_itself_with_an_example(desk: Desk, command: str) -> None:
    ran = desk.call("key", command, "--help")
    assert ran.code == 0
    assert f"Example: recollect key {command}" in ran.out
