"""When a profile looks wrong although its collection is sound: it lost much at once, or went back in time.

A wiped, half-synced or wrongly restored profile passes every check of a database. It is backed up all the same, but
marked, and nothing older is let go on its account (lessons L13, L14: an empty source must not rotate good backups out).
"""

from __future__ import annotations

from collections.abc import Mapping

COUNTED = {"notes": "notes", "cards": "cards", "reviews": "reviews", "media_files": "media files"}
_TOO_FEW_TO_JUDGE = 20


def suspicion(before: Mapping[str, object], now: Mapping[str, object]) -> str | None:
    """Why `now` is suspect next to `before`, as a sentence without its full stop; None when it is not.

    Both hold the counts of `COUNTED` and `modified_ms`, the collection's own time of change; what is missing is not
    judged. Suspect is a loss of more than half of at least 20 of a kind, or a time of change before the earlier one.
    """
    losses = [
        f"{words} fell from {earlier} to {later}"
        for key, words in COUNTED.items()
        if isinstance(earlier := before.get(key), int)
        and isinstance(later := now.get(key), int)
        and earlier >= _TOO_FEW_TO_JUDGE
        and later * 2 < earlier
    ]
    if losses:
        return "Much is gone since the last snapshot: " + ", ".join(losses)
    earlier, later = before.get("modified_ms"), now.get("modified_ms")
    if isinstance(earlier, int) and isinstance(later, int) and later < earlier:
        return "The collection is older than at the last snapshot, as after a restore from elsewhere"
    return None
