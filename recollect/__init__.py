"""The ground floor that every room stands on. It imports nothing of the house."""

__version__ = "0.1.0"
