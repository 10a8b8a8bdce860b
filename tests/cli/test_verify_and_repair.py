"""`stats`, `verify` and `repair`."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.format.blob import pack_name
from storage.opening import open_repository
from storage.retrieval import folder_entries
from storage.stores.address import open_store
from tests.cli.desk import Desk
from tests.cli.terminal import at_terminal, shown


def spoil_a_picture(desk: Desk) -> None:
    """Change a bit of Ada's red.png in the repository."""
    repository = open_repository(open_store(str(desk.repository)))
    ref = next(ref for ref in repository.snapshots() if ref.profile_key.startswith("Ada"))
    (entry,) = [e for e in folder_entries(repository, repository.manifest(ref).folders[0]) if e.name == b"red.png"]
    assert entry.content.root is not None
    place = repository.index().find(entry.content.root)
    assert place is not None
    path = desk.repository / pack_name(place.pack)
    content = bytearray(path.read_bytes())
    content[place.offset + place.stored // 2] ^= 1
    path.write_bytes(content)


def objects(desk: Desk) -> dict[Path, bytes]:
    """Everything in the repository but the audit table and the record of what was read."""
    return {
        path: path.read_bytes()
        for path in desk.repository.rglob("*")
        if path.is_file() and not {"audit", "checks"} & set(path.parts)
    }


def test_stats_tell_each_profile_and_all(stocked: Desk) -> None:
    ran = stocked.call("stats")
    assert ran.code == 0
    assert all(word in ran.out for word in ("Ada", "Ben", "In all", "Only here", "Everything stored there", "index"))
    told = stocked.call("stats", "--json").json
    assert [profile["profile"] for profile in told["profiles"]] == ["Ada", "Ben"]
    assert told["in_all"]["snapshots"] == 2
    assert told["bytes"] == sum(path.stat().st_size for path in stocked.repository.rglob("*") if path.is_file())


def test_stats_of_a_place_without_a_repository_are_a_sentence(desk: Desk) -> None:
    ran = desk.call("stats")
    assert (ran.code, ran.out) == (1, "")
    assert "holds no repository yet" in ran.err


def test_verify_says_that_all_is_there_and_when_it_was_last_read(stocked: Desk) -> None:
    before = objects(stocked)
    ran = stocked.run("verify")
    assert ran.code == 0
    assert "All is there that 2 snapshots need" in ran.out
    assert "No pack was ever read back" in ran.err
    told = stocked.call("verify", "--read-data", "--json").json
    assert (told["clean"], told["outcome"], told["coverage"]["unread_packs"]) == (True, "completed", 0)
    assert "Every byte was last read on" in stocked.call("verify").err
    assert objects(stocked) == before


@pytest.mark.parametrize("share", ["5%", "0.5", " 12 % ", "100%"])
def test_a_share_is_read(stocked: Desk, share: str) -> None:
    told = stocked.call("verify", "--share", share, "--json").json
    assert 1 <= told["packs_read"] <= told["packs"]
    assert stocked.call("verify", "--packs", "1", "--json").json["packs_read"] == 1


@pytest.mark.parametrize("share", ["0%", "101%", "half", "-1", "nan"])
def test_what_is_no_share_is_refused(stocked: Desk, share: str) -> None:
    ran = stocked.call("verify", f"--share={share}")
    assert (ran.code, ran.out) == (2, "")
    assert "such as 5%" in ran.err


@pytest.mark.parametrize("also", [("--share", "5%"), ("--packs", "1")])
def test_everything_and_a_share_of_it_contradict_each_other(stocked: Desk, also: tuple[str, ...]) -> None:
    ran = stocked.call("verify", "--read-data", *also)
    assert (ran.code, ran.out) == (2, "")
    assert "leave out --share and --packs" in ran.err


def test_damage_ends_with_1_and_names_the_profile_and_the_file(stocked: Desk) -> None:
    spoil_a_picture(stocked)
    ran = stocked.run("verify", "--read-data")
    assert ran.code == 1
    assert "Ada has lost the file 'red.png' in collection.media" in ran.err
    assert "recollect repair" in ran.err
    told = stocked.call("verify", "--json").json
    assert told["losses"][0]["entry"] == "red.png"
    assert stocked.call("audit", "--action", "verify", "--json").json[0]["outcome"] == "failed"


def test_a_dry_run_of_repair_changes_nothing_and_says_what_would_be_done(stocked: Desk) -> None:
    spoil_a_picture(stocked)
    before = objects(stocked)
    ran = stocked.call("repair", "--read-data", "--dry-run")
    assert ran.code == 0
    assert "1 pack with damage will be quarantined" in ran.out
    assert len(stocked.call("repair", "--dry-run", "--json").json["quarantine"]) == 1
    assert objects(stocked) == before


def test_without_a_terminal_a_repair_needs_yes(desk: Desk) -> None:
    assert desk.call("backup").code == 0
    spoil_a_picture(desk)
    ran = desk.run("repair", "--read-data")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    ran = desk.run("repair", "--read-data", "--yes")
    assert ran.code == 0
    assert "Healed: the file 'red.png' in collection.media of Ada" in ran.err
    assert desk.call("verify", "--read-data").code == 0


def test_no_is_an_answer(desk: Desk) -> None:
    assert desk.call("backup").code == 0
    spoil_a_picture(desk)
    before = objects(desk)
    code, told = at_terminal(desk, ["repair", "--read-data"], once="[y/N]", typed="n\n")
    assert code == 1
    assert "Nothing was changed" in told
    assert objects(desk) == before


def test_a_repository_that_is_whole_needs_no_repair(stocked: Desk) -> None:
    ran = stocked.call("repair", "--yes")
    assert ran.code == 0
    assert "nothing to repair" in ran.out


def test_stats_fit_a_narrow_terminal(stocked: Desk) -> None:
    code, out = at_terminal(stocked, ["stats"], columns=60)
    table = [line for line in shown(out).splitlines() if line.startswith(("Profile", "Ada", "Ben", "In all"))]
    assert (code, len(table)) == (0, 4)
    assert all(len(line) <= 60 for line in table)
