"""Which place wins when a setting stands in several."""

from __future__ import annotations

from pathlib import Path

from tests.cli.desk import Desk


def repository_used(desk: Desk, *arguments: str) -> str:
    """The repository that `snapshots` looked for, of three that are not there."""
    ran = desk.call("snapshots", *arguments)
    assert ran.code == 1
    (name,) = (name for name in ("on-the-line", "in-the-environment", "in-the-file", "share") if name in ran.err)
    return name


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "recollect.toml").write_text('repo = "./in-the-file"\n')
    desk = Desk(tmp_path, {"RECOLLECT_REPO": str(tmp_path / "in-the-environment")})
    assert repository_used(desk, "--repo", "./on-the-line") == "on-the-line"
    assert repository_used(desk) == "in-the-environment"
    assert repository_used(desk.having(RECOLLECT_REPO="")) == "in-the-file"


def test_a_repository_can_go_by_a_name_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[repositories.nas]\nurl = "./in-the-file"\n')
    assert repository_used(Desk(tmp_path), "--repo", "nas", "--config", "other.toml") == "in-the-file"


def test_a_wrong_file_is_told_with_its_name_and_code_2(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "recollect.toml").write_text("colour = 1\n")
    ran = desk.call("profiles")
    assert (ran.code, ran.out) == (2, "")
    assert "recollect.toml" in ran.err
    assert "colour" in ran.err
    ran = desk.call("profiles", "--config", "missing.toml")
    assert ran.code == 2
    assert "missing.toml" in ran.err


def test_an_unreachable_repository_is_told_without_the_password_in_its_address(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"RECOLLECT_REPO": "sftp://ada:hunter2@127.0.0.1:1/x"})
    ran = desk.call("snapshots", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "ada@127.0.0.1:1/x" in ran.err
    assert "hunter2" not in ran.err
