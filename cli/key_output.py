"""What the commands for keys show, and the key files that they make."""

from __future__ import annotations

import os
from pathlib import Path

from cli.output import say, show_text
from recollect.errors import RecollectError
from storage.format.key_slot import KeySlot
from storage.format.secret import Secret, new_key_file
from tasks.secret import key_in_file


class KeyFileUnwritable(RecollectError):
    """A new key file can't be written."""

    code = "key-file-unwritable"


def show_recovery_key(text: str) -> None:
    """Show a recovery key, the one time that it is shown, and say what it is for."""
    show_text(f"\nRecovery key:  {text}\n")
    say(
        "Write it down now, on paper or in a password manager, and not on this computer alone: it is not shown again. "
        "It opens the repository in the place of the passphrase, should that be lost. Whoever has it can read "
        "everything that is backed up there."
    )


def made_key_file(path: Path) -> Secret:
    """The key in the key file at `path`, which is made, for its owner's eyes only, if it isn't there."""
    if os.path.lexists(path):
        return key_in_file(path)
    secret, content = new_key_file()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileUnwritable(
            f"The key file {path} can't be made: {(error.strerror or type(error).__name__).lower()}",
            "Name a place that you may write to, such as one in your home folder",
        ) from error
    say(
        f"The key file {path} is made. Keep a copy of it elsewhere, and never beside the repository: whoever has both "
        "can read everything."
    )
    return secret


def slot_json(slot: KeySlot) -> dict[str, object]:
    """A key slot for programs."""
    return {
        "slot": slot.id,
        "kind": slot.kind.value,
        "label": slot.label,
        "created_at": slot.created_at,
        "generation": slot.generation,
    }
