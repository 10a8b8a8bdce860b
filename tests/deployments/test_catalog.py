"""The catalog, and prefect.yaml, which tells the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.cli.deploy._models import PrefectYamlModel, RawScheduleConfig
from prefect.types.names import BANNED_CHARACTERS

from deployments.automations import REFRESH as REFRESH_AUTOMATION
from deployments.automations import always
from deployments.catalog import (
    FOR_ALL,
    REFRESH,
    Machine,
    deployment_name,
    deployment_of,
    deployments_for,
    own_time_zone,
    refresh_of,
    this_machine,
)
from deployments.schedules import Schedule, every_half_hour
from deployments.work_pools import DEFAULT_QUEUE, WORK_POOL, queue_of
from recollect.settings import load_settings
from tests.flows.chains.house import copy_base, sample_base

__all__ = ["sample_base"]

PROJECT = Path(__file__).parents[2]
REFRESH_ID = UUID(int=1)
NAMES = st.text(alphabet=st.sampled_from("ab /%&<> onδ'"), min_size=1, max_size=12)


def test_each_pair_of_profile_and_computer_has_a_name_of_its_own_that_prefect_takes() -> None:
    seen: dict[str, tuple[str, str]] = {}

    @given(NAMES, NAMES)
    def check(profile: str, host: str) -> None:
        name = deployment_name(profile, host)
        assert not set(name) & set(BANNED_CHARACTERS)
        assert name.strip()
        assert seen.setdefault(name, (profile, host)) == (profile, host)

    check()
    assert deployment_name("A on B", "C") != deployment_name("A", "B on C")
    assert deployment_name("50%", "x") != deployment_name("50&", "x")
    assert deployment_name("Ada", "laptop") == "Ada on laptop"


@given(NAMES)
def test_each_computer_has_a_queue_of_its_own_that_is_not_the_one_for_all(host: str) -> None:
    assert queue_of(host) != DEFAULT_QUEUE
    assert not set(queue_of(host)) & set(BANNED_CHARACTERS)
    assert queue_of(host) != queue_of(f"{host}/")


def test_a_computer_called_default_does_not_take_the_runs_of_all() -> None:
    assert queue_of("default").startswith("default (")
    assert queue_of("laptop") == "laptop"


def test_many_profiles_begin_at_many_minutes_andalways_at_the_same() -> None:
    firsts = [every_half_hour(f"{number} on laptop").first for number in range(200)]
    assert len(set(firsts)) == 30
    assert firsts == [every_half_hour(f"{number} on laptop").first for number in range(200)]


def test_every_flow_is_deployed() -> None:
    defined = {
        decorator.keywords[0].value.value
        for path in [*(PROJECT / "flows").glob("*.py"), *(PROJECT / "deployments").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "flow"
    }
    machine = Machine("laptop", "UTC", ("Ada",))
    assert {deployment.flow for deployment in deployments_for(machine)} == defined


def test_a_deployment_of_a_profile_waits_in_the_queue_of_its_computer_and_those_for_all_in_the_common_one() -> None:
    machine = Machine("laptop", "UTC", ("Ada",))
    alone = {deployment.name: deployment.queue for deployment in deployments_for(machine)}
    assert alone == {"Ada on laptop": "laptop"} | {deployment.name: DEFAULT_QUEUE for deployment in FOR_ALL}
    # Where there are several, each sees to its own profiles.
    shared = {deployment.name: deployment.queue for deployment in deployments_for(machine, others=True)}
    assert shared == alone | {"refresh-deployments on laptop": "laptop"}
    assert refresh_of("laptop").flow == REFRESH.flow


def test_no_parameter_stands_on_a_schedule_where_prefect_would_lose_it() -> None:
    assert deployment_of("Ada", "laptop").parameters == {"profile": "Ada"}
    assert "parameters" not in Schedule.__slots__


def test_prefect_yaml_is_the_catalog() -> None:
    text = (PROJECT / "prefect.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    known = PrefectYamlModel.model_validate(raw)
    assert (known.build, known.push, known.pull) == ([], [], [])
    assert len(known.deployments) == len(raw["deployments"])
    for written, told, deployment in zip(raw["deployments"], known.deployments, FOR_ALL, strict=True):
        # What Prefect's model does not hold it would have dropped without a word.
        kept = told.model_dump(mode="json", exclude_unset=True)
        assert kept.keys() == written.keys()
        assert written["concurrency_limit" if deployment.alone else "work_pool"]
        assert (told.name, told.entrypoint, told.description, told.parameters, told.tags) == (
            deployment.name,
            deployment.entrypoint,
            deployment.description,
            deployment.parameters,
            list(deployment.tags),
        )
        assert written["work_pool"] == {"name": WORK_POOL, "work_queue_name": deployment.queue}
        assert written.get("concurrency_limit") == (
            {"limit": 1, "collision_strategy": "CANCEL_NEW"} if deployment.alone else None
        )
        assert [_told(schedule) for schedule in told.schedules or []] == (
            [] if deployment.schedule is None else [_of_catalog(deployment.schedule)]
        )
        assert bool(told.triggers) == deployment.starts_with_pool


def test_the_trigger_in_prefect_yaml_is_the_automation_that_registering_makes() -> None:
    raw = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    ((trigger,),) = [deployment["triggers"] for deployment in raw["deployments"] if "triggers" in deployment]
    (made,) = [automation for automation in always(REFRESH_ID) if automation.name == REFRESH_AUTOMATION]
    shown = made.model_dump(mode="json")
    assert trigger.pop("name") == shown["name"]
    assert trigger.pop("description") == shown["description"]
    assert trigger == {key: shown["trigger"][key] for key in trigger}


def _told(schedule: object) -> tuple[object, ...]:
    assert isinstance(schedule, RawScheduleConfig)
    assert schedule.timezone == "UTC"
    return schedule.slug, schedule.cron, schedule.interval


def _of_catalog(schedule: Schedule) -> tuple[object, ...]:
    interval: timedelta | None = schedule.interval
    return schedule.slug, schedule.cron, interval


def test_no_path_and_no_machine_stands_in_prefect_yaml() -> None:
    text = (PROJECT / "prefect.yaml").read_text(encoding="utf-8")
    assert str(PROJECT) not in text
    assert "path:" not in text


def test_a_computer_brings_its_profiles_and_its_repositories_by_name(sample_base: Path, tmp_path: Path) -> None:
    copy_base(sample_base, tmp_path / "Anki2")
    settings = load_settings(
        {
            "base": tmp_path / "Anki2",
            "state": tmp_path / "state",
            "host": "laptop",
            "repositories": {"usb": {"url": "/media/usb"}, "Nas": {"url": "s3://anki"}},
        }
    )

    machine = this_machine(settings)

    assert (machine.host, machine.profiles, machine.profiles_known) == ("laptop", ("Ada", "Ben"), True)
    assert machine.repositories == ("default", "Nas", "usb")
    assert ZoneInfo(machine.time_zone)

    (tmp_path / "Anki2" / "Ben" / "collection.anki2").unlink()
    machine = this_machine(settings)
    assert (machine.profiles, machine.empty_profiles) == (("Ada",), ("Ben",))


def test_a_computer_whose_anki_folder_is_away_says_so_and_knows_nothing_of_profiles(tmp_path: Path) -> None:
    machine = this_machine(load_settings({"base": tmp_path / "away", "state": tmp_path, "host": "laptop"}))

    assert (machine.profiles, machine.profiles_known) == ((), False)
    assert str(tmp_path / "away") in machine.remarks[0]


def test_the_time_zone_is_one_that_has_a_name() -> None:
    assert ZoneInfo(own_time_zone()).key == own_time_zone()


def test_the_catalog_is_read_without_prefect_which_takes_a_second_to_load() -> None:
    code = "import sys, deployments.catalog; print('prefect' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
