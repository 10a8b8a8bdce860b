"""The flow *restore-profile*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.chains.restore import restore
from flows.chains.restore_plan import NewProfile, RestorePlan, Target, wanted_from
from flows.parameters import ProfileName, RepositoryName
from flows.paths import full_path
from flows.states import in_a_state, state_of
from profiles.errors import TargetUnusable


@flow(name="restore-profile", flow_run_name="{profile} from {snapshot}", persist_result=False)
def restore_profile(
    profile: ProfileName,
    snapshot: str = "latest",
    to: str | None = None,
    in_place: bool = False,
    new_profile: ProfileName | None = None,
    only: list[str] | None = None,
    exact_media: bool = False,
    partial: bool = False,
    hold_sync: bool = False,
    repository: RepositoryName = "default",
) -> State[Any]:
    """Restore a snapshot of an Anki profile, into an empty folder, a new profile or in place.

    The plan is shown as an artifact.

    Args:
        profile: The profile's name, as Anki shows it.
        snapshot: "latest", or a snapshot's id.
        to: The full path of an empty folder to restore into.
        in_place: Restore over the profile itself; Anki must be closed. The present state is kept as a snapshot first.
        new_profile: The name of a new profile to restore into, which Anki then lists; Anki must be closed.
        only: Nothing but these: "collection", "media", or patterns of media files such as *.mp3. Empty: all.
        exact_media: In place, move media files that the snapshot does not hold to Anki's trash for media.
        partial: Take it as complete even if some media files are damaged in the repository and can't come back.
        hold_sync: Switch the profile's automatic sync off until you have looked and switch it on again.
        repository: Where from: "default", or the name of a repository in the settings.
    """
    return in_a_state(
        lambda: state_of(
            restore(
                profile,
                snapshot,
                to=_target(to, new_profile, in_place=in_place),
                wanted=wanted_from(only or (), exact_media=exact_media, partial=partial, hold_sync=hold_sync),
                repository_name=repository,
                confirmed=_shown,
            ),
        ),
        "restore",
    )


def _shown(plan: RestorePlan) -> bool:
    # As code: what people wrote on their cards is no Markdown.
    text = "".join(f"    {line}\n" for line in plan.as_text().splitlines())
    create_markdown_artifact(
        text, key="restore-plan", description=f"What restoring {plan.manifest.profile} was about to do"
    )
    return True


def _target(to: str | None, new_profile: str | None, *, in_place: bool) -> Target:
    if [bool(to), bool(new_profile), in_place].count(True) != 1:
        raise TargetUnusable(
            "Nothing was restored, for it was not clear where to",
            "Name a folder to restore into, or a new profile, or choose in place: one of them",
        )
    if new_profile:
        return NewProfile(new_profile)
    return full_path(to) if to else None
