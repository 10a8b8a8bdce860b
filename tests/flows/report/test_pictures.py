"""Pictures: whole SVG files that ask nobody for anything, and say what the snapshots say."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.days import Cover, cover_of, cover_of_all, days_picture
from flows.report.drawing import FAINT, Drawing
from flows.report.growth import bytes_by_day, bytes_line
from flows.report.pictures import profile_pictures_page, repository_pictures_page
from storage.format.manifest import Manifest
from tests.flows.report.manifests import NOW, manifest

TODAY = NOW.date()
SVG = "{http://www.w3.org/2000/svg}"
# Nothing among them makes a browser ask someone, or run something.
ELEMENTS = {"svg", "title", "g", "rect", "text", "path", "circle"}
ATTRIBUTES = {"width", "height", "viewBox", "role", "rx", "x", "y", "d", "cx", "cy", "r", "fill", "fill-opacity"} | {
    *("stroke", "stroke-width", "stroke-linejoin", "font-family", "font-size", "text-anchor")
}

moments = st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)).map(lambda ago: NOW - ago)
facts = st.fixed_dictionaries(
    {},
    optional={
        "bytes_stored": st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(), st.none(), st.floats(allow_nan=False)),
        "repository_bytes": st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(), st.booleans()),
        "suspect": st.one_of(st.none(), st.text()),
        "purpose": st.one_of(st.sampled_from(["routine", "adopted", "safety"]), st.text(), st.integers()),
        "proven": st.booleans(),
    },
)
manifests = st.builds(
    lambda at, name, held, known: manifest(at, name, held=held, **known),
    moments,
    st.text(),
    st.integers(0, 2**63 - 1),
    facts,
)


def pictures_in(markdown: str) -> list[ElementTree.Element]:
    found = re.findall(r"^!\[[\w ,]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)$", markdown, re.MULTILINE)
    return [whole(base64.b64decode(one).decode()) for one in found]


def whole(svg: str) -> ElementTree.Element:
    picture = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= ELEMENTS
    assert {name for element in picture.iter() for name in element.attrib} <= ATTRIBUTES
    assert not [value for element in picture.iter() for value in element.attrib.values() if "url" in value]
    return picture


def words(picture: ElementTree.Element) -> str:
    return " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))


@given(st.lists(manifests, min_size=1, max_size=8))
def test_whatever_the_manifests_say_the_pictures_are_whole_and_ask_nobody(several: list[Manifest]) -> None:
    for page in (profile_pictures_page(several, NOW), repository_pictures_page("ab" * 16, [several], NOW)):
        markdown = page.data
        assert len(pictures_in(markdown)) == markdown.count("data:")
        assert "http" not in markdown.replace("http\\:", "")


@given(st.text())
def test_a_title_is_shown_and_nothing_else(title: str) -> None:
    picture = whole(Drawing(100, title).as_svg())
    assert words(picture) == "".join(letter if letter.isprintable() else "?" for letter in title)


def test_a_day_is_as_good_as_its_best_snapshot() -> None:
    day = timedelta(days=1)
    covered = cover_of(
        [
            manifest(NOW, suspect="Much is gone"),
            manifest(NOW - timedelta(hours=1)),
            manifest(NOW - day, suspect="Much is gone"),
            manifest(NOW - day, purpose="adopted", proven=True),
            manifest(NOW - 2 * day, suspect="Much is gone"),
        ]
    )
    assert covered == {TODAY: Cover.GOOD, TODAY - day: Cover.ADOPTED, TODAY - 2 * day: Cover.SUSPECT}


def test_a_day_belongs_to_the_calendar_on_the_wall_beside_the_computer() -> None:
    late = datetime.fromisoformat("2026-11-22T23:30:00-08:00")
    assert set(cover_of([manifest(late)])) == {date(2026, 11, 22)}


def test_a_repository_covers_a_day_only_for_those_who_were_there() -> None:
    day = timedelta(days=1)
    early = {TODAY - 2 * day: Cover.GOOD, TODAY - day: Cover.GOOD, TODAY: Cover.GOOD}
    late = {TODAY - day: Cover.SUSPECT, TODAY: Cover.GOOD}
    assert cover_of_all([early, late]) == {
        TODAY - 2 * day: Cover.GOOD,
        TODAY - day: Cover.SOME,
        TODAY: Cover.GOOD,
    }


def test_the_year_shows_a_box_for_each_day_since_the_first_snapshot() -> None:
    picture = whole(days_picture("Days", {TODAY: Cover.GOOD, TODAY - timedelta(days=9): Cover.SUSPECT}, TODAY).as_svg())
    paths = [(path.get("fill"), path.get("d", "").count("M")) for path in picture.iter(f"{SVG}path")]
    # The legend's boxes come after those of the days.
    assert paths[:3] == [(FAINT, 8), (Cover.GOOD.value[0], 1), (Cover.SUSPECT.value[0], 1)]


def test_a_legend_fits_into_its_picture() -> None:
    covers = {TODAY - timedelta(days=number): cover for number, cover in enumerate(Cover)}
    picture = whole(days_picture("Days", covers, TODAY).as_svg())
    last = list(picture.iter(f"{SVG}text"))[-1]
    assert float(last.get("x", "0")) + 7 * len(last.text or "") <= 720


@pytest.mark.parametrize("amount", [0, 1, 999, 1024, 10**6, 5 * 10**9, 2**63 - 1])
def test_a_line_stays_within_its_picture(amount: int) -> None:
    points = [(NOW - timedelta(days=number), amount // (number + 1)) for number in reversed(range(3))]
    picture = whole(bytes_line("Stored", points).as_svg())
    for path in picture.iter(f"{SVG}path"):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", "")):
            assert 0 <= float(x) <= 720
            assert 40 <= float(y) <= 170


def test_a_line_of_many_points_keeps_its_last_and_stays_small() -> None:
    points = [(NOW - timedelta(hours=number), number) for number in reversed(range(5000))]
    svg = bytes_line("Stored", points).as_svg()
    assert len(svg) < 20_000
    assert "Stored: 0 bytes" in words(whole(svg))


def test_bars_show_the_days_and_their_sum() -> None:
    drawing = bytes_by_day(
        "Stored", {TODAY: 1024, TODAY - timedelta(days=89): 1024, TODAY - timedelta(days=90): 1}, TODAY
    )
    picture = whole(drawing.as_svg())
    assert "last 90 days: 2.0 KiB" in words(picture)
    assert [path.get("d", "").count("M") for path in picture.iter(f"{SVG}path") if path.get("fill")] == [2]


def test_a_repository_says_who_is_protected_since_when_and_leaves_out_what_a_wrong_clock_dated() -> None:
    page = repository_pictures_page(
        "ab" * 16,
        [
            [manifest(NOW - timedelta(days=400)), manifest(NOW), manifest(NOW + timedelta(days=900))],
            [manifest(NOW, "Ben", suspect="Much is gone")],
        ],
        NOW,
    )
    text = page.data.replace("\\", "")
    assert "| Ada | laptop | 2 | 2025-10-19 | 2026-11-23 13:30 |" in text
    assert "| Ben | laptop | 1 | 2026-11-23 | none |" in text
