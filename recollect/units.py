"""Numbers with their units, as people read them."""

from __future__ import annotations

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def size(amount: int | float | None) -> str:
    """Bytes with a unit."""
    if amount is None:
        return ""
    value = float(amount)
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= _STEP
    raise AssertionError("unreachable")
