"""One run at a time, also when one was started at the command line and the other one by a worker."""

from __future__ import annotations

import json
import subprocess
import sys

from storage.format.audit_row import Outcome
from tests.flows.on_prefect import Home, run_of
from tests.servers.prefect_server import PROJECT, running

# The command, which stops in the middle of a backup until its standard input goes on.
HELD_COMMAND = """
import sys
import flows.chains.backup as chain
from cli.main import main
snapshot = chain.snapshot
def held(*args, **options):
    print("under way", flush=True)
    sys.stdin.readline()
    return snapshot(*args, **options)
chain.snapshot = held
sys.argv = ["recollect", "backup", "Ada", "--no-server", "--json"]
main()
"""

DEPLOY = """
from prefect.client.orchestration import get_client
from flows.backup import back_up_profile
with get_client(sync_client=True) as client:
    flow_id = client.create_flow(back_up_profile)
    client.create_deployment(
        flow_id, "Ada here", entrypoint="flows.backup.back_up_profile", pull_steps=[], parameters={"profile": "Ada"},
        work_pool_name="one-at-a-time", enforce_parameter_schema=False,
    )
"""

START = """
import json
from prefect.deployments import run_deployment
print(json.dumps(str(run_deployment("back-up-profile/Ada here", timeout=90, poll_interval=0.5).id)))
"""


def test_what_a_worker_begins_while_the_command_backs_up_the_same_profile_is_skipped(home: Home) -> None:
    home.prefect("work-pool", "create", "one-at-a-time", "--type", "process")
    home.printed(DEPLOY)
    fast = home.environment | {"PREFECT_WORKER_QUERY_SECONDS": "1", "PYTHONPATH": str(PROJECT)}
    with (
        running(["prefect", "worker", "start", "--pool", "one-at-a-time"], home.folder / "worker.log", fast),
        subprocess.Popen(
            [sys.executable, "-c", HELD_COMMAND],
            env=home.environment | {"PYTHONPATH": str(PROJECT)},
            cwd=home.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        assert command.stdout is not None
        assert command.stdout.readline() == "under way\n"
        skipped = run_of(home.server, json.loads(home.printed(START)))
        out, _ = command.communicate("\n")

    assert (skipped.state_type, skipped.state) == ("COMPLETED", "Skipped"), skipped.message
    assert f"(process {command.pid}), and does the work of this run. There is nothing to do." in skipped.message
    assert command.returncode == 0
    assert [row["outcome"] for row in json.loads(out)] == ["completed"]
    assert [(row.outcome, row.reason, row.flow_run) for row in home.rows()] == [
        (Outcome.COMPLETED, None, None),
        (Outcome.SKIPPED, "under-way", skipped.id),
    ]
