"""What a profile's next media sync will do to files that are gone from its media folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from profiles.media_sync_record import MEDIA_SYNC_RECORD, taken_for_deleted
from recollect.errors import RecollectError
from tasks.difference_text import some_names
from tasks.private_folder import private_folder


@dataclass(frozen=True, slots=True)
class ForeseenDeletions:
    """Media files that the next media sync deletes everywhere, and that a restore does not bring back."""

    names: tuple[str, ...] = ()
    unclear: str | None = None
    """Why it can't be told which."""

    def remarks(self) -> list[str]:
        """What will happen, and what to do if it shall not."""
        if self.unclear is not None:
            return [f"Whether the next media sync deletes media files elsewhere can't be told: {self.unclear}"]
        if not self.names:
            return []
        count, named = len(self.names), some_names([repr(name) for name in self.names])
        going = (
            f"Media files that Anki has synced, and that are neither here nor restored: {count} ({named}). The next "
            "media sync takes them for deleted, and deletes them on AnkiWeb and on all devices"
        )
        staying = (
            f"If those shall stay, close Anki and move {MEDIA_SYNC_RECORD} out of the profile's folder before it is "
            "opened again: the next media sync then fetches them from AnkiWeb; where a file differs, it takes AnkiWeb's"
        )
        return [going, staying]


NONE_FORESEEN = ForeseenDeletions()


def foresee_media_sync(folder: Path, coming: Mapping[str, int]) -> ForeseenDeletions:
    """What the next media sync of the media folder deletes, once the files that are `coming` (sizes in bytes by name)
    are there. Whatever is in the way of that costs nothing else."""
    try:
        with private_folder() as scratch:
            return ForeseenDeletions(taken_for_deleted(folder.with_name(MEDIA_SYNC_RECORD), folder, coming, scratch))
    except RecollectError as trouble:
        return ForeseenDeletions(unclear=str(trouble))
    except OSError as error:
        return ForeseenDeletions(unclear=str(error))
