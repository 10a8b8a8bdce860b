"""The flow *export-colpkg*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains.export import export
from flows.form.parameters import PackageLayout, ProfileName, RepositoryName, SnapshotChoice, TargetAddress
from flows.running.states import in_a_state, state_of
from profiles.errors import TargetUnusable
from profiles.packages.layout import Layout

_LAYOUTS = {PackageLayout.LATEST: Layout.LATEST, PackageLayout.LEGACY: Layout.LEGACY2}


@flow(name="export-colpkg", flow_run_name="{profile} from {snapshot}", persist_result=False)
def export_colpkg(
    profile: ProfileName,
    target: TargetAddress,
    snapshot: SnapshotChoice = "latest",
    media: bool = True,
    layout: PackageLayout = PackageLayout.LATEST,
    overwrite: bool = False,
    repository: RepositoryName = "default",
) -> State[Any]:
    """Write a snapshot of an Anki profile as a package (.colpkg) that Anki imports.

    Args:
        profile: The profile's name, as Anki shows it.
        target: Where to: the full path of a file, or its URL, such as s3://bucket/ada.colpkg, without a password. What
            it takes to get there comes from the settings or the block of a repository on the same server.
        snapshot: "latest", a time such as 2026-11-22 18:00 for the newest by then, or a snapshot's id.
        media: With the media files.
        layout: "latest", or "legacy" for an Anki before 2.1.50.
        overwrite: Replace a file that is there.
        repository: Where from: "default", or the name of a repository in the settings or in a block.
    """
    return in_a_state(
        lambda: state_of(
            export(
                _full(target),
                snapshot,
                profile=profile,
                media=media,
                layout=_LAYOUTS[layout],
                overwrite=overwrite,
                repository_name=repository,
            )
        ),
        "export",
    )


def _full(target: str) -> str:
    """The target, unless it is a path that depends on where the flow runs."""
    # A worker runs each flow in a folder of its own, which is gone afterwards.
    if "://" in target or target.startswith("~") or Path(target).is_absolute():
        return target
    raise TargetUnusable(f"Nothing was exported, for {target!r} is no full path", "Name the file from its root on")
