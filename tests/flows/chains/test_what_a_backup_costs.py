"""What a backup sends: bytes, counted at the store, and requests to S3. `docs/performance.md` tells the figures."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from anki.collection import AddNoteRequest, Collection
from anki.decks import DeckId

from flows.chains.backup import back_up
from flows.chains.prune import prune
from storage.format.audit_row import Outcome
from storage.keys import forget_unlocked
from tests.faults.faulty_store import FaultyStore
from tests.flows.chains.backdating import backdate
from tests.flows.chains.house import House, answer_a_card, back_up_well, opened, through_faults
from tests.servers.s3_requests import S3Requests
from tests.storage.conftest import Places, places

__all__ = ["places"]

VERBS = ("PUT", "GET", "LIST", "HEAD", "DELETE")
SENDING = ("write", "create")
COLLECTION_BYTES = 50_000_000
NOTES = 15_000
WORDS = [f"{letter}{number:x}" for letter in "abcdefghijklmnop" for number in range(16, 4096, 37)]


def sent(store: FaultyStore, act: Callable[[], object]) -> int:
    """Bytes of everything that went to the store meanwhile: packs, index, manifest, deletions, audit row."""
    before = len(store.requests)
    act()
    return sum(one.size for one in store.requests[before:] if one.verb in SENDING)


def fill(collection: Collection) -> None:
    """Many notes with a few kilobytes of text each, and cards that were reviewed before."""
    luck = random.Random(7)
    note_type = collection.models.by_name("Basic")
    assert note_type is not None
    wanted = []
    for number in range(NOTES):
        note = collection.new_note(note_type)
        note["Front"] = f"{number} {' '.join(luck.choices(WORDS, k=12))}"
        note["Back"] = " ".join(luck.choices(WORDS, k=luck.randrange(200, 1100)))
        wanted.append(AddNoteRequest(note=note, deck_id=DeckId(1)))
    collection.add_notes(wanted)


def study(collection: Collection, *, reviews: int, edits: int) -> None:
    """A session: cards answered in the order in which Anki asks, and notes changed here and there."""
    config = collection.decks.config_dict_for_deck_id(DeckId(1))
    config["new"]["perDay"] = config["rev"]["perDay"] = 9999
    collection.decks.update_config(config)
    collection.decks.set_current(DeckId(1))
    for _ in range(reviews):
        card = collection.sched.getCard()
        assert card is not None
        card.start_timer()
        collection.sched.answerCard(card, 3)
    for note_id in random.Random(3).sample(list(collection.find_notes("deck:Default")), edits):
        note = collection.get_note(note_id)
        note["Back"] += " and more"
        collection.update_note(note)


def test_a_study_session_on_a_collection_of_50_mb_sends_at_most_200_kb(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(house.collection()) as anki:
        fill(anki)
        study(anki, reviews=20, edits=0)
    assert house.collection().stat().st_size > COLLECTION_BYTES
    store = through_faults(monkeypatch)
    back_up_well()
    with opened(house.collection()) as anki:
        study(anki, reviews=100, edits=10)
    bytes_sent = sent(store, back_up_well)
    print(f"\n{bytes_sent} bytes")
    assert bytes_sent <= 200_000


def many_pictures(folder: Path, number: int) -> None:
    for one in range(number):
        (folder / f"picture-{one * 7919 % number:05}.jpg").write_bytes(one.to_bytes(8, "big") * 4)


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_one_picture_among_50_000_costs_itself_and_a_few_nodes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    many_pictures(house.media(), 50_000)
    store = through_faults(monkeypatch)
    back_up_well()
    for picture in (os.urandom(90_000), os.urandom(200_000)):
        (house.media() / f"new-{len(picture)}.jpg").write_bytes(picture)
        bytes_sent = sent(store, back_up_well)
        print(f"\n{bytes_sent - len(picture)} bytes beside its own")
        assert len(picture) <= bytes_sent <= len(picture) + 64 * 1024


def test_the_same_picture_in_two_profiles_is_stored_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = os.urandom(300_000)
    store = through_faults(monkeypatch)
    for profile, name in (("Ada", "one.jpg"), ("Ben", "another name.jpg")):
        (house.media(profile) / name).write_bytes(picture)
    back_up_well("Ada")
    assert sent(store, lambda: back_up_well("Ben")) < 100_000


def costs_on_the_page() -> dict[str, dict[str, int]]:
    page = (Path(__file__).parents[3] / "docs" / "performance.md").read_text(encoding="utf-8")
    table = page.partition("\n## Requests\n")[2]
    costs = {}
    row = r"^\| ([\w ]+) " + len(VERBS) * r"\| (\d+) " + r"\|$"
    for kind, *numbers in re.findall(row, table, re.MULTILINE):
        costs[kind] = {verb: int(number) for verb, number in zip(VERBS, numbers, strict=True) if int(number)}
    return costs


def unchanged() -> None:
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_a_backup_of_each_kind_makes_no_more_requests_than_the_page_says(
    house: House, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = places.new("s3-rclone")
    requests = S3Requests(monkeypatch)

    def counted(act: Callable[[], object]) -> dict[str, int]:
        """As a command of its own would: it opens the repository with its passphrase."""
        forget_unlocked()
        requests.asked.clear()
        act()
        return requests.counts()

    in_s3 = {"repo": place.url, "repo_options": dict(place.options), "passphrase": "correct horse battery staple"}
    with house.set(**in_s3) as there:
        found = {"first backup": counted(back_up_well), "nothing changed": counted(unchanged)}
        os.utime(house.collection())
        found["same content"] = counted(unchanged)
        answer_a_card(house.collection())
        found["study session"] = counted(back_up_well)
        (house.media() / "new.jpg").write_bytes(os.urandom(10_000))
        found["a picture added"] = counted(back_up_well)
        with opened(house.collection()) as anki:
            anki.remove_notes(anki.find_notes("")[:1])
        found["a note deleted"] = counted(back_up_well)
        backdate(there, "Ada", days=[300, 301, 302])
    with house.set(**in_s3, daily=0, weekly=0, monthly=0):
        found["three snapshots pruned"] = counted(prune)
    assert found == costs_on_the_page()
