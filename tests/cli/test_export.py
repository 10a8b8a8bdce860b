"""`recollect export`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from profiles.packages.layout import Layout
from profiles.packages.reading import open_package
from storage.format.audit_row import AUDIT_COLUMNS
from tests.cli.desk import PASSPHRASE, Desk
from tests.servers.rclone import SECRET, s3_server

NOISE = random.Random(5).randbytes(10_000)
"""Stored as it is, for nothing makes it shorter."""


def layout_and_names(package: Path) -> tuple[Layout, set[str]]:
    with package.open("rb") as file, open_package(file, str(package)) as opened:
        return opened.layout, {media.name for media in opened.media}


def test_a_snapshot_becomes_a_package_beside_whoever_asks(stocked: Desk) -> None:
    ran = stocked.having(RECOLLECT_BASE="").run("export", "latest", "ada.colpkg", "--profile", "Ada")
    assert ran.code == 0, ran.err
    assert f"is exported to {stocked.home / 'ada.colpkg'}: 229 notes, 20 media files" in ran.out
    assert "File > Import" in ran.err
    layout, names = layout_and_names(stocked.home / "ada.colpkg")
    assert (layout, len(names)) == (Layout.LATEST, 20)
    assert "red.png" in names


def test_options_choose_what_is_in_it_and_json_is_the_row_of_the_audit_table(stocked: Desk) -> None:
    (snapshot,) = stocked.call("snapshots", "Ada", "--json").json
    told = stocked.call("export", snapshot["snapshot"][-8:], "a.colpkg", "--no-media", "--legacy", "--json")
    assert told.code == 0
    assert set(told.json) == {column.name for column in AUDIT_COLUMNS} | {"remarks"}
    row = {name: told.json[name] for name in ("action", "profile", "snapshot", "outcome", "media_files")}
    assert row == {
        "action": "export",
        "profile": "Ada",
        "snapshot": snapshot["snapshot"],
        "outcome": "completed",
        "media_files": 0,
    }
    assert layout_and_names(stocked.home / "a.colpkg") == (Layout.LEGACY2, set())
    assert "export" in stocked.call("audit").out


def test_a_file_that_is_there_is_replaced_only_with_overwrite(stocked: Desk) -> None:
    (stocked.home / "ben.colpkg").write_bytes(b"mine")
    ran = stocked.call("export", "latest", "ben.colpkg", "--profile", "Ben")
    assert (ran.code, ran.out) == (1, "")
    assert "--overwrite" in ran.err
    assert (stocked.home / "ben.colpkg").read_bytes() == b"mine"
    assert stocked.call("export", "latest", "ben.colpkg", "--profile", "Ben", "--overwrite").code == 0
    assert layout_and_names(stocked.home / "ben.colpkg")[0] is Layout.LATEST


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nope", "x.colpkg"), "recollect snapshots"),
        (("latest", "x.colpkg"), "--profile"),
        (("latest", "x.apkg", "--profile", "Ada"), "end in .colpkg"),
        (("latest", "away/x.colpkg", "--profile", "Ada"), "There is no folder"),
        (("latest", ".", "--profile", "Ada"), "is a folder"),
        (("latest", "s3://bucket", "--profile", "Ada"), "names no file"),
        (("latest", "nas:/x.colpkg", "--profile", "Ada"), "neither a URL nor a path"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(stocked: Desk, arguments: tuple[str, ...], said: str) -> None:
    ran = stocked.call("export", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(stocked.home.glob("*.colpkg")) == []


def test_a_package_goes_from_an_encrypted_repository_to_a_server_with_the_settings_of_a_place_there(
    locked: Desk, tmp_path: Path
) -> None:
    with s3_server(tmp_path / "s3", tmp_path) as s3:
        exports = {"exports": {"url": s3.url("exports"), "options": s3.options}}
        desk = locked.having(RECOLLECT_PASSPHRASE=PASSPHRASE, RECOLLECT_REPOSITORIES=json.dumps(exports))
        target = s3.url("exports/ada.colpkg")
        ran = desk.run("export", "latest", target)
        assert ran.code == 0, ran.err
        assert f"is exported to {target}" in ran.out
        assert "not encrypted" in ran.err
        assert SECRET not in ran.out + ran.err
        (found,) = (tmp_path / "s3").rglob("ada.colpkg")
        assert len(layout_and_names(found)[1]) == 20


def test_damaged_media_end_the_command_as_failed_and_the_rest_is_written(stocked: Desk) -> None:
    (stocked.base / "Ada" / "collection.media" / "late.jpg").write_bytes(NOISE)
    packs = stocked.repository / "packs"
    before = set(packs.glob("*/*"))
    assert stocked.call("backup", "Ada").code == 0
    (pack,) = [new for new in set(packs.glob("*/*")) - before if NOISE in new.read_bytes()]
    pack.write_bytes(pack.read_bytes().replace(NOISE[:200], bytes(200)))
    ran = stocked.run("export", "latest", "ada.colpkg", "--profile", "Ada")
    assert (ran.code, ran.out) == (1, "")
    assert "1 of 21 media files" in ran.err
    assert "'late.jpg'" in ran.err
    assert len(layout_and_names(stocked.home / "ada.colpkg")[1]) == 20
