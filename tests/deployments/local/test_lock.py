from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local.lock import held, holder
from tests.servers.prefect_server import PROJECT

HOLDING = """
import subprocess, sys
from pathlib import Path
from deployments.local.lock import held
with held(Path(sys.argv[1])) as taken:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    print(taken, flush=True)
    input()
"""


def holding(file: Path) -> subprocess.Popen[str]:
    """A process that holds the lock, and has a child; it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(file)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_names_the_process_that_holds_it_and_can_be_had_once(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "lock"
    assert holder(file) is None
    with held(file) as taken:
        assert taken
        assert holder(file) == os.getpid()
    assert holder(file) is None


def test_a_lock_of_another_process_is_refused_and_goes_with_it_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    process = holding(file)
    assert holder(file) == process.pid
    with held(file) as taken:
        assert not taken
    assert holder(file) == process.pid
    process.kill()
    process.wait()
    assert holder(file) is None
    with held(file) as taken:
        assert taken


@pytest.mark.parametrize("noted", [b"", b"no number", b"\xff" * 40])
def test_a_note_that_is_none_hides_no_holder(noted: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with held(file):
        file.write_bytes(noted)
        assert holder(file) == 0
