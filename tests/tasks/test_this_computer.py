"""By which name a computer is known in its backups."""

from __future__ import annotations

import platform

import pytest

from flows.chains.backup import back_up
from storage.format.audit_row import Outcome
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host
from tests.flows.chains.house import House


def test_a_laptop_that_is_called_otherwise_elsewhere_goes_on_with_its_history(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "at-home")
    back_up("Ada")
    monkeypatch.setattr(platform, "node", lambda: "dhcp-17.university.example")
    assert back_up("Ada").outcome is Outcome.UNCHANGED
    assert {house.manifest(ref).host for ref in house.snapshots()} == {"at-home"}


def test_a_name_that_is_set_is_the_one(house: House) -> None:
    this_host(active_settings())
    with house.set(host="mine"):
        assert this_host(active_settings()) == "mine"


@pytest.mark.parametrize("kept", [b"", b"\n", b"two\nlines\n", b"x" * 300, b"\x1b[31m"])
def test_what_can_be_no_name_is_replaced(house: House, kept: bytes) -> None:
    house.state.mkdir()
    (house.state / "host").write_bytes(kept)
    assert this_host(active_settings()) == (platform.node() or "this computer")
    assert (house.state / "host").read_bytes().decode() == this_host(active_settings()) + "\n"


def test_where_nothing_can_be_remembered_the_present_name_does(house: House) -> None:
    house.state.write_text("a file in the way")
    assert this_host(active_settings()) == (platform.node() or "this computer")
