from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import COMMANDS, app
from recollect import __version__
from tests.cli.desk import RECOLLECT, Desk

ROOMS = {"profiles", "storage", "tasks", "flows"}
HEAVY = {"prefect", "anki", "numpy", "pyarrow", "fsspec"}
"""Packages that take a tenth of a second to load, or much more."""


def imported_by(desk: Desk, *arguments: str, code: str = "from cli.main import main; main()") -> set[str]:
    """The modules that the command imports, or the `code`."""
    probe = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.__stderr__)); {code}"
    ended = subprocess.run(
        [sys.executable, "-c", probe, *arguments],
        env=desk.environment,
        cwd=desk.home,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stderr.splitlines())


def app_command(name: str) -> Any:
    group = typer.main.get_command(app)
    return group.get_command(None, name)  # type: ignore[attr-defined]


def test_no_command_imports_prefect_when_no_server_is_at_hand(desk: Desk) -> None:
    for arguments in (
        ("backup",),
        ("snapshots",),
        ("restore", "Ada", "--to", str(desk.home / "restored")),
        ("prune",),
        ("audit",),
        ("deleted", "Ada"),
    ):
        assert "prefect" not in imported_by(desk, *arguments), arguments


def test_listing_profiles_needs_nothing_of_what_repositories_are_made_of(desk: Desk) -> None:
    rooms = {"storage", "tasks", "flows", "prefect"}
    packages = {"numpy", "pyarrow", "fsspec", "anki", "zstandard", "blake3", "cryptography"}
    assert not imported_by(desk, "profiles") & (rooms | packages)


def test_help_and_version_load_no_command(desk: Desk) -> None:
    for arguments in (("--help",), ("--version",)):
        assert not imported_by(desk, *arguments) & (ROOMS | HEAVY), arguments


def test_the_list_of_snapshots_loads_nothing_that_works_with_the_index(desk: Desk) -> None:
    assert desk.run("backup").code == 0
    assert not imported_by(desk, "snapshots") & HEAVY


def test_what_finds_nothing_new_loads_nothing_that_works_with_the_index(desk: Desk) -> None:
    assert desk.run("backup").code == 0
    code = "from flows.chains.backup import back_up; assert back_up('Ada').outcome == 'unchanged'"
    # A row of the audit table takes Arrow, which loads NumPy; each of these would take as long once more.
    more = {"storage.index", "storage.writing", "storage.keys", "pyarrow.compute", "pyarrow.dataset"}
    more |= {"typer", "rich", "cryptography"}
    for imported in (imported_by(desk, "backup") - {"typer", "rich"}, imported_by(desk, code=code)):
        assert not imported & ((HEAVY - {"pyarrow", "numpy"}) | more)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_of_each_what_it_says_itself(command: str) -> None:
    told = (app_command(command).help or "").split("\n\n")[0]
    assert " ".join(told.split()) == COMMANDS[command]


def test_the_command_alone_shows_what_there_is(desk: Desk) -> None:
    ran = desk.call()
    assert all(f" {name} " in ran.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str, desk: Desk) -> None:
    ran = desk.call(command, "--help")
    assert ran.code == 0
    assert f"Example: recollect {command}" in ran.out


def test_version(desk: Desk) -> None:
    assert desk.call("--version").out == f"recollect {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("backpu",), "'backup'"),
        (("backup", "--bsae", "x"), "--base"),
        (("backup", "--daily", "many"), "--daily"),
        (("audit", "--limit", "0"), "--limit"),
        (("restore",), "PROFILE"),
        (("restore", "Ada"), "--to DIR"),
        (("restore", "Ada", "--in-place", "--to", "x"), "--to DIR"),
    ],
)
def test_a_wrong_call_ends_with_code_2_and_a_hint(arguments: tuple[str, ...], hint: str, desk: Desk) -> None:
    ran = desk.call(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err


def test_a_reader_who_has_seen_enough_ends_the_command_quietly(stocked: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for arguments in ("snapshots",), ("snapshots", "--json"):
        ended = subprocess.run(
            [str(RECOLLECT), *arguments],
            env=stocked.environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert ended.stderr == ""
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_finds_no_room_is_told_in_a_sentence(stocked: Desk) -> None:
    for arguments in ("snapshots",), ("snapshots", "--json"), ("--version",):
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(
                [str(RECOLLECT), *arguments],
                env=stocked.environment,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert ended.returncode == 1
        assert "no space left" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_terminal_that_knows_only_ascii_gets_escapes(desk: Desk) -> None:
    (desk.base / "Ada").rename(desk.base / "Żaneta")
    ran = desk.having(PYTHONIOENCODING="ascii", RECOLLECT_BASE=str(desk.base / "Żaneta")).run("profiles")
    assert ran.code == 0
    assert "\\u017baneta" in ran.out
    assert ran.out.isascii()


def test_a_defect_of_ours_is_told_as_one(desk: Desk) -> None:
    probe = (
        "import cli.profiles, profiles.base_folder\n"
        "def broken(explicit): raise RuntimeError('\\x1b[31moops')\n"
        "cli.profiles.find_base_folder = broken\n"
        "from cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", probe, "profiles"], env=desk.environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Recollect itself went wrong: RuntimeError.")
    assert "\x1b" not in ended.stderr
