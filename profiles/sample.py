"""A base folder to try things out on: two profiles, made with Anki's own library.

What is in them never changes from one run to the next; only Anki's ids, which are points in time, do.
"""

from __future__ import annotations

import math
import pickle
import shutil
import sqlite3
import struct
import wave
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.base_folder import COLLECTION_FILE, PREFERENCES_FILE, reason
from profiles.errors import TargetUnusable
from profiles.new_profile import profile_defaults

if TYPE_CHECKING:
    from anki.collection import Collection
    from anki.notes import NoteId

# qt/aqt/main.py, on_notes_will_be_deleted: the first lines of deleted.txt since 26.05, and before.
_DELETION_HEADER = "#guid column:1\n#notetype column:2\n#nid\tmid\tfields\n"
_OLD_DELETION_HEADER = "nid\tmid\tfields\n"

_CREATED = 1_700_000_000

_CAPITALS = (
    "Albania Tirana, Argentina Buenos_Aires, Austria Vienna, Belgium Brussels, Brazil Brasília, Bulgaria Sofia, "
    "Canada Ottawa, Chile Santiago, Croatia Zagreb, Cuba Havana, Denmark Copenhagen, Egypt Cairo, Estonia Tallinn, "
    "Finland Helsinki, France Paris, Germany Berlin, Ghana Accra, Greece Athens, Hungary Budapest, Iceland Reykjavík, "
    "India New_Delhi, Ireland Dublin, Italy Rome, Japan Tokyo, Kenya Nairobi, Latvia Riga, Lithuania Vilnius, "
    "Mexico Mexico_City, Morocco Rabat, Norway Oslo, Peru Lima, Poland Warsaw, Portugal Lisbon, Romania Bucharest, "
    "Serbia Belgrade, Slovakia Bratislava, Slovenia Ljubljana, Spain Madrid, Sweden Stockholm, Vietnam Hanoi"
)
_ELEMENTS = (
    "hydrogen H, helium He, lithium Li, beryllium Be, boron B, carbon C, nitrogen N, oxygen O, fluorine F, neon Ne, "
    "sodium Na, magnesium Mg, aluminium Al, silicon Si, phosphorus P, sulfur S, chlorine Cl, argon Ar, potassium K, "
    "calcium Ca, scandium Sc, titanium Ti, vanadium V, chromium Cr, manganese Mn, iron Fe, cobalt Co, nickel Ni, "
    "copper Cu, zinc Zn, gallium Ga, germanium Ge, arsenic As, selenium Se, bromine Br, krypton Kr, silver Ag, "
    "tin Sn, iodine I, xenon Xe, tungsten W, platinum Pt, gold Au, mercury Hg, lead Pb, radon Rn, radium Ra, uranium U"
)
_COLOURS = {
    "red": (0xD6, 0x27, 0x28),
    "orange": (0xFF, 0x7F, 0x0E),
    "yellow": (0xF2, 0xC1, 0x2E),
    "grün": (0x2C, 0xA0, 0x2C),
    "blue": (0x1F, 0x77, 0xB4),
    "violet": (0x94, 0x67, 0xBD),
    "brown": (0x8C, 0x56, 0x4B),
    "grey": (0x7F, 0x7F, 0x7F),
}
_TIMES = "\N{MULTIPLICATION SIGN}"
_TONES = ("C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B")


@dataclass(frozen=True, slots=True)
class _Note:
    deck: str
    note_type: str
    fields: tuple[str, ...]
    tags: tuple[str, ...] = ()


def make_sample_base_folder(target: Path) -> None:
    """Fill `target`, which must be empty or not yet there, with a base folder as Anki's desktop leaves it.

    "Ada" has a few hundred notes in several decks with pictures, sounds and reviews, "Ben" a few dozen and some of
    the same pictures; both have deleted notes. It ends in a few seconds.

    Raises TargetUnusable when something lies there already, or the folder can't be written; nothing stays behind then.
    """
    with _emptied_on_failure(target):
        (target / "addons21").mkdir()
        (target / "README.txt").write_text(
            "This folder stores all of your Anki data in one location,\nto make backups easy.\n", encoding="utf-8"
        )
        _make_profile(
            target / "Ada",
            [*_capitals(), *_elements(), *_multiplications(12), *_colours("Art::Colours"), *_tones(_TONES)],
            doomed=_ADAS_DELETED,
            header=_DELETION_HEADER,
            studied={"Geography": 18, "Chemistry": 12, "Music": 8},
        )
        _make_profile(
            target / "Ben",
            [*_multiplications(6), *_colours("School::Colours"), *_tones(_TONES[:4])],
            doomed=_BENS_DELETED,
            header=_OLD_DELETION_HEADER,
            studied={"School": 6},
        )
        _make_preferences(target / PREFERENCES_FILE, ("Ada", "Ben"))


@contextmanager
def _emptied_on_failure(target: Path) -> Iterator[None]:
    try:
        existed = target.exists()
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise TargetUnusable(
                f"The folder {target} is not empty", "Name a folder that is empty, or that does not exist yet"
            )
    except OSError as error:
        raise _unusable(target, error) from error
    try:
        yield
    except BaseException as error:
        from anki.errors import AnkiException  # noqa: PLC0415

        with suppress(OSError):
            _empty(target)
            if not existed:
                target.rmdir()
        if isinstance(error, OSError):
            raise _unusable(target, error) from error
        if isinstance(error, (sqlite3.Error, AnkiException)):
            raise TargetUnusable(
                f"The sample could not be made in {target}: {error}", "Check that the disk has room, or name another"
            ) from error
        raise


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child, ignore_errors=True)
        else:
            child.unlink()


def _unusable(target: Path, error: OSError) -> TargetUnusable:
    return TargetUnusable(
        f"The sample could not be made in {target}: {reason(error)}",
        "Name a folder that you may write to, on a disk with some megabytes of room",
    )


def _lacking(what: str) -> TargetUnusable:
    return TargetUnusable(
        f"The installed Anki library lacks {what}, so no sample can be made with it",
        "Install the version of Anki that Recollect names",
    )


def _make_profile(
    folder: Path, notes: Sequence[_Note], *, doomed: Sequence[_Note], header: str, studied: dict[str, int]
) -> None:
    # Anki's library takes a moment to load, and only the sample needs it here.
    from anki.collection import Collection  # noqa: PLC0415

    folder.mkdir()
    (folder / "backups").mkdir()
    collection = Collection(str(folder / COLLECTION_FILE))
    try:
        _add_tone_note_type(collection)
        for name, content in _media_for(notes):
            if collection.media.write_data(name, content) != name:
                raise _lacking(f"the file name {name}")
        _add_notes(collection, notes, folder.name)
        for deck, answers in studied.items():
            _study(collection, deck, answers)
        condemned = _add_notes(collection, doomed, f"{folder.name}-deleted")
        _log_deletions(collection, condemned, folder / "deleted.txt", header)
        collection.remove_notes(condemned)
    finally:
        collection.close()


def _add_tone_note_type(collection: Collection) -> None:
    models = collection.models
    tone = models.new("Tone")
    for field in ("Name", "Frequency", "Sound"):
        models.add_field(tone, models.new_field(field))
    template = models.new_template("Listen")
    template["qfmt"] = "{{Sound}}"
    template["afmt"] = "{{FrontSide}}<hr id=answer>{{Name}}<br>{{Frequency}}"
    models.add_template(tone, template)
    models.add(tone)


def _add_notes(collection: Collection, notes: Sequence[_Note], series: str) -> list[NoteId]:
    from anki.collection import AddNoteRequest  # noqa: PLC0415

    requests = []
    for number, wanted in enumerate(notes):
        note_type = collection.models.by_name(wanted.note_type)
        deck_id = collection.decks.id(wanted.deck)
        if note_type is None or deck_id is None:
            raise _lacking(f"the note type {wanted.note_type} or the deck {wanted.deck}")
        note = collection.new_note(note_type)
        note.fields[: len(wanted.fields)] = wanted.fields
        note.tags = list(wanted.tags)
        # Anki would draw a random one.
        note.guid = f"sample-{series}-{number:04}"
        requests.append(AddNoteRequest(note=note, deck_id=deck_id))
    collection.add_notes(requests)
    return [request.note.id for request in requests]


def _study(collection: Collection, deck: str, answers: int) -> None:
    from anki.cards import Card  # noqa: PLC0415
    from anki.scheduler.v3 import CardAnswer, Scheduler  # noqa: PLC0415

    scheduler = collection.sched
    if not isinstance(scheduler, Scheduler):
        raise _lacking("the scheduler")
    deck_id = collection.decks.id_for_name(deck)
    if deck_id is None:
        raise _lacking(f"the deck {deck}")
    collection.decks.set_current(deck_id)
    ratings = (CardAnswer.GOOD, CardAnswer.EASY, CardAnswer.GOOD, CardAnswer.AGAIN, CardAnswer.HARD)
    for number in range(answers):
        queue = scheduler.get_queued_cards()
        if not queue.cards:
            return
        card = Card(collection, backend_card=queue.cards[0].card)
        card.start_timer()
        answer = scheduler.build_answer(card=card, states=queue.cards[0].states, rating=ratings[number % len(ratings)])
        answer.milliseconds_taken = 2_000 + 137 * number
        answer.answered_at_millis = _free_moment(collection, answer.answered_at_millis)
        scheduler.answer_card(answer)


def _free_moment(collection: Collection, moment: int) -> int:
    """The first moment from `moment` (ms) on that comes after every review.

    Anki names a review by its moment. Where that is taken it moves on, perhaps into the next second, and then its
    check of the database wants to mend the card, which still says the second before.
    """
    if collection.db is None:
        raise _lacking("the database")
    return max(moment, (collection.db.scalar("SELECT max(id) FROM revlog") or 0) + 1)


def _log_deletions(collection: Collection, note_ids: Sequence[NoteId], log: Path, header: str) -> None:
    # As the desktop does it: tab-joined, nothing escaped, whatever the fields hold.
    with log.open("wb") as file:
        file.write(header.encode())
        for note_id in note_ids:
            note = collection.get_note(note_id)
            file.write("\t".join([str(note.id), str(note.mid), *note.fields]).encode() + b"\n")


def _make_preferences(prefs: Path, names: Sequence[str]) -> None:
    # qt/aqt/profiles.py, metaConf.
    program: dict[str, object] = {
        "ver": 0,
        "updates": True,
        "created": _CREATED,
        "id": 4_611_686_018_427_387_904,
        "lastMsg": -1,
        "suppressUpdate": False,
        "firstRun": False,
        "defaultLang": "en_US",
        "last_loaded_profile_name": names[0],
    }
    profile = profile_defaults(_CREATED)
    rows = [("_global", program), *((name, profile) for name in names)]
    with closing(sqlite3.connect(prefs)) as db, db:
        db.execute("create table profiles\n(name text primary key collate nocase, data blob not null)")
        db.executemany(
            "insert into profiles values (?, ?)", [(name, pickle.dumps(data, protocol=4)) for name, data in rows]
        )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(", "):
        first, second = pair.split(" ")
        yield first, second.replace("_", " ")


def _capitals() -> Iterator[_Note]:
    far = {"Argentina", "Brazil", "Canada", "Chile", "Cuba", "Egypt", "Ghana", "India", "Japan", "Kenya", "Mexico"}
    far |= {"Morocco", "Peru", "Vietnam"}
    for country, capital in _pairs(_CAPITALS):
        part = "World" if country in far else "Europe"
        yield _Note(
            f"Geography::{part}", "Basic (and reversed card)", (country, capital), ("capitals", f"geography::{part}")
        )


def _elements() -> Iterator[_Note]:
    for number, (name, symbol) in enumerate(_pairs(_ELEMENTS)):
        text = f"The symbol of {{{{c1::{name}}}}} is {{{{c2::{symbol}}}}}."
        yield _Note("Chemistry", "Cloze", (text,), ("elements", "common") if number < 20 else ("elements",))


def _multiplications(largest: int) -> Iterator[_Note]:
    deck = "School::Multiplication" if largest < 10 else "Multiplication"
    for left in range(2, largest + 1):
        for right in range(2, largest + 1):
            yield _Note(deck, "Basic", (f"{left} {_TIMES} {right}", str(left * right)), (f"times-{left}",))


def _colours(deck: str) -> Iterator[_Note]:
    for name in _COLOURS:
        yield _Note(deck, "Basic", (f'<img src="{name}.png">', name), ("colours",))


def _tones(names: Sequence[str]) -> Iterator[_Note]:
    for name in names:
        fields = (name, f"{_frequency(name):.1f} Hz", f"[sound:{_sound_file(name)}]")
        yield _Note("Music" if len(names) > 4 else "School::Music", "Tone", fields, ("music", "hearing"))


_ADAS_DELETED = (
    _Note("Geography::Europe", "Basic", ("Capital of Yugoslavia", "Belgrade"), ("capitals",)),
    _Note("Geography::World", "Basic", ('"Constantinople", since 1930', "Istanbul<br><i>renamed</i>")),
    _Note("Chemistry", "Cloze", ("{{c1::Phlogiston}} was thought to burn.\nIt does not exist.", "a\ttab and # a hash")),
    _Note("Music", "Tone", ("H", "493.9 Hz", "")),
)
_BENS_DELETED = (
    _Note("School::Multiplication", "Basic", (f"1 {_TIMES} 1", "1")),
    _Note("School::Colours", "Basic (and reversed card)", ("Türkis 🟦", "turquoise")),
)


def _media_for(notes: Sequence[_Note]) -> Iterator[tuple[str, bytes]]:
    for note in notes:
        if note.note_type == "Tone":
            yield _sound_file(note.fields[0]), _sound(_frequency(note.fields[0]))
        elif note.tags == ("colours",):
            yield f"{note.fields[1]}.png", _picture(_COLOURS[note.fields[1]])


def _sound_file(tone: str) -> str:
    # Anki would write capitals small, and the notes would then miss their sounds.
    return f"tone {tone.lower()}.wav"


def _frequency(tone: str) -> float:
    # Equal temperament; A is 440 Hz.
    return float(440.0 * 2 ** ((_TONES.index(tone) - _TONES.index("A")) / 12))


def _picture(colour: tuple[int, int, int], side: int = 96) -> bytes:
    """A PNG: a disc of that colour on white (https://www.w3.org/TR/png-3/: 8 bits, RGB, no filter)."""
    rows = bytearray()
    for y in range(side):
        rows.append(0)
        for x in range(side):
            inside = (2 * x - side + 1) ** 2 + (2 * y - side + 1) ** 2 < (side - 8) ** 2
            rows += bytes(colour) if inside else b"\xff\xff\xff"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _sound(frequency: float, seconds: float = 0.5, rate: int = 8_000) -> bytes:
    """A WAV: a sine that fades away."""
    count = int(seconds * rate)
    samples = [
        round(12_000 * (1 - moment / count) * math.sin(2 * math.pi * frequency * moment / rate))
        for moment in range(count)
    ]
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return buffer.getvalue()
