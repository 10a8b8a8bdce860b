"""Text as it stands on cards: made-up words, a few of them very frequent, so that it shrinks as a language does."""

from __future__ import annotations

import random
from itertools import accumulate

_BEGINNINGS = (
    "",
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "v",
    "w",
)
_VOWELS = (*"aeiouä", "ei", "ou", "ie")
_ENDINGS = ("", "", "l", "n", "r", "s", "t", "ng", "ch", "nd")
_WORDS = 6_000


class Wording:
    """Draws words and sentences; the same `seed` says the same things."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        words: dict[str, None] = {}
        while len(words) < _WORDS:
            words["".join(self._syllable() for _ in range(self._random.choice((1, 2, 2, 3))))] = None
        self._words = list(words)
        # Zipf's law: the word of rank n is drawn about 1/n as often as the first.
        self._weights = list(accumulate(1 / rank for rank in range(1, _WORDS + 1)))

    def _syllable(self) -> str:
        return "".join(self._random.choice(part) for part in (_BEGINNINGS, _VOWELS, _ENDINGS))

    def words(self, count: int) -> list[str]:
        """So many words."""
        return self._random.choices(self._words, cum_weights=self._weights, k=count)

    def rare_word(self) -> str:
        """A word that a learner might look up."""
        return self._random.choice(self._words)

    def sentence(self, fewest: int = 5, most: int = 18) -> str:
        """A sentence of so many words."""
        return " ".join(self.words(self._random.randint(fewest, most))).capitalize() + "."

    def paragraph(self, sentences: int) -> str:
        """Sentences one after the other, with the odd bold word and line break that editors leave."""
        parts = [self.sentence() for _ in range(sentences)]
        if self._random.random() < 0.3:
            parts.insert(self._random.randrange(len(parts) + 1), f"<b>{self.rare_word()}</b>")
        return ("<br>" if self._random.random() < 0.2 else " ").join(parts)
