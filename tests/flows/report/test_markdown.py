"""What people wrote is shown as it is: it makes no links, no pictures and no markup."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from flows.report.markdown import bullets, heading, outline, plain, table
from flows.report.page import table_page

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
"""With HTML, as the page that shows it."""

# By these the dialect of GitHub finds addresses (https://github.github.com/gfm/#autolinks-extension-).
ADDRESS = re.compile(r"(?:https?|ftp|mailto|xmpp):|www\.|[\w.+-]@[\w-]", re.IGNORECASE)

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "![a](http://host/a.png)",
    "[a](javascript:alert(1))",
    "http://host/ www.host.example me@host.example <http://host>",
    "a | b\n| c",
    "# a\n\n- b\n1. c\n> d\n```\ne\n```",
    "    code",
    "&lt;b&gt; &#33; &amp;",
    "back\\slash \\* trailing\\",
    "[a]: http://host\n[a]",
    "<!-- a --> ~~b~~ $c$ ***d*** ___",
    "\u202egpj.exe\u200b",
    "\ud800",
    "_a_\x1b[31m\x00",
)

texts = st.one_of(st.sampled_from(HOSTILE), st.text(), st.text(alphabet="`*_<>|\\[]()!#&;:/.@~-+ \n1ahtpw"))


def as_read(text: str) -> str:
    """What a reader is to see of `text`."""
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


def words_alone(tokens: list[Token]) -> str:
    """The text of inline tokens, which must be nothing but text."""
    assert {token.type for token in tokens} <= {"text", "text_special"}
    return "".join(token.content for token in tokens)


@given(texts)
@example("1. a")
def test_a_text_is_one_paragraph_of_nothing_but_its_letters(text: str) -> None:
    tokens = RENDERER.parse(plain(text))
    if not as_read(text):
        assert tokens == []
        return
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert words_alone(tokens[1].children or []) == as_read(text)
    assert not ADDRESS.search(plain(text))


@given(texts)
def test_a_heading_and_a_list_stay_what_they_are_whatever_they_tell(text: str) -> None:
    inline = [token for token in RENDERER.parse(heading(f"Backup of {text}")) if token.type == "inline"]
    assert [words_alone(token.children or []) for token in inline] == [as_read(f"Backup of {text}")]

    tokens = RENDERER.parse(bullets([f"x{text}", f"y{text}"]))
    assert [token.type for token in tokens].count("list_item_open") == 2
    found = [words_alone(token.children or []) for token in tokens if token.type == "inline"]
    assert found == [as_read(f"x{text}"), as_read(f"y{text}")]


def as_outlined(markdown: str) -> list[tuple[int, str]]:
    """The texts of an outline, each with how many lists it stands in."""
    depth, found = 0, []
    for token in RENDERER.parse(markdown):
        if token.type in {"bullet_list_open", "bullet_list_close"}:
            depth += token.nesting
        elif token.type == "inline":
            found.append((depth, words_alone(token.children or [])))
        else:
            assert token.type.startswith(("paragraph_", "list_item_")), token.type
    return found


def test_what_stands_further_in_is_a_list_below_what_stands_above_it() -> None:
    text = (
        "Restore:\n  media: 3\n    'a b.jpg'\n  none goes\nCompared:\n      too far in\n  notes:\n    gone:\n      # x"
    )
    assert as_outlined(outline(text)) == [
        (0, "Restore:"),
        (1, "media: 3"),
        (2, "'a b.jpg'"),
        (1, "none goes"),
        (0, "Compared:"),
        (1, "too far in"),
        (1, "notes:"),
        (2, "gone:"),
        (3, "# x"),
    ]


@given(st.lists(st.tuples(st.integers(0, 3), texts.filter(as_read)), min_size=1, max_size=6))
def test_no_line_of_an_outline_is_taken_for_markdown(lines: list[tuple[int, str]]) -> None:
    depths, texts = zip(*((depth, as_read(text)) for depth, text in lines), strict=True)
    found = as_outlined(outline("\n".join(f"{'  ' * depth}{text}" for depth, text in zip(depths, texts, strict=True))))
    assert [told for _, told in found] == [*texts]
    assert all(shown <= meant for (shown, _), meant in zip(found, depths, strict=True))


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_a_table_has_the_cells_that_it_was_given(rows: list[tuple[str, str]]) -> None:
    tokens = RENDERER.parse(table(("Whose", ""), rows))
    assert [token.type for token in tokens].count("tr_open") == len(rows) + 1
    cells = [words_alone(token.children or []) for token in tokens if token.type == "inline"]
    assert cells == ["Whose", "", *(as_read(text) for row in rows for text in row)]


@given(texts)
def test_nothing_is_left_that_turns_the_writing_direction_or_can_not_be_seen(text: str) -> None:
    assert {unicodedata.category(letter) for letter in plain(text)}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


def test_of_a_long_list_a_person_gets_the_beginning_and_how_much_more_there_is() -> None:
    told = bullets([f"remark {number}" for number in range(60)])
    assert "remark 49" in told
    assert "remark 50" not in told
    assert "and 10 more" in told


@pytest.mark.parametrize("rows", [[], [{"Notes": "1"}]])
def test_a_table_page_is_json_that_prefect_reads(rows: list[dict[str, str | int | None]]) -> None:
    assert table_page("snapshots-ada", "Ada", rows).data == ("[]" if not rows else '[{"Notes": "1"}]')
