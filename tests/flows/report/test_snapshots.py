"""The table of a profile's snapshots."""

from __future__ import annotations

import json
from datetime import timedelta

from flows.report.snapshots import MOST_ROWS, snapshots_page
from tests.flows.report.manifests import NOW, manifest


def test_the_newest_snapshot_stands_first_and_each_says_what_is_odd_about_it() -> None:
    page = snapshots_page(
        [
            manifest(NOW - timedelta(days=2), purpose="adopted", notes=1, bytes_stored=2048),
            manifest(NOW - timedelta(days=1), notes=1200, cards=1300, reviews=5, media_files=7, media_bytes=10),
            manifest(NOW, suspect="Much is gone", notes=3, media_left_out=2),
        ]
    )

    newest, before, oldest = json.loads(page.data)
    assert (newest["Marks"], before["Marks"], oldest["Marks"]) == ("suspect, media left out", "", "adopted")
    assert [before[name] for name in ("Notes", "Cards", "Reviews")] == ["1 200", "1 300", "5"]
    assert before["Media"].replace("\\", "") == "7 (10 bytes)"
    assert oldest["Added"] == "2\\.0 KiB"
    assert newest["Taken"].replace("\\", "") == "2026-11-23 13:30"


def test_a_manifest_that_lies_about_its_figures_is_shown_without_them() -> None:
    (row,) = json.loads(snapshots_page([manifest(notes="<img src=x>", bytes_stored=-5, cards=True)]).data)
    assert (row["Notes"], row["Added"], row["Cards"]) == ("", "", "")


def test_a_long_history_is_shown_as_far_as_anyone_reads_and_says_so() -> None:
    page = snapshots_page([manifest(NOW - timedelta(hours=number)) for number in range(MOST_ROWS + 30)])
    assert len(json.loads(page.data)) == MOST_ROWS
    assert "200 of 230" in page.description
