"""Time is given to the function of ours that spent it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.measure import Command, CommandFailedError, run
from bench.where import LOADING, Watcher, read_whereabouts
from profiles.sample import make_sample_base_folder
from storage.format.compression import compress

PROJECT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a single thread computed")
def test_what_native_code_computes_counts_for_the_function_that_called_it() -> None:
    watcher = Watcher()
    watcher.start()
    for number in range(40):
        compress(bytes([number]) + b"some text that shrinks " * 200_000)
    seen = watcher.stop("compress")
    most = max(seen.spent, key=lambda spent: spent.computed)
    # It looks at samples first, in a function of their own, and which of the two was seen more often is chance.
    assert most.function in {f"storage/format/compression.py: {name}" for name in ("compress", "_shrinks")}
    assert 0 < most.computed <= seen.computed


def test_an_action_is_watched_from_its_start_in_a_process_of_its_own(tmp_path: Path) -> None:
    make_sample_base_folder(tmp_path / "Anki2")
    (tmp_path / "recollect.toml").touch()
    seen = tmp_path / "seen.json"
    environment = {
        "RECOLLECT_BASE": str(tmp_path / "Anki2"),
        "RECOLLECT_REPO": str(tmp_path / "repository"),
        "RECOLLECT_CACHE": str(tmp_path / "cache"),
        "RECOLLECT_STATE": str(tmp_path / "state"),
        "RECOLLECT_CONFIG": str(tmp_path / "recollect.toml"),
    }
    command = [sys.executable, "-m", "bench.where", str(seen), "backup"]
    run([Command([*command, "Ada"], environment, PROJECT)], tmp_path)
    whereabouts = read_whereabouts(seen, "first backup")
    assert whereabouts.action == "first backup"
    assert json.loads(seen.read_text())["action"] == "backup"
    assert LOADING in {spent.function for spent in whereabouts.spent}
    with pytest.raises(CommandFailedError, match="ended with 1"):
        run([Command([*command, "Nobody"], environment, PROJECT)], tmp_path)
