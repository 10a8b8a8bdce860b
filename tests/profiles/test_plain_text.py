"""Fields are searched and shown as a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.plain_text import holds_words, plain_text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("plain", "plain"),
        ("a&nbsp;b &lt;c&gt; &amp;amp;", "a b <c> &amp;"),
        ("<b>Bel</b>grade", "Belgrade"),
        ("one<br>two<div>three</div><p class=x>four</p>", "one two three four"),
        ("<brazen>x</brazen>", "x"),
        ('<img src="map.png"> here', "here"),
        ("<!-- hidden -->shown", "shown"),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
        ("a\n\tb", "a b"),
        ("<b unfinished", "<b unfinished"),
    ],
)
def test_what_a_person_reads(field: str, text: str) -> None:
    assert plain_text(field) == text


@pytest.mark.parametrize("text", ["<" * 1_000_000, "<a" * 500_000, "</" * 500_000, "<br " * 300_000, "&" * 1_000_000])
def test_hostile_text_takes_no_time_by_the_square_of_its_length(text: str) -> None:
    plain_text(text)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("capital", True),
        ("CAPITAL yugoslavia", True),
        ("belgrade capital", True),
        ("capital rome", False),
        ("slav", True),
        ("", True),
        ("strong", False),
        ("ΣΊΣΥΦΟΣ", True),
        ("cafe\u0301", True),
    ],
)
def test_words_are_found_in_any_field_and_case(words: str, found: bool) -> None:
    fields = ("<strong>Capital</strong> of Yugoslavia", "Bel<i>grade</i>", "Σίσυφος café")
    assert holds_words(fields, words) is found


def test_a_word_does_not_reach_from_one_field_into_the_next() -> None:
    assert not holds_words(("ab", "cd"), "bc")


@given(st.lists(st.text(), max_size=4), st.text(st.characters(categories=("L", "N")), min_size=1))
def test_a_word_that_stands_in_a_field_is_found(fields: list[str], word: str) -> None:
    assert holds_words([*fields, f"before {word} after"], word)
    assert holds_words([f"x{word.upper()}y", *fields], word.upper())
