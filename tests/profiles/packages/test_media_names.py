from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.errors import BackendError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from profiles.packages.media_names import refusal, refusal_by_anki, shown
from tests.profiles.packages.made import imported, latest


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("names") / "collection.anki2"
    Collection(str(path)).close()
    return path.read_bytes()


def taken_by_anki(collection: bytes, name: str) -> bool:
    """Whether Anki imports a package with a media file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            imported(latest(collection, (name, b"content")), Path(folder) / "there")
        except BackendError:
            return False
        return (Path(folder) / "there" / "collection.media" / name).read_bytes() == b"content"


@settings(deadline=None)
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        st.text('ab.con COMlpt1 \xa0e\u0301é[]<>:"/?*^\\|\x00\x7f\n', min_size=1, max_size=8),
        st.builds(
            lambda device, rest: device + rest,
            st.sampled_from(["con", "PRN", "aux", "Nul", "com1", "LPT9", "com0", "conx", "xcon"]),
            st.sampled_from(["", ".", ".jpg", " .jpg", "_.jpg", "\n"]),
        ),
        st.builds(lambda character, times: character * times, st.sampled_from("aü日🟦"), st.integers(20, 130)),
    )
)
@example("🥰.png")
@example("\u0378.png")
@example("\U0001fae0.png")
@example("e\u0301.png")
@example("Å.png")
@example("\u212b.png")
@example("a" * 120)
@example("a" * 121)
@example("COM¹.txt")
@example("a\x85b")
def test_a_name_is_refused_if_and_only_if_anki_would_not_import_it(collection: bytes, name: str) -> None:
    assert (refusal_by_anki(name) is None) is taken_by_anki(collection, name)


@pytest.mark.parametrize(
    "name",
    [
        "e\u0301.png",
        "a\xa0b.png",
        "con.txt",
        "trailing.",
        "trailing ",
        ".hidden",
        "a:b?.png",
        "new\nline",
        "x" * 255,
        "🟦" * 127,
        "Thumbs.db",
        "…",
        "..name",
        "C:name",
    ],
)
def test_whatever_a_folder_can_hold_is_kept(name: str) -> None:
    assert refusal(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "names no file"),
        (".", "names no file"),
        ("..", "names no file"),
        ("../evil", "another folder"),
        ("/etc/passwd", "another folder"),
        ("a/b", "another folder"),
        ("a/", "another folder"),
        ("..\\evil", "another folder"),
        ("C:\\evil", "another folder"),
        ("a\x00b", "zero byte"),
        ("x" * 256, "too long"),
        ("🟦" * 128, "too long"),
        ("\ud800", "not valid text"),
        ("\udcff.png", "not valid text"),
        (b"\xff", "not valid text"),
    ],
)
def test_a_name_that_no_file_can_have_or_that_leads_elsewhere_is_refused(name: str | bytes, why: str) -> None:
    assert why in str(refusal(name))
    if isinstance(name, str):
        assert why in str(refusal_by_anki(name))


@given(st.one_of(st.text(), st.binary()))
def test_what_is_shown_of_a_name_is_one_short_printable_line(name: str | bytes) -> None:
    line = shown(name)
    assert line.isprintable()
    assert len(line) < 1_000
    assert len(shown(name * 1_000)) < 1_000


def test_unassigned_characters_are_those_of_anki_and_not_of_python(collection: bytes) -> None:
    """A sample of each kind; the table was made by asking Anki about every code point."""
    newer = "\u0560\u0c77\u1c90\U0001f970\U0001fae0\U00011fc0"
    assert all(unicodedata.category(character) != "Cn" for character in newer)
    for character in newer + "\u0378\u0530\U0001f53f\U0001f985\u20bf\ue000\U0010fffd\ufdd0\U0001f6f8":
        assert (refusal_by_anki(f"a{character}b") is None) is taken_by_anki(collection, f"a{character}b")
