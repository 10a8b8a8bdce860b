from __future__ import annotations

import random
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from anki.collection import AddNoteRequest, Collection

from profiles.errors import (
    AnkiRefused,
    CollectionDamaged,
    NotesMissing,
    ProfileError,
    SourceUnreadable,
    TargetUnusable,
)
from profiles.recovery.apkg import CutPackage, cut_apkg
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    add,
    change,
    import_package,
    in_schema_11,
    in_schema_14,
    make_collection,
    media_names_in,
    note_ids,
    opened,
    rows,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apkg") / "collection.anki2"
    make_collection(path)
    return path


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(original, tmp_path / "copy.anki2"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


class Pictures:
    """The media of a snapshot: what is there, and what was asked for and read."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.asked: list[str] = []
        self.read: list[str] = []

    def __call__(self, name: str) -> Iterable[bytes] | None:
        self.asked.append(name)
        return self._parts(name) if name in self.contents else None

    def _parts(self, name: str) -> Iterator[bytes]:
        self.read.append(name)
        content = self.contents[name]
        yield content[:3]
        yield content[3:]


def no_media(name: str) -> None:
    return None


def brought_in(package: Path, folder: Path) -> Path:
    """Import the package into an empty collection, and return that."""
    path = folder / "other" / "collection.anki2"
    path.parent.mkdir()
    with opened(path) as collection:
        import_package(collection, package)
    return path


def test_the_notes_come_out_with_their_cards_reviews_and_options_and_no_others(
    copy: Path, scratch: Path, tmp_path: Path
) -> None:
    wanted = note_ids(copy, f"deck:{SPANISH}")
    before, beside = copy.read_bytes(), set(tmp_path.iterdir())
    package = tmp_path / "notes.apkg"

    cut = cut_apkg(copy, no_media, wanted, package, scratch)

    assert cut == CutPackage(package, 12, 24, (), (), (), ())
    assert copy.read_bytes() == before
    assert set(tmp_path.iterdir()) == {*beside, package}
    assert list(scratch.iterdir()) == []
    other = brought_in(package, tmp_path)
    assert note_ids(other) == wanted
    # Into a collection that begins on another day Anki moves the days on which cards are due.
    assert _without_due(rows(other, wanted)) == _without_due(rows(copy, wanted))
    with opened(other) as collection:
        assert {deck.name for deck in collection.decks.all_names_and_ids()} >= {SPANISH, "Languages"}
        assert SCIENCE not in {deck.name for deck in collection.decks.all_names_and_ids()}


def _without_due(found: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    return found | {"cards": [(*card[:6], *card[7:]) for card in found["cards"]]}


@pytest.mark.parametrize("older", [in_schema_11, in_schema_14])
def test_a_copy_of_an_old_schema_gives_the_same_package(
    original: Path, scratch: Path, tmp_path: Path, older: Callable[[Path, Path], Path]
) -> None:
    old = older(original, tmp_path / "old.anki2")
    before = old.read_bytes()
    wanted = note_ids(original, f"deck:{SPANISH} or deck:{SCIENCE}")
    cut = cut_apkg(old, no_media, wanted, tmp_path / "notes.apkg", scratch)
    assert (cut.notes, cut.left_out) == (16, ())
    assert old.read_bytes() == before
    other = brought_in(tmp_path / "notes.apkg", tmp_path)
    assert rows(other, wanted)["notes"] == rows(original, wanted)["notes"]
    assert len(rows(other, wanted)["reviews"]) == 7


@pytest.fixture
def illustrated(tmp_path: Path) -> Path:
    """Notes that refer to media in every way there is, and others that refer to others."""
    path = tmp_path / "illustrated.anki2"
    with opened(path) as collection:
        note_type = collection.models.by_name("Basic")
        assert note_type is not None
        note_type["css"] += '@import "_style.css"; .card { background: url("_paper.png") }'
        note_type["tmpls"][0]["qfmt"] += '<script src="_code.js"></script><img src="logo.png">'
        note_type["latexsvg"] = True
        collection.models.update_dict(note_type)
        pieces = (
            '<img src="dog &amp; cat.jpg"><img src=bare.png><img alt="x" src=\'single quoted.png\'>',
            "[sound:gato é 日本.mp3] [sound:a&lt;b.ogg]",
            '<audio src="voice.wav"></audio><video src="film.mp4"></video><object data="drawing.svg"></object>',
            '<img src="https://example.com/remote.png"><img src="data:image/png;base64,aGVsbG8=">',
            "[latex]E=mc^2[/latex] and [$]x[/$]",
            '<img src="100%.png"><img src="a%20b.png"><img src="plus+#hash;.png">',
        )
        for piece in pieces:
            add(collection, "Basic", "Pictures", (f"see {piece}", "back"))
        add(collection, "Cloze", "Others", ('{{c1::x}} <img src="other.jpg"> [sound:other.mp3]', ""))
    shutil.rmtree(path.with_suffix(".media"))
    return path


REFERRED = {
    "dog & cat.jpg",
    "bare.png",
    "single quoted.png",
    "gato é 日本.mp3",
    "voice.wav",
    "film.mp4",
    "drawing.svg",
    "100%.png",
    "a%20b.png",
    "plus+#hash;.png",
    "_style.css",
    "_paper.png",
    "_code.js",
}


def test_only_the_media_that_the_notes_refer_to_are_fetched_and_packed(
    illustrated: Path, scratch: Path, tmp_path: Path
) -> None:
    unwanted = {"other.jpg": b"x", "other.mp3": b"x", "logo.png": b"x", "unused.png": b"x", "remote.png": b"x"}
    media = Pictures({name: f"content of {name}".encode() for name in REFERRED} | unwanted)

    cut = cut_apkg(illustrated, media, note_ids(illustrated, "deck:Pictures"), tmp_path / "notes.apkg", scratch)

    assert set(cut.media) == REFERRED
    assert set(media.read) == REFERRED
    assert unwanted.keys().isdisjoint(media.asked)
    assert set(media_names_in(tmp_path / "notes.apkg")) == REFERRED
    folder = brought_in(tmp_path / "notes.apkg", tmp_path).with_name("collection.media")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: media.contents[name] for name in REFERRED
    }


def test_pictures_of_latex_are_packed_where_they_are_there_and_not_missed_where_they_are_not(
    illustrated: Path, scratch: Path, tmp_path: Path
) -> None:
    notes = note_ids(illustrated, "deck:Pictures latex")
    asking = Pictures({})
    cut = cut_apkg(illustrated, asking, notes, tmp_path / "none.apkg", scratch)
    pictures = {name for name in asking.asked if name.startswith("latex-")}
    assert len(pictures) == 2
    assert all(name.endswith(".svg") for name in pictures)
    assert pictures.isdisjoint(cut.missing_media)

    media = Pictures(dict.fromkeys(pictures, b"<svg/>"))
    assert set(cut_apkg(illustrated, media, notes, tmp_path / "both.apkg", scratch).media) == pictures


def test_media_that_can_not_be_had_are_told(illustrated: Path, scratch: Path, tmp_path: Path) -> None:
    there = {"bare.png": b"x", "_code.js": b"y", "film.mp4": b""}
    notes = note_ids(illustrated, "deck:Pictures")
    cut = cut_apkg(illustrated, Pictures(there), notes, tmp_path / "notes.apkg", scratch)
    assert set(cut.media) == set(there)
    # Anki itself never writes "<" into a name, but a note may hold one.
    assert set(cut.missing_media) == REFERRED - there.keys() | {"a<b.ogg"}
    assert cut.unpackable_media == ()


def test_names_that_a_package_can_not_carry_cost_no_other_file(copy: Path, scratch: Path, tmp_path: Path) -> None:
    odd = (
        "a:b.png",
        "what?.png",
        "con.png",
        "ends with dot.",
        "no\xa0break.png",
        "x" * 130 + ".png",
        "y" * 300 + ".png",
        "back\\slash.png",
        "caret^.png",
    )
    fine = ("Großer Hund.PNG", "🎴.png", "ファイル.jpg", ".hidden.png", "-dash.png", "a'b.png", "Thumbs.db")
    with opened(copy) as collection:
        notes = [
            add(collection, "Basic", "Odd", (f"{number} [sound:{name}]", "")) for number, name in enumerate(odd + fine)
        ]
    media = Pictures({name: f"content of {name}".encode() for name in odd + fine})

    cut = cut_apkg(copy, media, notes, tmp_path / "notes.apkg", scratch)

    assert set(cut.unpackable_media) == set(odd)
    assert set(cut.media) == set(fine)
    assert set(media.read) == set(fine)
    assert set(media_names_in(tmp_path / "notes.apkg")) == set(fine)


@pytest.mark.parametrize("name", ["../../outside.png", "/etc/passwd", "..", ".", "sub/folder.png", "a/../b"])
def test_names_that_lead_elsewhere_are_never_asked_for(copy: Path, scratch: Path, tmp_path: Path, name: str) -> None:
    with opened(copy) as collection:
        note = add(collection, "Basic", "Odd", (f'<img src="{name}"> [sound:{name}] <img src="fine.png">', ""))
    media = Pictures({name: b"evil", "fine.png": b"fine"})
    cut = cut_apkg(copy, media, [note], tmp_path / "notes.apkg", scratch)
    assert media.asked == ["fine.png"]
    assert (cut.media, cut.missing_media, cut.unpackable_media) == (("fine.png",), (), ())


def test_a_name_that_the_field_spells_otherwise_than_the_disk_is_told_as_missing(
    copy: Path, scratch: Path, tmp_path: Path
) -> None:
    """Anki's own export would not find it either."""
    decomposed = unicodedata.normalize("NFD", "é.png")
    with opened(copy) as collection:
        note = add(collection, "Basic", "Odd", ("[sound:é.png]", ""))
    cut = cut_apkg(copy, Pictures({decomposed: b"x"}), [note], tmp_path / "notes.apkg", scratch)
    assert (cut.media, cut.missing_media) == ((), ("é.png",))


def test_notes_that_are_not_there_are_left_out_and_told(copy: Path, scratch: Path, tmp_path: Path) -> None:
    first, second, *_ = note_ids(copy)
    absent = (5, -1, 2**63, -(2**80))
    cut = cut_apkg(copy, no_media, [second, *absent, first, second, 5], tmp_path / "notes.apkg", scratch)
    assert (cut.notes, cut.left_out) == (2, absent)
    assert note_ids(brought_in(tmp_path / "notes.apkg", tmp_path)) == [first, second]


def test_a_note_without_its_note_type_costs_no_other_note(copy: Path, scratch: Path, tmp_path: Path) -> None:
    first, second, *_ = note_ids(copy)
    change(copy, "update notes set mid = 4711 where id = ?", first)
    cut = cut_apkg(copy, no_media, [first, second], tmp_path / "notes.apkg", scratch)
    assert (cut.notes, cut.left_out) == (1, (first,))
    assert note_ids(brought_in(tmp_path / "notes.apkg", tmp_path)) == [second]


def test_a_note_from_the_future_costs_no_other_note(copy: Path, scratch: Path, tmp_path: Path) -> None:
    """The clock of a device was wrong once: Anki refuses to pack anything with such an id."""
    (first, *_), (second, *_), (third, *_) = (
        note_ids(copy, f"note:{name}") for name in ("Cloze", "Vocabulary", "Basic")
    )
    (reviewed,) = note_ids(copy, "deck:Science H0")
    future = 99_999_999_999_999
    change(copy, "update cards set nid = ? where nid = ?", future, first)
    change(copy, "update notes set id = ? where id = ?", future, first)
    change(copy, "update cards set id = ? where nid = ? and ord = 0", future, second)
    change(copy, "update revlog set id = ? where cid in (select id from cards where nid = ?)", future, reviewed)
    chosen = [future, second, third, reviewed, *note_ids(copy, "H3")]
    cut = cut_apkg(copy, no_media, chosen, tmp_path / "notes.apkg", scratch)
    assert set(cut.left_out) == {future, second, reviewed}
    assert cut.notes == len(set(chosen)) - 3


@pytest.mark.parametrize("notes", [[], [1], [2**70, -1]])
def test_no_notes_at_all_are_told_in_one_sentence(copy: Path, scratch: Path, tmp_path: Path, notes: list[int]) -> None:
    with pytest.raises(NotesMissing) as caught:
        cut_apkg(copy, no_media, notes, tmp_path / "notes.apkg", scratch, original=Path("/home/ada/collection.anki2"))
    assert "/home/ada/collection.anki2" in caught.value.problem
    assert not (tmp_path / "notes.apkg").exists()


def _noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 3 * 4096] = random.Random(3).randbytes(2 * 4096)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(b""), CollectionDamaged),
        (lambda path: path.write_bytes(b"no database at all " * 4096), CollectionDamaged),
        (_noise, CollectionDamaged),
        (lambda path: path.unlink(), SourceUnreadable),
        (lambda path: change(path, "drop table notetypes"), AnkiRefused),
        (lambda path: change(path, "drop table decks"), ProfileError),
        (lambda path: change(path, "update col set ver = 11"), ProfileError),
        (lambda path: change(path, "update col set ver = 99"), AnkiRefused),
        (lambda path: change(path, "update notetypes set config = x'ffffff'"), ProfileError),
        (lambda path: change(path, "update decks set kind = x'ffffff'"), ProfileError),
        (lambda path: change(path, "delete from fields"), ProfileError),
        (lambda path: change(path, "delete from templates"), ProfileError),
        (lambda path: change(path, "update notes set flds = x'fffe'"), ProfileError),
    ],
    ids=range(13),
)
def test_a_hostile_copy_is_told_in_one_sentence_and_leaves_nothing(
    copy: Path, scratch: Path, tmp_path: Path, spoil: Callable[[Path], object], error: type[ProfileError]
) -> None:
    notes = [*note_ids(copy), 99999999999999999]
    spoil(copy)
    with pytest.raises(error) as caught:
        cut_apkg(copy, no_media, notes, tmp_path / "notes.apkg", scratch)
    assert str(copy) in caught.value.problem
    assert len(caught.value.problem) < 500
    assert caught.value.problem.isprintable()
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "notes.apkg").exists()


def test_a_target_that_exists_is_left_alone(copy: Path, scratch: Path, tmp_path: Path) -> None:
    target = tmp_path / "notes.apkg"
    target.write_bytes(b"mine")
    with pytest.raises(TargetUnusable, match="exists already"):
        cut_apkg(copy, no_media, note_ids(copy), target, scratch)
    assert target.read_bytes() == b"mine"


def test_a_target_that_can_not_be_written_is_told(copy: Path, scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable, match=r"notes\.apkg"):
        cut_apkg(copy, no_media, note_ids(copy), tmp_path / "nowhere" / "notes.apkg", scratch)
    with pytest.raises(TargetUnusable):
        cut_apkg(copy, no_media, note_ids(copy), tmp_path / "notes.apkg", tmp_path / "nowhere")


def test_media_that_break_off_leave_no_package(copy: Path, scratch: Path, tmp_path: Path) -> None:
    class BrokenOff(Exception):
        pass

    def broken(name: str) -> Iterator[bytes]:
        yield b"half"
        raise BrokenOff

    with opened(copy) as collection:
        note = add(collection, "Basic", "Odd", ("[sound:a.mp3]", ""))
    with pytest.raises(BrokenOff):
        cut_apkg(copy, broken, [note], tmp_path / "notes.apkg", scratch)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "notes.apkg").exists()


def test_cards_in_a_filtered_deck_come_back_to_where_they_belong(copy: Path, scratch: Path, tmp_path: Path) -> None:
    with opened(copy) as collection:
        deck = collection.sched.get_or_create_filtered_deck(deck_id=0)  # type: ignore[arg-type]
        deck.name = "Cram"
        deck.config.search_terms[0].search = f"deck:{SCIENCE}"
        del deck.config.search_terms[1:]
        collection.sched.add_or_update_filtered_deck(deck)
    wanted = note_ids(copy, "deck:Cram")
    assert len(wanted) == 4
    cut_apkg(copy, no_media, wanted, tmp_path / "notes.apkg", scratch)
    other = brought_in(tmp_path / "notes.apkg", tmp_path)
    with opened(other) as collection:
        collection.sched.empty_filtered_deck(collection.decks.id_for_name("Cram"))  # type: ignore[arg-type]
    assert note_ids(other, f"deck:{SCIENCE}") == wanted


def test_thousands_of_notes_are_packed_in_one_go(scratch: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.anki2"
    with opened(path) as collection:
        make_many(collection, 3_000)
    cut = cut_apkg(path, no_media, note_ids(path), tmp_path / "notes.apkg", scratch)
    assert (cut.notes, len(cut.missing_media)) == (3_000, 3_000)


def make_many(collection: Collection, count: int) -> None:
    deck_id = collection.decks.id("Many")
    basic = collection.models.by_name("Basic")
    assert deck_id is not None
    assert basic is not None
    requests = []
    for number in range(count):
        note = collection.new_note(basic)
        note["Front"] = f'{number} <img src="{number}.png">'
        requests.append(AddNoteRequest(note, deck_id))
    collection.add_notes(requests)
