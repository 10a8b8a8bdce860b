from __future__ import annotations

from tests.cli.desk import Desk


def test_automatic_sync_is_shown_held_off_and_let_go_on(desk: Desk) -> None:
    assert desk.call("autosync", "Ada").out == "Ada syncs by itself: its collection and its media\n"
    ran = desk.call("autosync", "Ada", "off")
    assert "Ada syncs by itself: nothing" in ran.out
    assert "recollect autosync 'Ada' on" in " ".join(ran.out.split())
    held = desk.call("autosync", "Ada", "--json").json
    assert held == {
        "profile": "Ada",
        "collection": False,
        "media": False,
        "held": {"collection": True, "media": True},
    }
    assert desk.call("autosync", "Ada", "on").out == "Ada syncs by itself: its collection and its media\n"


def test_a_restore_can_hold_sync_off_or_make_a_new_profile(stocked: Desk) -> None:
    assert stocked.call("restore", "Ada", "--in-place", "--hold-sync", "--yes").code == 0
    assert stocked.call("autosync", "Ada", "--json").json["collection"] is False
    assert stocked.call("restore", "Ada", "--new-profile", "Ada again").code == 0
    assert "Ada again" in stocked.call("profiles").out
    assert stocked.call("restore", "Ada", "--new-profile", "Ada again").code == 1
    assert stocked.call("restore", "Ada", "--new-profile", "Other", "--in-place").code == 2
