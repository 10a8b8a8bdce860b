"""What the design promises of a large index; the time stands in the page on performance."""

from __future__ import annotations

from pathlib import Path

from bench.index_load import BLOBS, measure_index_load


def test_the_index_of_two_million_blobs_takes_less_than_500_mb(tmp_path: Path) -> None:
    loaded = measure_index_load(tmp_path / "scratch")
    assert loaded.blobs == BLOBS == 2_000_000
    assert loaded.seconds > 0
    assert 100_000_000 < loaded.peak_bytes < 500_000_000
