from __future__ import annotations

from pathlib import Path

import pytest

from bench.fan_out import Computer, by_command, computer
from bench.postgres import PostgresMissingError, postgres
from profiles.discovery import Listed, discover
from storage.stores.address import open_store


@pytest.fixture
def two(tmp_path: Path) -> Computer:
    return computer("here", tmp_path / "here", tmp_path / "repository", 2)


def test_a_computer_has_as_many_profiles_as_asked_for_which_anki_lists(two: Computer) -> None:
    found = discover(two.base)
    assert [profile.name for profile in found.profiles] == ["here 000", "here 001"]
    assert {profile.listed for profile in found.profiles} == {Listed.LISTED}
    assert found.remarks == ()
    pictures = [(profile.media_folder / "own.jpg").read_bytes() for profile in found.profiles]
    assert pictures[0] != pictures[1]


def test_each_round_by_the_command_backs_up_what_it_is_named_after(two: Computer) -> None:
    new, changed, unchanged = by_command(two, 2)
    assert (new.round, new.states, new.lost) == ("new", {"completed": 2}, 0)
    assert (changed.round, changed.states) == ("changed", {"completed": 2})
    assert (unchanged.round, unchanged.states) == ("unchanged", {"unchanged": 2})
    assert new.per_profile_s == new.wall_s / 2
    assert len(list(open_store(str(two.repository), {}).list("snapshots"))) == 4


def test_a_postgres_of_ones_own_is_there_and_gone_again() -> None:
    import asyncio

    import asyncpg

    async def version(url: str) -> str:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return str(await connection.fetchval("show server_encoding"))
        finally:
            await connection.close()

    try:
        with postgres() as url:
            assert asyncio.run(version(url)) == "UTF8"
    except PostgresMissingError as missing:
        pytest.skip(str(missing))
    with pytest.raises(OSError, match=r".*"):
        asyncio.run(version(url))
