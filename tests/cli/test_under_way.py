"""Two commands at once for the same profile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.desk import Desk

PROJECT = Path(__file__).parents[2]

# The command, which stops in the middle of a backup of Ada until its standard input goes on.
_HELD = """
import sys
import flows.chains.backup as chain
from cli.main import main
snapshot = chain.snapshot
def held(work, **options):
    if work.profile.name == "Ada":
        print("under way", flush=True)
        sys.stdin.readline()
    return snapshot(work, **options)
chain.snapshot = held
sys.argv = ["recollect", "backup", "Ada", "--json"]
main()
"""


@contextmanager
def backup_under_way(desk: Desk) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HELD],
        env=desk.environment | {"PYTHONPATH": str(PROJECT)},
        cwd=desk.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            yield process
        finally:
            process.kill()


def test_the_later_of_two_backups_skips_the_profile_says_why_and_backs_up_the_others(desk: Desk) -> None:
    with backup_under_way(desk) as first:
        later = desk.run("backup", "--json")
        again = desk.run("backup", "Ada")
        out, _ = first.communicate("\n")
    assert {row["profile"]: row["outcome"] for row in later.json} == {"Ada": "skipped", "Ben": "completed"}
    assert later.json[0]["reason"] == "under-way"
    assert (later.code, again.code) == (75, 75)  # sysexits.h, EX_TEMPFAIL
    for ran in (later, again):
        said = " ".join(ran.err.split())
        assert "Ada: A backup of Ada has been under way since" in said
        assert f"(process {first.pid}), and does the work of this run. There is nothing to do." in said
        assert "Traceback" not in said
    assert (first.returncode, [row["outcome"] for row in json.loads(out)]) == (0, ["completed"])
    assert desk.run("backup", "Ada").code == 0


def test_a_command_that_was_killed_stands_in_nobodys_way(desk: Desk) -> None:
    with backup_under_way(desk) as first:
        first.kill()
        first.wait()
        assert desk.run("backup", "Ada").code == 0


def test_a_restore_in_place_that_may_not_wait_any_longer_says_so_and_changes_nothing(stocked: Desk) -> None:
    before = (stocked.base / "Ada" / "collection.anki2").read_bytes()
    impatient = "import sys, tasks.under_way as u; u._PATIENCE_S = 0.0; from cli.main import main; main()"
    with backup_under_way(stocked) as first:
        ran = subprocess.run(
            [sys.executable, "-c", impatient, "restore", "Ada", "--in-place", "--yes"],
            env=stocked.environment | {"PYTHONPATH": str(PROJECT)},
            cwd=stocked.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert first.poll() is None
    assert ran.returncode == 1
    said = " ".join(ran.stderr.split())
    assert f"(process {first.pid}), and did not end within 0 minutes, so nothing was changed. Try again once" in said
    assert (stocked.base / "Ada" / "collection.anki2").read_bytes() == before
