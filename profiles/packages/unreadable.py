"""Why a package can't be read, said where it is found and before it is known what the package is called."""

from __future__ import annotations

from typing import Final

COPY_AGAIN: Final = "Copy or download it again from where it was made; if it is no better there, use another backup"
NOT_ANKIS: Final = "Anki makes no such packages: use another backup, and be careful with whatever sent you this one"


class Unreadable(Exception):
    """A signal that becomes a PackageUnusable as soon as the package's name is at hand; never shown to a person.

    `why` ends the sentence "The package … can't be used: ", `advice` is a sentence; both without a full stop.
    """

    def __init__(self, why: str, advice: str = COPY_AGAIN) -> None:
        super().__init__(why)
        self.why = why
        self.advice = advice
