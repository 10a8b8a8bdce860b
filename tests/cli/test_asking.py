"""Passphrases that are typed at a real terminal. There are none of the kind on Windows."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("pty", exc_type=ImportError)
pytest.importorskip("fcntl")

from tests.cli.desk import PASSPHRASE, Desk
from tests.cli.terminal import at_terminal, shown

NEW, AGAIN, KNOWN = "New passphrase", "once more:", "Passphrase or recovery key"


def typed(text: str) -> str:
    return text + "\n"


def test_a_new_passphrase_is_asked_for_twice_and_not_shown(desk: Desk) -> None:
    code, output = at_terminal(
        desk, ["init", "--encryption"], answers=[(NEW, typed(PASSPHRASE)), (AGAIN, typed(PASSPHRASE))]
    )
    assert code == 0, output
    assert PASSPHRASE not in output
    assert "Recovery key:" in output
    assert json.loads((desk.repository / "recollect.json").read_text())["sealing"] == "aes-256-gcm"
    assert desk.having(RECOLLECT_PASSPHRASE=PASSPHRASE).call("backup", "Ada").code == 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(NEW, typed(PASSPHRASE)), (AGAIN, typed("another one"))], "not the same"),
        ([(NEW, typed("1234"))], "guessed too quickly"),
        ([(NEW, typed(""))], "empty"),
        ([(NEW, "\x04")], "empty"),
    ],
)
def test_what_is_typed_wrongly_makes_nothing(desk: Desk, answers: list[tuple[str, str]], said: str) -> None:
    code, output = at_terminal(desk, ["init", "--encryption"], answers=answers)
    assert code in {1, 2}
    assert said in " ".join(shown(output).split())
    assert not (desk.repository / "recollect.json").exists()


def test_ctrl_c_at_the_question_ends_the_command(desk: Desk, locked: Desk) -> None:
    code, output = at_terminal(locked, ["snapshots"], answers=[(KNOWN, "\x03")])
    assert code == 130
    assert "Stopped." in output


def test_a_backup_asks_once_for_all_profiles_and_before_any_bar(locked: Desk) -> None:
    code, output = at_terminal(locked, ["backup", "--force"], answers=[(KNOWN, typed(PASSPHRASE))])
    assert code == 0, output
    assert shown(output).count(KNOWN) == 1
    assert PASSPHRASE not in output
    assert "\x1b[?25l" not in output[: output.index(KNOWN)]


def test_a_wrong_answer_is_one_sentence(locked: Desk) -> None:
    code, output = at_terminal(locked, ["snapshots"], answers=[(KNOWN, typed("not that one"))])
    assert code == 1
    assert "does not open the repository" in " ".join(shown(output).split())
    assert "not that one" not in output


def test_a_rotation_is_confirmed_at_the_terminal(locked: Desk) -> None:
    assert locked.having(RECOLLECT_PASSPHRASE=PASSPHRASE).call("key", "add", "--recovery").code == 0
    known = (KNOWN, typed(PASSPHRASE))
    code, output = at_terminal(locked, ["key", "rotate"], answers=[known, ("[y/N]", "n\n")])
    assert (code, "Nothing was done" in output) == (1, True)
    code, output = at_terminal(locked, ["key", "rotate"], answers=[known, ("[y/N]", "y\n")])
    assert code == 0, output
    assert "Recovery key:" in output


def test_a_passphrase_is_added_at_the_terminal(locked: Desk) -> None:
    other = "a second passphrase"
    code, output = at_terminal(
        locked,
        ["key", "add", "--passphrase"],
        answers=[(KNOWN, typed(PASSPHRASE)), (NEW, typed(other)), (AGAIN, typed(other))],
    )
    assert code == 0, output
    assert other not in output
    assert locked.having(RECOLLECT_PASSPHRASE=other).call("snapshots").code == 0
