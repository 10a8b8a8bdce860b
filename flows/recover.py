"""The flow *recover-notes*."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.chains.recover import RecoverPlan, recover
from flows.form.parameters import AnswerMinutes, ProfileName, RepositoryName, SnapshotChoice
from flows.form.paths import full_path
from flows.report.markdown import outline
from flows.running.asking import Question, asked, shortened
from flows.running.states import in_a_state, state_of
from profiles.errors import TargetUnusable
from tasks.find_notes import Wanted

ADD = "Add them"
STOP = "Stop, and change nothing"
NoteId = Annotated[int, Field(ge=0, le=2**63 - 1)]


@flow(name="recover-notes", flow_run_name="{profile}", persist_result=False)
def recover_notes(
    profile: ProfileName,
    notes: list[NoteId] | None = None,
    decks: list[str] | None = None,
    search: str | None = None,
    snapshot: SnapshotChoice | None = None,
    to: str | None = None,
    text: str | None = None,
    into: bool = False,
    overwrite: bool = False,
    repository: RepositoryName = "default",
    ask: bool = True,
    answer_minutes: AnswerMinutes = 30,
) -> State[Any]:
    """Get single notes or decks of a profile back: as a package, as text files, or into the profile itself.

    Before anything is added to the profile the run pauses and asks; where nobody answers in time it ends by itself, and
    changes nothing.

    Args:
        profile: The profile's name, as Anki shows it.
        notes: Ids of notes; without a snapshot, each comes from the newest one that still holds it.
        decks: Full names of decks, as in Languages::Spanish: all notes of these, and of the decks below.
        search: What would be typed into Anki's browser to find the notes.
        snapshot: "latest", a time such as 2026-11-22 18:00, or a snapshot's id, to take all from. Leave it empty for
            the newest that has them.
        to: The full path of a package (.apkg) to write, for Anki's File > Import.
        text: The full path of an empty folder to write text files to, for Anki's File > Import.
        into: Add the notes to the profile; Anki must be closed. The present state is kept as a snapshot first.
        overwrite: Also set notes that are still there back to what they were.
        repository: Where from: "default", or the name of a repository in the settings or in a block.
        ask: Pause before notes are added to the profile, and go on only when somebody says so.
        answer_minutes: How long to wait for an answer; without one the run ends as Skipped.
    """

    def confirmed(plan: RecoverPlan) -> bool:
        question = Question("recover", "Add these notes?", (ADD, STOP), shortened(outline(plan.as_text())))
        return not ask or asked(question, answer_minutes) == ADD

    def run() -> State[Any]:
        package, folder = (full_path(path) if path else None for path in (to, text))
        if [package is not None, folder is not None, into].count(True) != 1:
            raise TargetUnusable(
                "Nothing was recovered, for it was not clear where to",
                "Name a package, name a folder for text files, or choose into: one of the three",
            )
        report, _ = recover(
            Wanted(tuple(notes or ()), tuple(decks or ()), search or None),
            profile=profile,
            snapshot=snapshot or None,
            to=package,
            text=folder,
            overwriting=overwrite,
            repository_name=repository,
            confirmed=confirmed,
        )
        return state_of(report)

    return in_a_state(run, "recover")
