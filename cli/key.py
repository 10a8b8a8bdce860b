"""`recollect key`: who can open an encrypted repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cli.asking import ask_new_passphrase, ask_yes, is_anyone_there
from cli.key_output import made_key_file, show_recovery_key, slot_json
from cli.options import PLAIN_OPTIONS, AsJson, Config, Repo, path_named
from cli.output import say, say_trouble, show_json, show_text
from cli.session import Exit, session, usage
from cli.tables import Column, show_table
from storage.format.key_slot import KeySlot
from storage.format.secret import Secret, new_recovery_key, typed_secret
from storage.key_rotation import RotationPlan, plan_rotation
from storage.key_rotation import rotate as rotate_keys
from storage.keys import add_slot, list_slots, remove_slot, unlock
from tasks.repositories import encrypted_place, secret_for
from tasks.secret import key_in_file, passphrase_in_file

key = typer.Typer(
    name="key",
    help="Who can open an encrypted repository: its key slots.\n\nExample: recollect key list",
    no_args_is_help=True,
    **PLAIN_OPTIONS,
)

_COLUMNS = (
    Column("Slot"),
    Column("Opened by"),
    Column("Label", folds=16),
    Column("Made", rank=1),
    Column("Newest key", right=True, rank=2),
)
Label = Annotated[
    str | None, typer.Option("--label", metavar="TEXT", help="A name for the slot, to tell it from others.")
]


@key.command("list")
def list_keys(repo: Repo = None, as_json: AsJson = False, config: Config = None) -> None:
    """List the key slots of a repository. No secret is needed for that.

    Example: recollect key list
    """
    with session(config, repo=repo):
        listing = list_slots(*encrypted_place())
        if as_json:
            show_json([slot_json(slot) for slot in listing.slots])
        else:
            rows = ((s.id, s.kind.words, s.label, s.created_at[:10], str(s.generation)) for s in listing.slots)
            show_table("Key slots", _COLUMNS, rows)
        for trouble in listing.troubles:
            say(str(trouble))


@key.command("add")
def add(
    passphrase: Annotated[
        bool, typer.Option("--passphrase", metavar="", help="Add a passphrase, which is asked for at the terminal.")
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="Add a key file, which is made if it isn't there.",
            parser=path_named,
        ),
    ] = None,
    recovery: Annotated[
        bool, typer.Option("--recovery", metavar="", help="Add a recovery key, which is shown once.")
    ] = False,
    from_file: Annotated[
        Path | None,
        typer.Option("--from-file", metavar="FILE", help="Take the new passphrase from this file.", parser=path_named),
    ] = None,
    from_env: Annotated[
        str | None,
        typer.Option("--from-env", metavar="NAME", help="Take the new passphrase from this environment variable."),
    ] = None,
    label: Label = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let another secret open the repository. The one that opens it now has to be at hand.

    Example: recollect key add --recovery
    """
    if (passphrase, key_file is not None, recovery).count(True) != 1:
        raise usage("Say what to add: --passphrase, --key-file FILE or --recovery.")
    if not passphrase and (from_file or from_env):
        raise usage("--from-file and --from-env say where a new passphrase is: they go with --passphrase.")
    if from_file and from_env:
        raise usage("Take the new passphrase from a file or from the environment, not from both.")
    with session(config, repo=repo):
        store, configuration = encrypted_place()
        keyring = unlock(store, configuration, secret_for(store)).keyring
        text = None
        if recovery:
            secret, text = new_recovery_key()
        elif key_file is not None:
            secret = made_key_file(key_file)
        else:
            secret = _new_passphrase(from_file, from_env, store.url)
        slot = add_slot(store, configuration, keyring, secret, label or "")
        if as_json:
            show_json({**slot_json(slot), "recovery_key": text})
            return
        show_text(f"The key slot {slot.described} opens the repository at {store.url}, too.")
        if text is not None:
            show_recovery_key(text)


@key.command("remove")
def remove(
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="The slot's id, or its beginning.")],
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Take a key slot away, by way of a secret that opens another one.

    Whoever kept a copy of the slot, and its secret, can still read what was written up to the next rotation.

    Example: recollect key remove 3f9a
    """
    with session(config, repo=repo):
        store, configuration = encrypted_place()
        opened_by = unlock(store, configuration, secret_for(store)).slot
        remaining = remove_slot(store, configuration, slot, opened_by)
        if as_json:
            show_json([slot_json(left) for left in remaining])
        else:
            show_text(f"The slot is gone. What is left: {_enumerated(remaining)}")


@key.command("rotate")
def rotate(
    keep_passphrase_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--keep-passphrase-file",
            metavar="FILE",
            help="Keep the slot of the passphrase in this file, too. Repeatable.",
            parser=path_named,
        ),
    ] = None,
    keep_key_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--keep-key-file",
            metavar="FILE",
            help="Keep the slot of this key file, too. Repeatable.",
            parser=path_named,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask before slots are removed.")] = False,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make a new key, under which everything is written from now on.

    Slots whose secret is not at hand can't be given the new key, and are removed. A new recovery key takes the old
    one's place. What someone copied before stays readable to them; what is stored is sealed anew by the sweeps that
    follow, a part each time.

    Example: recollect key rotate
    """
    with session(config, repo=repo):
        store, configuration = encrypted_place()
        secrets = [secret_for(store)]
        secrets += [passphrase_in_file(file) for file in keep_passphrase_file or ()]
        secrets += [key_in_file(file) for file in keep_key_file or ()]
        plan = plan_rotation(store, configuration, secrets)
        kept, dropped = _kept_and_dropped(plan)
        say(f"Slots that go on: {_enumerated(kept)}")
        say(f"Slots that are removed, as their secret is not at hand: {_enumerated(dropped)}")
        if plan.dropped and not yes and not _confirmed(plan):
            say_trouble("Nothing was done: the removal of slots was not confirmed. Pass --yes, or the secrets to keep.")
            raise typer.Exit(Exit.FAILED)
        recovery, text = new_recovery_key()
        # Before anything is done: from then on a crash must find it written down.
        if as_json:
            go_on, removed = ([slot_json(slot) for slot in slots] for slots in _kept_and_dropped(plan))
            show_json({"recovery_key": text, "slots_that_go_on": go_on, "slots_that_are_removed": removed})
        else:
            show_recovery_key(text)
        sys.stdout.flush()
        made = rotate_keys(store, configuration, plan, recovery)
        if not as_json:
            show_text(f"Rotated. Slots now: {_enumerated(made)}")
        say(
            "What is backed up from now on is under the new key. What was stored before is sealed anew by the sweeps "
            "that follow, a part each time: see `recollect prune --dry-run`. Whoever copied it before, together with "
            "an old secret, can still read it."
        )


def _kept_and_dropped(plan: RotationPlan) -> tuple[list[KeySlot], list[KeySlot]]:
    return [slot for slot, _ in plan.rewritten], list(plan.dropped)


def _confirmed(plan: RotationPlan) -> bool:
    return is_anyone_there() and ask_yes(f"Remove {len(plan.dropped)} of the slots?")


def _new_passphrase(from_file: Path | None, from_env: str | None, url: str) -> Secret:
    if from_file is not None:
        return passphrase_in_file(from_file)
    if from_env is not None:
        if not (text := os.environ.get(from_env)):
            raise usage(f"The environment variable {from_env} is not set, or empty.")
        return typed_secret(text)
    return ask_new_passphrase(f"for the repository at {url}")


def _enumerated(slots: Iterable[KeySlot]) -> str:
    return ", ".join(slot.described for slot in slots) or "none"
