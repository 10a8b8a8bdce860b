from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from anki.collection import Collection
from hypothesis import given
from hypothesis import strategies as st

from profiles.packages.backup_names import backup_time, is_backup_name, time_in_name

# Anki writes whole seconds, and strftime pads years from 1000 on everywhere.
MOMENTS = st.datetimes(min_value=datetime(1980, 1, 1)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001


@given(MOMENTS)
def test_the_time_that_anki_writes_into_a_name_is_read_back(moment: datetime) -> None:
    name = moment.strftime("backup-%Y-%m-%d-%H.%M.%S.colpkg")
    assert backup_time(name) == moment
    assert is_backup_name(name)


@given(MOMENTS)
def test_the_time_that_ankidroid_writes_into_a_name_is_read_back(moment: datetime) -> None:
    name = moment.strftime("collection-%Y-%m-%d-%H-%M.colpkg")
    assert backup_time(name) == moment.replace(second=0)
    assert is_backup_name(name)


@given(MOMENTS)
def test_numbers_without_leading_zeros_are_read_as_anki_reads_them(moment: datetime) -> None:
    name = f"backup-{moment.year}-{moment.month}-{moment.day}-{moment.hour}.{moment.minute}.{moment.second}.colpkg"
    assert backup_time(name) == moment


@given(st.one_of(st.text(), st.from_regex(r"(backup|collection)-[0-9. -]*\.(colpkg|apkg)")))
def test_no_name_is_an_error_and_a_time_that_is_read_stands_in_the_name(name: str) -> None:
    moment = backup_time(name)
    if moment is not None:
        assert is_backup_name(name)
        numbers = [int(number) for number in re.findall(r"[0-9]+", name)]
        assert numbers == [*moment.timetuple()[:5], *([moment.second] if len(numbers) == 6 else [])]


@pytest.mark.parametrize(
    "name",
    [
        "collection-2026-01-31@18-05-09.colpkg",
        "backup-2026-02-30-10.00.00.colpkg",
        "backup-2026-01-31-24.00.00.colpkg",
        "backup-2026-01-31-18.05.09.colpkg.part",
        "backup-2026-01-31-18.05.09 (1).colpkg",
        "backup-2026-01-31-18.05.09.apkg",
        "folder/backup-2026-01-31-18.05.09.colpkg",
        "backup-٢٠٢٦-01-31-18.05.09.colpkg",
        "backup-2026-01-31-18.05.09.colpkg\n",
        "backup-x.apkg",
        "Spanish.colpkg",
        "",
    ],
)
def test_other_names_are_no_automatic_backups(name: str) -> None:
    assert not is_backup_name(name)
    assert backup_time(name) is None


def test_the_backups_of_anki_2_0_are_known_by_their_count_and_say_no_time() -> None:
    assert is_backup_name("backup-12.apkg")
    assert backup_time("backup-12.apkg") is None


def test_in_the_hour_that_comes_twice_the_later_one_is_meant() -> None:
    moment = backup_time("backup-2026-10-25-02.30.00.colpkg")
    assert moment is not None
    assert moment.fold == 1
    assert moment.tzinfo is None


def test_what_anki_names_its_backups_today_is_known(tmp_path: Path) -> None:
    collection = Collection(str(tmp_path / "collection.anki2"))
    (tmp_path / "backups").mkdir()
    before = datetime.now().replace(microsecond=0)  # noqa: DTZ005
    assert collection.create_backup(backup_folder=str(tmp_path / "backups"), force=True, wait_for_completion=True)
    after = datetime.now()  # noqa: DTZ005
    collection.close()

    (made,) = (tmp_path / "backups").iterdir()

    moment = backup_time(made.name)
    assert moment is not None
    assert before <= moment <= after


@given(MOMENTS, st.sampled_from(["", " (1)", "(12)"]))
def test_the_time_of_an_export_by_hand_and_of_copies_is_read_too(moment: datetime, copy: str) -> None:
    for form in (
        "collection-%Y-%m-%d@%H-%M-%S",
        "Sammlung von Ada-%Y-%m-%d@%H-%M-%S",
        "collection-%Y%m%d%H%M%S",
        "backup-%Y-%m-%d-%H.%M.%S",
    ):
        name = f"{moment.strftime(form)}{copy}.colpkg"
        assert time_in_name(name) == moment
        assert not is_backup_name(name) or name.startswith("backup-")


@pytest.mark.parametrize(
    "name",
    [
        "collection.colpkg",
        "backup-12.apkg",
        "Spanish-2026-01-31@18-05-09.apkg",
        "collection-2026-02-30@18-05-09.colpkg",
        "collection-20260131.colpkg",
        "collection-2026-01-31@18-05-09.colpkg.part",
        "(1).colpkg",
    ],
)
def test_a_name_that_says_no_time_of_a_whole_collection_is_none(name: str) -> None:
    assert time_in_name(name) is None
