"""A real Anki that never rests, for the tests that copy its collection: run as a process of its own.

It prints `ready` once the collection is open and `done <rounds>` at the end, and works until its standard input is
closed or says `stop`. What it promises: whenever a transaction ends, the notes tagged `twin`, on distant pages of the
collection, all carry the same round in their first field, and that round never goes back.
"""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

from anki.collection import Collection
from anki.decks import DeckId
from anki.notes import Note

DECK = DeckId(1)
TWINS = 6


def new_note(collection: Collection, front: str, back: str, tag: str) -> Note:
    note_type = collection.models.by_name("Basic")
    assert note_type is not None
    note = collection.new_note(note_type)
    note["Front"], note["Back"], note.tags = front, back, [tag]
    return note


def main(path: Path, seed: int, filler: int) -> None:
    luck = random.Random(seed)
    collection = Collection(str(path))
    twins = [new_note(collection, "0", "x" * filler, "twin") for _ in range(TWINS)]
    for note in twins:
        collection.add_note(note, DECK)
        for number in range(40):  # puts pages between the twins, so that no two of them share one
            collection.add_note(new_note(collection, f"{note.id} {number}", "y" * 300, "between"), DECK)
    backups = path.parent / "backups"
    backups.mkdir()
    stopped = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    print("ready", flush=True)

    rounds = 0
    while not stopped.is_set():
        rounds += 1
        for note in twins:
            note["Front"] = str(rounds)
            note["Back"] = luck.choice("abc") * luck.randrange(1, filler)
        collection.update_notes(twins)
        what = luck.randrange(12)
        if what == 0:
            for number in range(luck.randrange(1, 8)):
                collection.add_note(new_note(collection, f"batch {rounds} {number}", "z" * filler, "batch"), DECK)
        elif what == 1:
            collection.remove_notes(collection.find_notes("tag:batch")[: luck.randrange(1, 9)])
        elif what == 2:
            collection.add_note(new_note(collection, f"undone {rounds}", "u" * filler, "undone"), DECK)
            collection.undo()
        elif what == 3:
            collection.tags.bulk_add([note.id for note in twins[: rounds % TWINS]], f"round{rounds % 50}")
            for note in twins:
                note.load()
        elif what == 4:
            card = collection.sched.getCard()
            if card is not None:
                card.start_timer()
                collection.sched.answerCard(card, 4)
        if rounds % 97 == 0:
            collection.create_backup(backup_folder=str(backups), force=True, wait_for_completion=True)
    collection.close()
    print(f"done {rounds}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
