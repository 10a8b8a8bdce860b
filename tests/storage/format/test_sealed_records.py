"""The bytes of every small sealed record, spelled out: what is stored today is read for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from storage.format.blob import PackId
from storage.format.census import Census, census_name, write_census
from storage.format.check_record import Checked, check_name, write_check
from storage.format.compression import compress
from storage.format.sealing import OpenSeal, Purpose
from storage.format.underway import Underway, underway_name, write_underway
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict

SEAL = OpenSeal(bytes(16))
NAMED = bytes(range(16))
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 12, 0, 0, 999_999, tzinfo=UTC)
FIRST, SECOND, THIRD = (PackId(bytes((number,)) * 16) for number in (0x0A, 0x5B, 0xFF))
PACKS = frozenset((THIRD, FIRST, SECOND))
VERDICT, CENSUS, CHECK, UNDERWAY = (
    verdict_name(NAMED),
    census_name(NOON, NAMED[:4]),
    check_name(NAMED),
    underway_name(NAMED),
)

RECORDS: dict[Purpose, tuple[str, Callable[[], bytes], bytes]] = {
    Purpose.VERDICT: (
        VERDICT,
        lambda: write_verdict(SEAL, Verdict(VERDICT, Finding.QUARANTINED, PACKS)),
        (
            b'{"format":1,"finding":"quarantined","packs":["0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",'
            b'"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","ffffffffffffffffffffffffffffffff"]}'
        ),
    ),
    Purpose.CENSUS: (
        CENSUS,
        lambda: write_census(SEAL, Census(CENSUS, frozenset(("b/2", "ä/3", "a/1")))),
        rb'{"format":1,"snapshots":["a/1","b/2","\u00e4/3"]}',
    ),
    Purpose.CHECK: (
        CHECK,
        lambda: write_check(
            SEAL,
            CHECK,
            {
                THIRD: Checked(NOON, whole=False),
                FIRST: Checked(LATER, whole=True),
                SECOND: Checked(datetime(1970, 1, 1, tzinfo=UTC), whole=True),
            },
        ),
        (
            b'{"format":1,"packs":{"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a":[1795348800,true],'
            b'"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b":[0,true],"ffffffffffffffffffffffffffffffff":[1795348800,false]}}'
        ),
    ),
    Purpose.UNDERWAY: (
        UNDERWAY,
        lambda: write_underway(SEAL, Underway(UNDERWAY, PACKS)),
        (
            b'{"format":1,"packs":["0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",'
            b'"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","ffffffffffffffffffffffffffffffff"]}'
        ),
    ),
}


@pytest.mark.parametrize("purpose", RECORDS)
def test_a_record_is_its_length_and_its_text_in_a_known_order_compressed_and_sealed(purpose: Purpose) -> None:
    name, written, text = RECORDS[purpose]
    assert written() == SEAL.seal(purpose, name.encode(), len(text).to_bytes(4, "little") + compress(text))
