"""Many small reads at once, and no more of them than are wanted."""

from __future__ import annotations

import threading

import pytest

from storage.side_by_side import side_by_side


def test_answers_come_in_order_though_several_are_asked_for_together() -> None:
    both_are_asked = threading.Barrier(2, timeout=30)

    def ask(number: int) -> int:
        both_are_asked.wait()
        return number * number

    assert list(side_by_side(ask, range(4))) == [0, 1, 4, 9]


def test_what_one_raises_is_raised_where_its_answer_would_stand() -> None:
    def ask(number: int) -> int:
        if number == 2:
            raise LookupError
        return number

    answers = side_by_side(ask, range(4))
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(LookupError):
        next(answers)


def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    asked: list[int] = []
    answers = side_by_side(asked.append, range(10_000))
    next(answers)
    del answers
    assert len(asked) < 10_000
