"""Reading a media file that may be changing under the reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from profiles.media import MediaFile, list_media
from profiles.media_reading import read_media


class Taken:
    """Takes parts; `on_part` runs before each is taken, as another program would write just then."""

    def __init__(self, on_part: Callable[[int], None] = lambda _: None) -> None:
        self.content = b""
        self.attempts = 0
        self._on_part = on_part

    def restart(self) -> None:
        self.content = b""
        self.attempts += 1

    def take(self, part: bytes) -> None:
        self._on_part(self.attempts)
        self.content += part


def listed(folder: Path) -> MediaFile:
    (file,) = list_media(folder).files
    return file


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"0123456789")
    return path


def test_a_file_that_holds_still_is_read_once(picture: Path) -> None:
    taken = Taken()
    reading = read_media(picture.parent, listed(picture.parent), taken, part_bytes=4)
    assert reading is not None
    assert reading.settled
    assert (taken.content, taken.attempts) == (b"0123456789", 1)


def test_a_file_that_grows_while_it_is_read_is_read_again_from_its_beginning(picture: Path) -> None:
    def grow(attempt: int) -> None:
        if attempt == 1:
            picture.write_bytes(b"0123456789abc")

    taken = Taken(grow)
    reading = read_media(picture.parent, listed(picture.parent), taken, part_bytes=4, pause=lambda _: None)
    assert reading is not None
    assert reading.settled
    assert reading.file.size == 13
    assert (taken.content, taken.attempts) == (b"0123456789abc", 2)


def test_a_file_that_never_holds_still_is_kept_as_it_was_read_last_and_said_to_be_so(picture: Path) -> None:
    def rewrite(attempt: int) -> None:
        picture.write_bytes(b"x" * (20 + attempt))

    pauses: list[float] = []
    taken = Taken(rewrite)
    reading = read_media(picture.parent, listed(picture.parent), taken, part_bytes=4, attempts=3, pause=pauses.append)
    assert reading is not None
    assert not reading.settled
    assert taken.attempts == 3
    assert len(pauses) == 2


def test_a_file_that_is_gone_is_left_out(picture: Path) -> None:
    expected = listed(picture.parent)
    picture.unlink()
    assert read_media(picture.parent, expected, Taken(), part_bytes=4) is None


def test_a_file_that_goes_between_two_attempts_is_left_out(picture: Path) -> None:
    taken = Taken(lambda _: picture.unlink(missing_ok=True))
    expected = listed(picture.parent)
    os.utime(picture, ns=(1, 1))
    assert read_media(picture.parent, expected, taken, part_bytes=4, pause=lambda _: picture.unlink()) is None


def test_what_takes_the_place_of_a_file_and_is_none_is_not_followed(picture: Path) -> None:
    expected = listed(picture.parent)
    secret = picture.with_name("elsewhere")
    secret.write_bytes(b"secret")
    picture.unlink()
    picture.symlink_to(secret)
    taken = Taken()
    assert read_media(picture.parent, expected, taken, part_bytes=4, pause=lambda _: None) is None
    assert taken.content == b""
