"""The fixtures of the chains' tests."""

from tests.flows.chains.house import house, sample_base

__all__ = ["house", "sample_base"]
