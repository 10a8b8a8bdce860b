"""Forms, held against what the server would take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.utilities.schema_tools.validation import is_valid, is_valid_schema

from deployments.catalog import FOR_ALL, deployment_of
from deployments.forms import FILLED_IN, LEFT_OUT, OFFERED, OTHER, TITLES, Choices, fixed, form, without
from deployments.shape import flow_of

FLOWS = {known.flow: flow_of(known.entrypoint) for known in (*FOR_ALL, deployment_of("Ada", "laptop"))}
LIVING = Choices(("Ada", "Ben"), ("Zoe",), ("default", "usb"))


def shown(flow: str, choices: Choices = LIVING, **given: object) -> dict[str, Any]:
    return form(flow, FLOWS[flow].parameters.model_dump_for_openapi(), choices, given)


@pytest.mark.parametrize("flow", sorted(FLOWS))
def test_every_field_has_a_title_in_our_words_a_description_and_a_place(flow: str) -> None:
    parameters = shown(flow)
    is_valid_schema(parameters)
    places = [field["position"] for field in parameters["properties"].values()]
    assert sorted(places) == list(range(len(places)))
    for name, field in parameters["properties"].items():
        assert name in TITLES, f"a title is missing for {name}"
        assert field["title"] != name
        assert field["description"].endswith(".")
        assert "\n" not in field["description"]


@pytest.mark.parametrize("flow", sorted(FLOWS.keys() - {"refresh-deployments"}))
def test_what_may_be_left_out_is_said_in_words_and_not_in_names_of_types(flow: str) -> None:
    for field in shown(flow)["properties"].values():
        assert all(variant["title"] for variant in field.get("anyOf", ()))
        titles = {variant["title"] for variant in field.get("anyOf", ())}
        assert not titles or titles in ({FILLED_IN, LEFT_OUT}, {OFFERED, OTHER})


@pytest.mark.parametrize("flow", sorted(FLOWS.keys() - {"refresh-deployments"}))
def test_only_a_repository_that_is_set_up_can_be_chosen(flow: str) -> None:
    field = shown(flow)["properties"]["repository"]
    assert (field["enum"], field["default"]) == (["default", "usb"], "default")


@pytest.mark.parametrize(
    ("flow", "parameters", "taken"),
    [
        ("back-up-all", {"profiles": ["Ada", "Ben"]}, True),
        ("back-up-all", {"profiles": None}, True),
        ("back-up-all", {"profiles": ["Zoe"]}, False),
        ("adopt-backups", {"profile": "Ada"}, True),
        ("adopt-backups", {"profile": None}, True),
        ("adopt-backups", {"profile": "Nobody"}, False),
        # What is gone from here can still be in the repository: that is the day to restore it.
        ("restore-profile", {"profile": "Zoe"}, True),
        ("restore-profile", {"profile": "of a laptop that was lost"}, True),
        ("restore-profile", {"profile": ""}, False),
        ("restore-profile", {"profile": "Ada", "repository": "nas"}, False),
        ("prune", {"profiles": ["Zoe"]}, True),
        ("prune", {"profiles": ["Nobody"]}, False),
        ("prune", {"daily": 0, "weekly": 9999, "monthly": None}, True),
        ("prune", {"daily": -1}, False),
        ("back-up-profile", {"profile": "Ada", "daily": 60}, True),
        ("back-up-profile", {"profile": "Ada", "weekly": 10_000}, False),
        ("verify", {"read_percent": 0}, False),
        ("verify", {"read_percent": 100}, True),
        ("verify", {"read_percent": 101}, False),
    ],
)
def test_a_form_takes_what_can_be_meant_and_nothing_else(flow: str, parameters: dict[str, Any], taken: bool) -> None:
    assert is_valid(parameters, shown(flow)) is taken


def test_a_restore_offers_every_profile_that_was_ever_known_and_lets_another_be_written() -> None:
    offered, other = shown("restore-profile")["properties"]["profile"]["anyOf"]
    assert (offered["title"], other["title"]) == (OFFERED, OTHER)
    assert offered["enum"] == ["Ada", "Ben", "Zoe"]
    assert "enum" not in other


def test_the_only_profile_there_is_stands_in_the_form_already() -> None:
    assert shown("export-colpkg", Choices(("Ada",)))["properties"]["profile"]["default"] == "Ada"
    assert "default" not in shown("export-colpkg")["properties"]["profile"]


def test_without_a_profile_a_form_asks_for_a_name() -> None:
    field = shown("restore-profile", Choices())["properties"]["profile"]
    assert field["type"] == "string"
    assert "enum" not in field


def test_what_a_person_set_on_a_deployment_stays_a_choice_when_nothing_of_that_name_is_known_any_more() -> None:
    assert shown("verify", repository="nas")["properties"]["repository"]["enum"] == ["default", "usb", "nas"]
    kept = shown("back-up-all", profiles=["Cara"])
    assert is_valid({"profiles": ["Cara"]}, kept)


def test_a_deployment_of_one_profile_takes_no_other() -> None:
    parameters = fixed(shown("back-up-profile"), "profile", "Ada")
    assert is_valid({"profile": "Ada"}, parameters)
    assert not is_valid({"profile": "Ben"}, parameters)


def test_a_form_without_a_parameter_is_one_without_it_and_nothing_else() -> None:
    whole = shown("back-up-all")
    assert whole["properties"]["everywhere"]["title"] == "On all computers"
    assert without(whole, "everywhere")["properties"].keys() == whole["properties"].keys() - {"everywhere"}
    assert without(whole, "nothing") == whole


@given(st.lists(st.text(min_size=1, max_size=8), max_size=4), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_each_known_name_is_taken_whatever_it_is_made_of(profiles: list[str], gone: list[str]) -> None:
    parameters = shown("prune", Choices(tuple(profiles), tuple(gone)))
    is_valid_schema(parameters)
    assert is_valid({"profiles": [*profiles, *gone]}, parameters)


def test_the_flow_itself_keeps_its_own_parameters() -> None:
    before = FLOWS["prune"].parameters.model_dump_for_openapi()
    shown("prune")
    assert FLOWS["prune"].parameters.model_dump_for_openapi() == before
