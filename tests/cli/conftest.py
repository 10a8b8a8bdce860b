"""The computers that the tests of the command run on."""

from tests.cli.desk import backed_up, desk, encrypted, locked, sample_base, stocked

__all__ = ["backed_up", "desk", "encrypted", "locked", "sample_base", "stocked"]
