"""The one family of errors that a person may meet.

Each says what happened to what, and what to do next. The command line and the flows print that text;
a traceback in front of a person is a defect.
"""

from __future__ import annotations

from typing import ClassVar


class RecollectError(Exception):
    """Something a person should be told in one sentence, with what to do about it.

    `problem` says what happened and to what, `advice` what to do next; both are whole sentences without the
    final full stop. Neither ever holds a secret. `code` names the kind of trouble in audit rows and JSON output.
    """

    code: ClassVar[str] = "error"

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}."


class SettingsInvalid(RecollectError):
    """A setting is unknown, or has a value that can't be."""

    code = "settings"


class RepositoryUnknown(SettingsInvalid):
    """The settings hold no repository of a name that was used."""
