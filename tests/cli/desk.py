"""A person's computer for the tests of the command: a home of its own, Anki's sample profiles, a place for backups."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.flows.chains.house import copy_base, sample_base

__all__ = ["PASSPHRASE", "backed_up", "desk", "encrypted", "locked", "sample_base", "stocked"]

PASSPHRASE = "correct horse battery staple"

RECOLLECT = Path(sys.executable).with_name("recollect.exe" if os.name == "nt" else "recollect")
_BEGUN_WITHIN_S = 60.0
_INHERITED = ("PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TZ")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """A computer whose settings stand in the environment."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        return self.home / "Anki2"

    @property
    def repository(self) -> Path:
        return self.home / "repository"

    @property
    def staging(self) -> Path:
        return self.home / ".cache" / "recollect" / "staging"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def environment(self) -> dict[str, str]:
        """Everything that the command's process knows; nothing of it comes from whoever runs the tests."""
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "APPDATA": str(self.home),
            "LOCALAPPDATA": str(self.home),
            "LANG": "C.UTF-8",
            "RECOLLECT_BASE": str(self.base),
            "RECOLLECT_REPO": str(self.repository),
            "RECOLLECT_CACHE": str(self.staging.parent),
            "RECOLLECT_STATE": str(self.state),
            "DO_NOT_TRACK": "1",
            **self.settings,
        }

    def having(self, **settings: str) -> Desk:
        """The same computer with other settings; an empty one counts as unset."""
        return Desk(self.home, {**self.settings, **settings})

    def run(self, *arguments: str) -> Ran:
        """Run the real command in a process of its own, without a terminal."""
        ended = subprocess.run(
            [str(RECOLLECT), *arguments],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def call(self, *arguments: str) -> Ran:
        """Run the command in this process, which is quicker."""
        clean = {name: None for name in os.environ if name.startswith(("RECOLLECT_", "PREFECT_", "XDG_", "ANKI_"))}
        before = Path.cwd()
        os.chdir(self.home)
        try:
            ended = CliRunner(env={**clean, **self.environment}).invoke(app, list(arguments))
        finally:
            os.chdir(before)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ran(ended.exit_code, ended.stdout, ended.stderr)


def interrupted(desk: Desk, number: signal.Signals, begun: Callable[[], bool], *profiles: str) -> tuple[int, str, str]:
    """A backup that gets a signal once it has begun with something."""
    process = subprocess.Popen(
        [str(RECOLLECT), "backup", *profiles],
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + _BEGUN_WITHIN_S
    while not begun():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)  # nothing announces what another process writes to disk
    process.send_signal(number)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture
def desk(sample_base: Path, tmp_path: Path) -> Desk:
    """Ada's and Ben's computer, on which nothing was backed up yet."""
    made = Desk(tmp_path)
    copy_base(sample_base, made.base)
    return made


@pytest.fixture(scope="session")
def backed_up(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a snapshot of Ada and one of Ben."""
    made = Desk(tmp_path_factory.mktemp("backed-up"))
    copy_base(sample_base, made.base)
    assert made.call("backup").code == 0
    return made.repository


@pytest.fixture
def stocked(desk: Desk, backed_up: Path) -> Desk:
    """A new computer of Ada's and Ben's, with the repository of the old one at hand."""
    shutil.copytree(backed_up, desk.repository)
    return desk


@pytest.fixture(scope="session")
def encrypted(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a snapshot of Ada that PASSPHRASE opens, by a slot labelled *first*, and nothing else."""
    made = Desk(tmp_path_factory.mktemp("encrypted"), {"RECOLLECT_PASSPHRASE": PASSPHRASE})
    copy_base(sample_base, made.base)
    assert made.call("init", "--no-recovery-key", "--label", "first").code == 0
    assert made.call("backup", "Ada").code == 0
    return made.repository


@pytest.fixture
def locked(desk: Desk, encrypted: Path) -> Desk:
    """A new computer of Ada's and Ben's, with the encrypted repository of the old one at hand, and no secret set."""
    shutil.copytree(encrypted, desk.repository)
    return desk
