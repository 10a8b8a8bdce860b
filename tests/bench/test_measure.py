"""What a command costs is its own cost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure import Command, CommandFailedError, children, computed_so_far, folder_bytes, run

_MIB = 1024 * 1024


def python(code: str, **environment: str) -> Command:
    return Command([sys.executable, "-I", "-S", "-c", code], environment)


def test_memory_is_that_of_the_command_and_not_of_whoever_started_it(tmp_path: Path) -> None:
    held = bytearray(os.urandom(1)) * (300 * _MIB)
    small = run([python("pass")], tmp_path)
    large = run([python(f"bytearray(b'x') * {200 * _MIB}")], tmp_path)
    assert len(held) > 200 * _MIB > small.peak_bytes
    assert small.peak_bytes < 100 * _MIB
    assert large.peak_bytes > 200 * _MIB


def test_costs_of_several_commands_add_up_and_what_lies_between_them_is_not_measured(tmp_path: Path) -> None:
    done: list[str] = []
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    cost = run([python(busy), lambda: done.append("between"), python(busy)], tmp_path)
    assert done == ["between"]
    assert cost.cpu_s >= 0.4
    assert cost.wall_s >= cost.cpu_s / 2
    assert run([], tmp_path).wall_s == 0


def test_the_work_of_children_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    cost = run([python(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])")], tmp_path)
    assert cost.cpu_s >= 0.3


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path, code: str) -> None:
    with pytest.raises(CommandFailedError, match="the reason"):
        run([python(f"print('the reason', flush=True)\n{code}")], tmp_path)


def test_settings_of_whoever_runs_the_benchmark_do_not_reach_the_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_COMPRESSION", "max")
    code = "import os\nassert 'RESTIC_COMPRESSION' not in os.environ and os.environ['MINE'] == 'here'"
    run([python(code, MINE="here")], tmp_path)


def test_the_bytes_of_a_folder_are_those_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "one")
    assert folder_bytes(tmp_path / "a") - (tmp_path / "a" / "link").lstat().st_size == 15
    assert folder_bytes(tmp_path / "missing") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists processes as files")
def test_a_running_process_tells_what_it_and_its_children_computed() -> None:
    before = children()
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert children() - before == {process.pid}
        computed = computed_so_far(process.pid)
        process.communicate(b"\n")
    assert computed is not None
    assert computed >= 0.25
    assert computed_so_far(process.pid) is None
