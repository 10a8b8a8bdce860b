"""From what the settings say to the secret itself: read from a file, a command or a Prefect block, or asked for.

No secret is ever told to anyone: errors name the setting, never what it holds, nor what a command printed.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recollect.errors import RecollectError
from recollect.secret_settings import SecretPlace
from storage.errors import SecretMissing
from storage.format.secret import Secret, key_file_secret, typed_secret
from tasks.step import prefect_at_hand

_LONGEST_FILE = 64 * 1024
_COMMAND_PATIENCE_S = 60
_TRUSTED_FOR_S = 600
"""So long a secret that a command or a block gave serves a process again; one that runs for days must ask anew."""

logger = logging.getLogger("recollect")


class SecretUnavailable(RecollectError):
    """The settings say where the secret of a repository is, but it can't be had from there."""

    code = "secret-unavailable"


@dataclass(slots=True)
class Person:
    """Whoever started this: asked for a passphrase, where there is a terminal, and told what they should know."""

    ask: Callable[[str], str] | None = None
    tell: Callable[[str], None] = logger.warning
    _answers: dict[str, Secret] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def passphrase_of(self, url: str) -> Callable[[], Secret] | None:
        """A way to ask for the passphrase of the repository at `url`, once; None when there is nobody to ask."""
        ask = self.ask
        if ask is None:
            return None

        def asked() -> Secret:
            with self._lock:
                if url not in self._answers:
                    answer = ask(f"Passphrase or recovery key of the repository at {url}: ")
                    if not answer:
                        raise SecretMissing(
                            f"The repository at {url} is encrypted, and no passphrase was given",
                            "Give the passphrase, or the recovery key",
                        )
                    self._answers[url] = typed_secret(answer)
                return self._answers[url]

        return asked


def secret_at(place: SecretPlace) -> Secret | None:
    """The secret that the settings name, None when they name none. Raises SecretUnavailable and SecretRefused."""
    if place.passphrase is not None:
        return typed_secret(place.passphrase)
    if place.passphrase_file is not None:
        return passphrase_in_file(place.passphrase_file)
    if place.key_file is not None:
        return key_in_file(place.key_file)
    if not place.is_set:
        return None
    with _given_lock:
        found = _given.get(place)
        if found is None or time.monotonic() - found[1] > _TRUSTED_FOR_S:
            found = (
                typed_secret(_printed(place.passphrase_command) or _in_block(place.passphrase_block)),
                time.monotonic(),
            )
            _given[place] = found
    return found[0]


def passphrase_in_file(file: Path) -> Secret:
    """The passphrase that is the content of `file`, but for a line break at its end."""
    return typed_secret(_as_text(_content(file, "passphrase"), f"the passphrase file {file}"))


def key_in_file(file: Path) -> Secret:
    """The key in the key file `file`."""
    return key_file_secret(str(file), _content(file, "key"))


def _content(file: Path, what: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise SecretUnavailable(
            f"The {what} file {file} can't be read: {(error.strerror or type(error).__name__).lower()}",
            "Check its name, and that you may read it; or use another secret, such as the recovery key",
        ) from error
    if len(content) > _LONGEST_FILE:
        raise SecretUnavailable(f"The {what} file {file} is too long to be one", "Check its name")
    return content


def _as_text(content: bytes, what: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretUnavailable(f"What {what} gives is empty, or is no text", "Put the passphrase there, in UTF-8")
    return text


def _printed(command: tuple[str, ...] | None) -> str | None:
    """What the command prints."""
    if command is None:
        return None
    try:
        ended = subprocess.run(  # noqa: S603 -- the person's own command, and no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        fault = f"did not end within {_COMMAND_PATIENCE_S} s"
    except (OSError, ValueError) as error:
        fault = f"can't be run: {(getattr(error, 'strerror', None) or type(error).__name__).lower()}"
    else:
        if ended.returncode == 0:
            return _as_text(ended.stdout, "the command that passphrase_command names")
        fault = f"ended with code {ended.returncode}"
    raise SecretUnavailable(
        f"The command that passphrase_command names {fault}", "Run it by hand to see why, then correct the setting"
    )


def _in_block(name: str | None) -> str:
    assert name is not None
    found: object = None
    if prefect_at_hand():
        from tasks.passphrase_block import passphrase_in_block  # noqa: PLC0415 -- nobody else waits for Prefect

        found = passphrase_in_block(name)
    if not isinstance(found, str) or not found:
        raise SecretUnavailable(
            f"No passphrase can be had from the Prefect block {name} that passphrase_block names",
            "Make a Secret block of that name, with the passphrase as its value, on the server that PREFECT_API_URL "
            "names; and see that the server answers",
        )
    return found


_given: dict[SecretPlace, tuple[Secret, float]] = {}
_given_lock = threading.Lock()
