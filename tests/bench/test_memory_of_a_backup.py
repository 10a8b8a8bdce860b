"""A backup's memory is bounded, whatever the size of the profile and of what is in it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bench.generate import MEDIA, PROFILE
from bench.measure import run
from bench.peers.recollect_library import RecollectLibrary
from bench.place import Kind, Place, far_away
from profiles.sample import make_sample_base_folder

MOST_BYTES = 400_000_000
VIDEO_BYTES = 13 * 1024 * 1024
"""More than one part, and no even number of them."""


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile with 310 MiB of videos, and as many pictures as it takes to keep every thread busy."""
    base = tmp_path_factory.mktemp("videos") / "Anki2"
    make_sample_base_folder(base)
    (base / "Ada").rename(base / PROFILE)
    source = random.Random(1)
    for number in range(24):
        (base / PROFILE / MEDIA / f"video{number}.mp4").write_bytes(source.randbytes(VIDEO_BYTES))
    for number in range(300):
        (base / PROFILE / MEDIA / f"picture{number}.jpg").write_bytes(source.randbytes(60_000))
    return base / PROFILE


@pytest.mark.parametrize("kind", Kind)
def test_a_first_backup_of_many_videos_stays_below_400_mb(profile: Path, tmp_path: Path, kind: Kind) -> None:
    with far_away(tmp_path / "far", tmp_path, 0.0) as far:
        far_place = Place(kind, "ours", tmp_path / "home", far.bucket / "ours", far.endpoint)
        near_place = Place(kind, "ours", tmp_path / "home", tmp_path / "repository")
        library = RecollectLibrary(far_place if kind is Kind.S3 else near_place, sealed=True)
        library.place.home.mkdir()
        run(library.prepare(), tmp_path)
        commands = library.backup(profile)
        cost = run(commands, tmp_path)
        restored = tmp_path / "restored"
        run(library.restore(restored), tmp_path)
    assert cost.peak_bytes < MOST_BYTES
    assert (restored / MEDIA / "video7.mp4").read_bytes() == (profile / MEDIA / "video7.mp4").read_bytes()
    shutil.rmtree(tmp_path)
