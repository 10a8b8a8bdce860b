"""The catalog, and prefect.yaml, which tells the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
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
    TAG,
    Machine,
    care_for,
    deployment_name,
    deployment_of,
    deployments_for,
    further_deployment_of,
    own_time_zone,
    refresh_of,
    this_machine,
)
from deployments.schedules import Schedule, every_half_hour
from deployments.work_pools import DEFAULT_QUEUE, WORK_POOL, queue_of
from flows.running import everywhere
from recollect.settings import load_settings
from tests.flows.chains.house import copy_base, sample_base

__all__ = ["sample_base"]

PROJECT = Path(__file__).parents[2]
REFRESH_ID = UUID(int=1)
NAMES = st.text(alphabet=st.sampled_from("ab /%&<> onδ'"), min_size=1, max_size=12)
PARTS = NAMES | st.lists(st.sampled_from(["a", "on", "to", " ", " on ", " to "]), min_size=1, max_size=5).map("".join)


def named(profile: str, host: str, repository: str | None) -> str:
    """The name of a deployment that backs up a profile."""
    made = further_deployment_of(profile, host, repository) if repository else deployment_of(profile, host)
    return made.name


def test_each_profile_computer_and_repository_have_a_name_of_their_own_that_prefect_takes() -> None:
    seen: dict[str, tuple[str | None, ...]] = {}

    @given(PARTS, PARTS, st.sampled_from([None, "a", "on", "to"]))
    def check(profile: str, host: str, repository: str | None) -> None:
        name = named(profile, host, repository)
        assert not set(name) & set(BANNED_CHARACTERS)
        assert name.strip()
        assert seen.setdefault(name, (profile, host, repository)) == (profile, host, repository)

    check()
    assert deployment_name("A on B", "C") != deployment_name("A", "B on C")
    assert deployment_name("A on", "B") != deployment_name("A", "on B")
    assert named("Ada", "laptop to usb", None) != named("Ada", "laptop", "usb")
    assert named("Ada on", "to usb", None) != named("Ada", "on", "usb")
    assert named("Ada", "laptop", "usb") == "Ada on laptop to usb"
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
    assert shared == alone | {"refresh-deployments on laptop": "laptop", "all profiles on laptop": "laptop"}
    assert refresh_of("laptop").flow == REFRESH.flow


def test_a_further_repository_gets_backups_and_care_by_those_who_know_it() -> None:
    machine = Machine(
        "laptop", "UTC", ("Ada", "Ben"), repositories=("default", "usb"), blocks=("default", "nas", "usb")
    )
    known = {deployment_of(name, "laptop").name for name in machine.profiles} | {one.name for one in FOR_ALL}
    further = {made.name: made for made in deployments_for(machine) if made.name not in known}

    assert {name: (made.queue, set(made.tags)) for name, made in further.items()} == {
        **{
            f"{profile} on laptop to {repository}": (
                "laptop",
                {"recollect", "host:laptop", f"profile:{profile}", f"repository:{repository}"},
            )
            for profile in ("Ada", "Ben")
            for repository in ("usb", "nas")
        },
        # What stands in the settings goes before a block of that name.
        "prune usb on laptop": ("laptop", {"recollect", "host:laptop", "repository:usb"}),
        "verify usb on laptop": ("laptop", {"recollect", "host:laptop", "repository:usb"}),
        "prune nas": (DEFAULT_QUEUE, {"recollect", "repository:nas"}),
        "verify nas": (DEFAULT_QUEUE, {"recollect", "repository:nas"}),
    }
    assert further["Ada on laptop to usb"].parameters == {"profile": "Ada", "repository": "usb"}
    assert further["verify nas"].parameters == {"read_percent": 5, "repository": "nas"}
    assert all(made.alone for made in further.values())


def test_what_is_done_for_further_repositories_is_spread_over_day_and_week_and_away_from_the_default_ones() -> None:
    daily = [further_deployment_of(f"{number}", "laptop", "usb").schedule for number in range(200)]
    weekly = [care_for(f"usb{number}", "laptop")[1].schedule for number in range(200)]
    times = {tuple(map(int, found.cron.split()[:2])) for found in daily if found and found.cron}

    assert len(times) > 150
    assert {hour for _, hour in times} == set(range(5, 24))
    assert {minute for minute, _ in times} <= set(range(60))
    assert len({found.cron.split()[4] for found in weekly if found and found.cron}) == 7
    assert {found.slug for found in daily if found} == {"daily"}
    assert care_for("usb", None)[0].schedule == care_for("usb", None)[0].schedule
    prune = care_for("usb", None)[0].schedule
    assert prune is not None
    assert prune.cron is not None
    minute, hour = map(int, prune.cron.split()[:2])
    assert prune.said == f"daily at {hour}:{minute:02}"


def test_a_repository_that_is_the_default_one_under_another_name_is_no_further_one(tmp_path: Path) -> None:
    base: dict[str, object] = {"base": tmp_path, "state": tmp_path, "host": "laptop"}
    tables = {"usb": {"url": "/media/usb"}, "nas": {"url": "s3://anki"}}
    by_name = this_machine(load_settings(base | {"repositories": tables, "repo": "usb"}))
    by_address = this_machine(load_settings(base | {"repositories": tables, "repo": "/media/usb"}))
    by_block = replace(this_machine(load_settings(base | {"repo": "cloud"})), blocks=("cloud", "nas"))

    assert (by_name.further, by_address.further, by_block.further) == (("nas",), ("nas",), ("nas",))
    assert by_name.all_repositories == ("default", "nas", "usb")


def test_whatever_belongs_to_a_computer_is_refused_by_others() -> None:
    machine = Machine("laptop", "UTC", ("Ada",), repositories=("default", "usb"))
    bound = {made.entrypoint for made in deployments_for(machine, others=True) if made.host is not None}

    assert len(bound) == 5
    assert everywhere.TAG == TAG  # by which it finds them
    for entrypoint in bound:
        module = PROJECT / f"{entrypoint.rpartition('.')[0].replace('.', '/')}.py"
        assert "    refuse_runs_of_another_computer()\n" in module.read_text(encoding="utf-8"), module


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
