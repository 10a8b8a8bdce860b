"""The flow *restore-profile*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.chains.restore import restore
from flows.chains.restore_plan import RestorePlan, wanted_from
from flows.parameters import ProfileName, RepositoryName
from flows.states import in_a_state, state_of
from profiles.errors import TargetUnusable


@flow(name="restore-profile", flow_run_name="{profile} from {snapshot}", persist_result=False)
def restore_profile(
    profile: ProfileName,
    snapshot: str = "latest",
    to: str | None = None,
    in_place: bool = False,
    only: list[str] | None = None,
    exact_media: bool = False,
    partial: bool = False,
    repository: RepositoryName = "default",
) -> State[Any]:
    """Restore a snapshot of an Anki profile, into an empty folder or in place. The plan is shown as an artifact.

    Args:
        profile: The profile's name, as Anki shows it.
        snapshot: "latest", or a snapshot's id.
        to: The full path of an empty folder to restore into; leave it empty to restore in place.
        in_place: Restore over the profile itself; Anki must be closed. The present state is kept as a snapshot first.
        only: Nothing but these: "collection", "media", or patterns of media files such as *.mp3. Empty: all.
        exact_media: In place, move media files that the snapshot does not hold to Anki's trash for media.
        partial: Take it as complete even if some media files are damaged in the repository and can't come back.
        repository: Where from: "default", or the name of a repository in the settings.
    """
    return in_a_state(
        lambda: state_of(
            restore(
                profile,
                snapshot,
                to=_target(to, in_place=in_place),
                wanted=wanted_from(only or (), exact_media=exact_media, partial=partial),
                repository_name=repository,
                confirmed=_shown,
            ),
        )
    )


def _shown(plan: RestorePlan) -> bool:
    # As code: what people wrote on their cards is no Markdown.
    text = "".join(f"    {line}\n" for line in plan.as_text().splitlines())
    create_markdown_artifact(
        text, key="restore-plan", description=f"What restoring {plan.manifest.profile} was about to do"
    )
    return True


def _target(to: str | None, *, in_place: bool) -> Path | None:
    """The folder to restore into, None for in place."""
    if bool(to) == in_place:
        raise TargetUnusable(
            "Nothing was restored, for it was not clear where to",
            "Name a folder to restore into, or choose in place, and not both",
        )
    if not to:
        return None
    try:
        folder = Path(to).expanduser()
    except RuntimeError:
        folder = Path(to)
    # A worker runs each flow in a folder of its own, which is gone afterwards.
    if not folder.is_absolute():
        raise TargetUnusable(f"Nothing was restored, for {to!r} is no full path", "Name the folder from its root on")
    return folder
