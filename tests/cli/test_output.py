from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import count, harmless, moment_here, outcome_text, say, say_trouble, seconds, show_json, show_text
from recollect.units import size
from storage.format.audit_row import Outcome


@given(st.text())
def test_nothing_in_a_hostile_name_reaches_the_terminal_as_a_command(text: str) -> None:
    assert all(letter.isprintable() or letter == "\n" for letter in harmless(text))


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_names_are_shown_as_they_are(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("tell", [say, say_trouble, show_text])
def test_messages_carry_no_markup_and_no_escape_codes(
    tell: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    tell("[bold]Ada[/nope] \x1b]0;title\x07")
    captured = capsys.readouterr()
    assert captured.out + captured.err == "[bold]Ada[/nope] \\x1b]0;title\\x07\n"


def test_json_holds_moments_with_their_offset_and_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"at": datetime(2026, 1, 2, tzinfo=UTC), "name": "\udc80é"})
    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-02T00:00:00+00:00", "name": "\udc80é"}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_moment_at_the_end_of_the_calendar_is_shown(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    getattr(time, "tzset", lambda: None)()
    try:
        assert "1-01-01 " in moment_here(datetime.min.replace(tzinfo=UTC))
        assert moment_here(datetime.max.replace(tzinfo=UTC)).startswith("9999-12-31 ")
    finally:
        monkeypatch.undo()
        getattr(time, "tzset", lambda: None)()


def test_every_outcome_is_a_word_before_it_is_a_colour() -> None:
    assert {outcome_text(outcome).plain for outcome in Outcome} == {"completed", "unchanged", "skipped", "failed"}
    assert len({outcome_text(outcome).style for outcome in Outcome}) == len(Outcome)


def test_numbers_have_units() -> None:
    assert [size(0), size(1023), size(1024), size(3 << 30), size(None)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "3.0 GiB", "",
    ]  # fmt: skip
    assert [seconds(0.04), seconds(None), count(1234567), count(None)] == ["0.0 s", "", "1 234 567", ""]
