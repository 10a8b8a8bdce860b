"""The fixtures of the steps' tests."""

from tests.flows.chains.house import house, sample_base

__all__ = ["house", "sample_base"]
