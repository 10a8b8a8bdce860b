from __future__ import annotations

from collections.abc import Callable

import pytest

from storage.checking.damage import are, counted, read_or_why
from storage.errors import Damaged, ObjectMissing, SnapshotUnknown, StoreUnreachable, UnsupportedFormat


def failing(*troubles: Exception) -> Callable[[], str]:
    """Reads that go wrong one after the other, and then well."""
    waiting = list(troubles)

    def read() -> str:
        if waiting:
            raise waiting.pop(0)
        return "well"

    return read


def test_what_seems_damaged_once_is_read_once_more() -> None:
    assert read_or_why(failing(Damaged("a", "b"))) == "well"
    twice = Damaged("c", "d")
    assert read_or_why(failing(Damaged("a", "b"), twice)) is twice


@pytest.mark.parametrize("trouble", [ObjectMissing, SnapshotUnknown])
def test_what_is_gone_is_no_damage(trouble: type[Damaged]) -> None:
    assert read_or_why(failing(trouble("a", "b"))) is None
    assert read_or_why(failing(Damaged("a", "b"), trouble("a", "b"))) is None


def test_a_newer_version_is_told_apart_from_damage() -> None:
    newer = UnsupportedFormat("a", "b")
    assert read_or_why(failing(newer)) is newer


def test_a_store_that_does_not_answer_is_for_the_caller() -> None:
    with pytest.raises(StoreUnreachable):
        read_or_why(failing(StoreUnreachable("a", "b")))


def test_numbers_go_with_their_words() -> None:
    assert [(counted(number, "pack"), are(number)) for number in (0, 1, 2)] == [
        ("0 packs", "are"),
        ("1 pack", "is"),
        ("2 packs", "are"),
    ]
