"""What one command leaves behind is no burden for the next."""

from __future__ import annotations

from pathlib import Path

from bench.conditions import Conditions


def test_a_discarded_folder_gives_its_space_back_and_keeps_its_inodes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "kept").write_bytes(b"kept")
    conditions = Conditions(tmp_path / "work", free=lambda: 0)
    for _ in range(2):
        folder = tmp_path / "restored"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "big").write_bytes(b"x" * 5000)
        (folder / "linked").hardlink_to(tmp_path / "kept")
        inode = (folder / "deep" / "big").stat().st_ino
        conditions.discard(folder)
        assert not folder.exists()
        left = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
        assert inode in {path.stat().st_ino for path in left}
    assert sum(path.stat().st_size for path in left if path.name == "big") == 0
    assert (tmp_path / "kept").read_bytes() == b"kept"
    conditions.discard(tmp_path / "never was")


def test_memory_is_filled_until_little_is_free_and_never_from_what_is_cached(tmp_path: Path) -> None:
    free = iter([4 << 30] * 4 + [1 << 20] + [3 << 30] * 3 + [0])
    conditions = Conditions(tmp_path, free=lambda: next(free))
    conditions.settle()
    assert (tmp_path / "filler").stat().st_size == 4 << 30
    conditions.settle()
    # Three chunks of a MiB were read, so that the second filling begins behind them.
    assert (tmp_path / "filler").stat().st_size == (3 << 20) + (3 << 30)
    assert next(free, None) is None
    assert (tmp_path / "filler").stat().st_blocks == 0
