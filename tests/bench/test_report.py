"""The page takes the figures in, and loses nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.goals import GOALS, judge
from bench.index_load import IndexLoad
from bench.plot import plot
from bench.report import BEGINS, ENDS, PageUnmarkedError, write_page
from bench.results import Measurement, Results, Scenario, read_results, spread, write_results
from bench.where import Spent, Whereabouts

FACTS = {
    "date": "2026-01-02",
    "command": "make bench SIZE=tiny ROUNDS=2",
    "minutes": "3",
    "rounds": "2",
    "delay_ms": "20.0",
    "bytes": "820000000",
    "size": "tiny",
    "notes": "20000",
    "reviews": "500000",
    "media": "10000",
    "increments": "60",
    "snapshots": "200",
    "kept": "20",
    "machine": "a machine",
    "disk": "a disk",
    "system": "a system",
    **dict.fromkeys(("recollect", "restic", "borg", "rclone", "anki", "prefect", "S3 server"), "1.2.3"),
}


INDEX = IndexLoad(2_000_000, 1.25, 450_000_000)


def measured(
    peer: str,
    walls: tuple[float, ...],
    *,
    scenario: Scenario = Scenario.FIRST,
    place: str = "local",
    stored: int = 1_000,
    requests: Mapping[str, int] | None = None,
) -> list[Measurement]:
    return [
        Measurement(scenario, place, peer, number, wall, wall + 1, wall / 2, 64 << 20, stored, None, requests)
        for number, wall in enumerate(walls, start=1)
    ]


def results(*groups: list[Measurement]) -> Results:
    seen = Whereabouts("first backup", 2.0, 3.0, 0.25, (Spent("storage/a.py: b", 1.5, 0.25), Spent("tiny", 0.01, 0.0)))
    return Results(
        FACTS, tuple(one for group in groups for one in group), {"borg, S3": "It knows no S3"}, (seen,), INDEX
    )


SOME = results(
    measured("Recollect", (1.0, 3.0, 1.2)),
    measured("restic", (2.0, 2.5, 2.2)),
    measured("rclone", (4.0,)),
    measured("Recollect, sealed", (5.0,), place="s3", requests={"PUT": 7, "LIST": 2}),
    measured("restic", (5.0,), place="s3", requests={"PUT": 70}),
)


def test_the_rest_of_the_page_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n\n{BEGINS}\nold figures\n{ENDS}\n\n## Requests\n\nafter\n")
    write_page(page, SOME)
    write_page(page, SOME)
    text = page.read_text()
    assert text.startswith(f"# Before\n\n{BEGINS}\n")
    assert text.endswith(f"\n{ENDS}\n\n## Requests\n\nafter\n")
    assert "old figures" not in text
    assert text.count(BEGINS) == text.count(ENDS) == text.count("### Goals") == 1


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    for text in ("# By hand\n", f"{ENDS}\n", f"{BEGINS}\nno end\n"):
        page.write_text(text)
        with pytest.raises(PageUnmarkedError):
            write_page(page, SOME)
        assert page.read_text() == text
    assert not page.with_suffix(".svg").exists()


def test_a_new_page_is_made_with_the_plot_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_page(page, SOME)
    assert "](performance.svg)" in page.read_text()
    assert ElementTree.parse(page.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_the_page_says_medians_ranges_requests_and_what_is_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_page(page, SOME)
    text = page.read_text()
    assert "| Recollect | 1.20 (1.00-3.00) | 2.20 (2.00-4.00) | 0.60 (0.50-1.50) | 64.0 MiB | 1000 bytes |" in text
    assert "| 9: 7 PUT, 2 LIST |" in text
    assert "- borg, S3: It knows no S3." in text
    assert "| `storage/a.py: b` | 1.50 | 0.25 |" in text
    assert "| all else | 0.01 | 0.00 |" in text
    for said in ("make bench SIZE=tiny ROUNDS=2", "20 000 notes", "restic 1.2.3", "a machine; a disk", "waited 20 ms"):
        assert said in text


@pytest.mark.parametrize(
    ("seconds", "peak", "verdict"),
    [(2.0, 500_000_000, "met"), (2.1, 1, "**missed**"), (1.0, 500_000_001, "**missed**")],
)
def test_a_large_index_is_held_against_its_goals(tmp_path: Path, seconds: float, peak: int, verdict: str) -> None:
    write_page(tmp_path / "page.md", replace(SOME, index_load=IndexLoad(2_000_000, seconds, peak)))
    text = (tmp_path / "page.md").read_text()
    assert f"An index of 2 000 000 blobs, on the same disk, was loaded in {seconds:.2f} s" in text
    assert f"476.8 MiB: {verdict}." in text


def test_a_goal_is_held_against_the_fastest_peer_that_backs_up_media() -> None:
    judged = judge(
        results(
            measured("Recollect", (1.1,), scenario=Scenario.FIRST),
            measured("Recollect, on Prefect", (0.1,)),
            measured("restic", (2.0,)),
            measured("borg", (1.9,)),
            measured("Anki's own", (0.1,)),
        )
    )
    (only,) = judged
    assert (only.variant, only.best, only.peers) == ("Recollect", "borg", {"restic": 2.0, "borg": 1.9})
    assert only.share == pytest.approx(1.1 / 1.9)
    assert only.met


@pytest.mark.parametrize(("wall", "stored", "met"), [(0.9, 19, [True, True]), (1.1, 21, [False, False])])
def test_the_study_session_has_a_goal_for_time_and_one_for_bytes(wall: float, stored: int, met: list[bool]) -> None:
    found = results(
        measured("Recollect", (wall,), scenario=Scenario.STUDY, stored=stored),
        measured("borg", (2.0,), scenario=Scenario.STUDY, stored=1_000),
        measured("restic", (3.0,), scenario=Scenario.STUDY, stored=10),
    )
    assert [one.met for one in judge(found)] == met


def test_the_goals_are_those_that_were_set() -> None:
    assert [(goal.scenario.value, goal.place, goal.share, goal.of_bytes) for goal in GOALS] == [
        ("first backup", "local", 0.6, False),
        ("nothing changed", "local", 0.3, False),
        ("after a study session", "local", 0.5, False),
        ("after a study session", "local", 0.02, True),
        ("restore of all", "local", 0.7, False),
        ("first backup", "s3", 0.7, False),
    ]


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", SOME)
    assert read_results(tmp_path / "results.json") == SOME


def test_the_spread_is_median_and_range() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.least, found.most) == (2.0, 1.0, 3.0)


def test_a_longer_time_is_a_longer_bar_and_names_can_not_break_the_plot() -> None:
    found = results(measured("a <b> & c", (0.2,)), measured("restic", (2.0,)), measured("rclone", (20.0,)))
    drawn = ElementTree.fromstring(plot(found, {"local": "Here & <there>"}, {Scenario.FIRST: "first"}))
    widths = [float(bar.attrib["width"]) for bar in drawn.iter() if bar.tag.endswith("rect")]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
    texts = {text.text for text in drawn.iter() if text.tag.endswith("text")}
    assert {"a <b> & c", "Here & <there>"} <= texts
