"""The flow *restore-profile*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.chains.restore import restore
from flows.chains.restore_plan import NewProfile, RestorePlan, Target, wanted_from
from flows.form.parameters import AnswerMinutes, ProfileName, RepositoryName, SnapshotChoice
from flows.form.paths import full_path
from flows.report.markdown import heading, outline, plain
from flows.running.asking import Question, asked, shortened
from flows.running.states import in_a_state, state_of
from profiles.errors import TargetUnusable
from storage.errors import SnapshotUnknown
from storage.repository import Repository
from tasks.catalog import read_catalog
from tasks.chosen import chosen_profile
from tasks.offered import MOST, offered_snapshots

ASK = "ask"
RESTORE = "Restore it"
STOP = "Stop, and change nothing"


@flow(name="restore-profile", flow_run_name="{profile} from {snapshot}", persist_result=False)
def restore_profile(
    profile: ProfileName,
    snapshot: SnapshotChoice = "latest",
    to: str | None = None,
    in_place: bool = False,
    new_profile: ProfileName | None = None,
    only: list[str] | None = None,
    exact_media: bool = False,
    partial: bool = False,
    hold_sync: bool = False,
    repository: RepositoryName = "default",
    ask: bool = True,
    answer_minutes: AnswerMinutes = 30,
) -> State[Any]:
    """Restore a snapshot of an Anki profile, into an empty folder, a new profile or in place.

    The plan is shown as an artifact. In place, and into a new profile, the run then pauses with the plan and asks
    whether to go on; where nobody answers in time it ends by itself, and changes nothing.

    Args:
        profile: The profile's name, as Anki shows it.
        snapshot: "latest", a time such as 2026-11-22 18:00 for the newest by then, a snapshot's id, or "ask": the run
            then pauses and offers the snapshots that there are.
        to: The full path of an empty folder to restore into.
        in_place: Restore over the profile itself; Anki must be closed. The present state is kept as a snapshot first.
        new_profile: The name of a new profile to restore into, which Anki then lists; Anki must be closed.
        only: Nothing but these: "collection", "media", or patterns of media files such as *.mp3. Empty: all.
        exact_media: In place, move media files that the snapshot does not hold to Anki's trash for media.
        partial: Take it as complete even if some media files are damaged in the repository and can't come back.
        hold_sync: Switch the profile's automatic sync off until you have looked and switch it on again.
        repository: Where from: "default", or the name of a repository in the settings or in a block.
        ask: Pause with the plan, and go on only when somebody says so. Into an empty folder it is not asked.
        answer_minutes: How long to wait for an answer; without one the run ends as Skipped.
    """

    def run() -> State[Any]:
        target = _target(to, new_profile, in_place=in_place)
        asks = ask and (in_place or bool(new_profile))
        return state_of(
            restore(
                profile,
                (lambda opened: _picked(opened, profile, answer_minutes)) if snapshot == ASK else snapshot,
                to=target,
                wanted=wanted_from(only or (), exact_media=exact_media, partial=partial, hold_sync=hold_sync),
                repository_name=repository,
                confirmed=_Confirming(answer_minutes if asks else None),
                answer_takes_time=asks,
            ),
        )

    return in_a_state(run, "restore")


class _Confirming:
    """Shows a plan, and asks about it where there is time for an answer; a second plan is told to be another one."""

    def __init__(self, answer_minutes: int | None) -> None:
        self._answer_minutes = answer_minutes
        self._asked_before = False

    def __call__(self, plan: RestorePlan) -> bool:
        whose, text = plan.manifest.profile, outline(plan.as_text())
        create_markdown_artifact(
            f"{heading(f'Restore of {whose}')}\n\n{text}",
            key="restore-plan",
            description=plain(f"What restoring {whose} was about to do"),
        )
        if self._answer_minutes is None:
            return True
        changed = "**What is there has changed since the plan was shown. This is the plan now.**\n\n"
        note = changed if self._asked_before else ""
        self._asked_before = True
        question = Question("restore", "Restore this?", (RESTORE, STOP), shortened(f"{note}{text}"))
        return asked(question, self._answer_minutes) == RESTORE


def _picked(opened: Repository, profile: str, answer_minutes: int) -> str:
    """The snapshot that somebody picks of those there are."""
    stored = chosen_profile(read_catalog(opened), profile)
    offered = offered_snapshots(opened, stored)
    if not offered:
        raise SnapshotUnknown(
            f"None of the newest snapshots of {stored.name} can be read", "Name one by its id or a time, or verify them"
        )
    older = len(stored.refs) - len(offered)
    more = f" There are {older} more: name a time instead of *ask* for those." if len(stored.refs) > MOST else ""
    text = f"The newest {len(offered)} snapshots are offered.{more} Nothing is touched yet."
    return offered[asked(Question("snapshot", "Which snapshot?", tuple(offered), text), answer_minutes)]


def _target(to: str | None, new_profile: str | None, *, in_place: bool) -> Target:
    if [bool(to), bool(new_profile), in_place].count(True) != 1:
        raise TargetUnusable(
            "Nothing was restored, for it was not clear where to",
            "Name a folder to restore into, or a new profile, or choose in place: one of them",
        )
    if new_profile:
        return NewProfile(new_profile)
    return full_path(to) if to else None
