"""The pages say nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
ROOMS = ("recollect", "profiles", "storage", "tasks", "flows", "cli")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(::\w*)?`", page.read_text(encoding="utf-8"))
    missing = [
        f"{file}{test}"
        for file, test in named
        if not (ROOT / file).is_file()
        or (test and f"def {test.removeprefix('::')}(" not in (ROOT / file).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_every_module_that_the_house_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:recollect|profiles|storage|tasks|flows|cli)/[\w/]+\.py)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_command_that_is_named_to_a_person_exists() -> None:
    """An advice that names a command which is not there yet helps nobody."""
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    named = {
        (command, path.name)
        for path in [*sources, *PAGES]
        for command in re.findall(r"`(?:\.venv/bin/)?recollect ([a-z][\w-]*)", path.read_text(encoding="utf-8"))
    }
    assert named
    assert {pair for pair in named if pair[0] not in COMMANDS} == set()
