"""What the form of a run shows: the flow's own parameters, in our words, with choices where they are known.

The server holds every run against its form before the run exists (`enforce_parameter_schema`). So a closed list of
choices refuses all else. Where a profile may be one that only the repository still knows, as on the day after a laptop
was lost, the list is an offer, and another name can be written in its place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TITLES = {
    "answer_minutes": "Minutes to wait for an answer",
    "ask": "Ask before acting",
    "accept": "Accept what looks like a loss",
    "accept_missing": "Accept that snapshots are missing",
    "at_once": "Profiles side by side",
    "daily": "Daily snapshots to keep",
    "decks": "Decks",
    "everywhere": "On all computers",
    "exact_media": "Exactly the snapshot's media",
    "force": "Even if nothing has changed",
    "hold_sync": "Hold automatic sync",
    "in_place": "Over the profile itself",
    "into": "Into the profile itself",
    "layout": "For which Anki",
    "media": "With media",
    "monthly": "Monthly snapshots to keep",
    "new_profile": "Into a new profile",
    "notes": "Notes",
    "only": "Only these parts",
    "overwrite": "Overwrite",
    "partial": "Despite damaged media",
    "paths": "Packages or folders",
    "profile": "Profile",
    "profiles": "Profiles",
    "read_percent": "Percent of the bytes to read back",
    "repository": "Repository",
    "search": "Search",
    "snapshot": "Snapshot",
    "target": "File to write",
    "text": "Into a folder for text files",
    "to": "Into a folder",
    "weekly": "Weekly snapshots to keep",
}
"""What parameters are called in front of people."""

_TITLES_OF = {
    ("recover-notes", "to"): "Into a package",
    ("recover-notes", "overwrite"): "Also notes that are still there",
    ("prune", "accept"): "Accept that much goes",
}

_ONLY_LIVING = {"back-up-profile", "back-up-all", "adopt-backups"}
"""Flows of profiles that are there; all others may mean one that only the repository knows."""

FILLED_IN = "Fill in"
LEFT_OUT = "Leave out"
OFFERED = "One of these"
OTHER = "Another"


@dataclass(frozen=True, slots=True)
class Choices:
    """What is known to be there, each name once and in the order in which it is shown."""

    profiles: tuple[str, ...] = ()
    """Profiles that can be backed up."""
    gone: tuple[str, ...] = ()
    """Profiles that could be once."""
    repositories: tuple[str, ...] = ("default",)


def form(
    flow: str, parameters: Mapping[str, Any], choices: Choices, given: Mapping[str, object] = {}
) -> dict[str, Any]:
    """The form for a deployment of that flow, from the JSON schema of its parameters.

    What is `given` with the deployment stays a choice, even if nothing of that name is known any more: a run that fails
    and says so is better than one that quietly takes something else.
    """
    shown = copy.deepcopy(dict(parameters))
    for name, field in shown.get("properties", {}).items():
        field["title"] = _TITLES_OF.get((flow, name)) or TITLES.get(name) or name.replace("_", " ").capitalize()
        if description := field.get("description"):
            field["description"] = " ".join(description.split())
        for variant in field.get("anyOf", ()):
            # Tabs of the form, which would be called str and None.
            variant["title"] = LEFT_OUT if variant.get("type") == "null" else FILLED_IN
        value = given.get(name)
        kept = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        if name == "repository":
            _offer(field, _each_once(choices.repositories, kept))
        elif name in {"profile", "profiles"}:
            if flow in _ONLY_LIVING:
                _offer(field, _each_once(choices.profiles, kept))
            else:
                _offer(field, _each_once(choices.profiles, choices.gone, kept), or_another=name == "profile")
            if name == "profile" and len(choices.profiles) == 1 and name in shown.get("required", ()):
                field["default"] = choices.profiles[0]
    return shown


def fixed(form: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """The form with a parameter that can have one value only."""
    shown = copy.deepcopy(dict(form))
    field = shown["properties"][name]
    _offer(field, [value])
    field["default"] = value
    return shown


def without(form: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The form without a parameter."""
    shown = copy.deepcopy(dict(form))
    shown["properties"].pop(name, None)
    return shown


def _offer(field: dict[str, Any], names: list[str], *, or_another: bool = False) -> None:
    """Put a list of names into the form's field, where there are any: for one of them, or for several, or for none."""
    if not names:
        return
    if "anyOf" in field:
        for variant in field["anyOf"]:
            _offer(variant, names)
    elif field.get("type") == "array":
        field["items"]["enum"] = names
    elif field.get("type") == "string" and or_another:
        free = {key: field.pop(key) for key in ("type", "minLength", "maxLength", "pattern") if key in field}
        field["anyOf"] = [{"title": OFFERED, "type": "string", "enum": names}, {"title": OTHER, **free}]
    elif field.get("type") == "string":
        field["enum"] = names


def _each_once(*several: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(name) for names in several for name in names))
