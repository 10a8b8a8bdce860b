"""The command that a page of figures names measures the same again."""

from __future__ import annotations

import pytest

from bench.__main__ import _command, _parser


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], "make bench SIZE=medium ROUNDS=3"),
        (["--size", "small", "--rounds", "1", "--cache", "/somewhere"], "make bench SIZE=small ROUNDS=1"),
        (["--places", "local"], "python -m bench --size medium --rounds 3 --places local"),
        (
            ["--delay-ms", "40", "--no-prefect", "--seed", "2"],
            "python -m bench --size medium --rounds 3 --seed 2 --delay-ms 40 --no-prefect",
        ),
    ],
)
def test_what_was_left_out_or_changed_is_named(arguments: list[str], command: str) -> None:
    assert _command(_parser().parse_args(arguments)) == command
