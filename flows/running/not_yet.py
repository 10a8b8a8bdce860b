"""Care for a repository that is still to be made: its first backup does that, which may be due later that day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from storage.errors import NoRepositoryYet
from tasks.repositories import was_there


def unless_not_made_yet(repository: str, action: Callable[[], State[Any]]) -> State[Any]:
    """Do what is done for a repository; *Skipped* where none was ever seen, by this computer, in an empty place.

    Where one was, its disk is not there, or worse: NoRepositoryYet goes on, as a failure.
    """
    try:
        return action()
    except NoRepositoryYet as nothing:
        if was_there(repository):
            raise
        return Completed(name="Skipped", message=f"{nothing.problem}. The first backup makes it")
