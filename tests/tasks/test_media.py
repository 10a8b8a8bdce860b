"""When a remembered media file need not be read again, and what reading one tells."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from profiles.media import MediaFile, list_media
from storage.file_memory import RememberedFile
from storage.format.sealing import OpenSeal
from storage.intake import Sink
from tasks.media import reliable
from tasks.media_reading import MediaReader, version_of

NOW = 1_800_000_000_123_456_789
A_MINUTE = 60_000_000_000
A_TICK = 50_000_000


def listed(age_ns: int = A_MINUTE) -> MediaFile:
    return MediaFile("red.png", 3, NOW - age_ns, NOW - age_ns, 77)


def remembered(file: MediaFile, at_ns: int = NOW) -> dict[bytes, RememberedFile]:
    found = RememberedFile(file.size, file.mtime_ns, file.ctime_ns, file.inode, at_ns, b"p" * 32)
    return {os.fsencode(file.name): found}


def test_a_file_that_is_as_it_was_is_not_read_again() -> None:
    file = listed()
    assert reliable((file,), remembered(file)) == remembered(file)


@pytest.mark.parametrize("change", [{"size": 4}, {"mtime_ns": 1}, {"ctime_ns": 1}, {"inode": 78}, {"name": "Red.png"}])
def test_a_file_that_looks_different_is_read_again(change: dict[str, int]) -> None:
    file = listed()
    assert reliable((file._replace(**change),), remembered(file)) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("age_ns", [0, 1, A_TICK - 1, -A_MINUTE])
def test_a_file_that_was_too_young_when_it_was_read_is_read_again_though_it_looks_the_same(age_ns: int) -> None:
    file = listed(age_ns)
    assert reliable((file,), remembered(file)) == {}


def test_a_young_file_is_relied_on_once_it_was_read_at_a_safe_distance() -> None:
    file = listed(0)
    later = remembered(file, NOW + A_TICK)
    assert reliable((file,), later) == later


@pytest.mark.skipif(sys.platform == "win32", reason="links, which Windows does not have for everyone")
def test_a_file_that_is_gone_is_left_out_and_one_that_was_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(b"red")
    (file,) = list_media(tmp_path).files
    reader = MediaReader(tmp_path)
    sink = Sink(OpenSeal(b"\0" * 16))
    assert reader(version_of(file), sink) == version_of(file)
    assert (sink.size, len(sink.pieces)) == (3, 1)

    (tmp_path / "red.png").unlink()
    assert reader(version_of(file), Sink(OpenSeal(b"\0" * 16))) is None
    (tmp_path / "secret").write_bytes(b"sec")
    (tmp_path / "red.png").symlink_to(tmp_path / "secret")
    assert reader(version_of(file), Sink(OpenSeal(b"\0" * 16))) is None
    assert reader.unsettled == set()
