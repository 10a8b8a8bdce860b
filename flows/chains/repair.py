"""Repairing a repository: a plan first, then damage is made good from what is stored, and from the profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.chains.backup import back_up
from flows.chains.verify import first
from profiles.discovery import Profile
from storage.checking.damage import Kind
from storage.checking.losses import Loss
from storage.checking.repair import RepairPlan, plan_repair
from storage.checking.verification import STRUCTURE, Scope, Verification
from storage.errors import Damaged
from storage.format.audit_row import Outcome
from storage.repository import Repository
from tasks.audit import Audit, Report, audited
from tasks.repair_repository import REPAIR, repair_repository
from tasks.repositories import open_named
from tasks.verify_repository import healing_hints, own_profiles, verify_repository


@dataclass(frozen=True, slots=True)
class MendingPlan:
    """What a repair will do in the repository, and which profiles of this computer are backed up again after that."""

    found: Verification
    repair: RepairPlan
    profiles: tuple[Profile, ...]
    hints: tuple[str, ...]

    @property
    def has_work(self) -> bool:
        """Whether anything would be done."""
        return self.repair.has_work or bool(self.profiles) or self._has_lost_manifest()

    def as_text(self) -> str:
        """The plan as a person should read it."""
        lines = [self.repair.as_text()]
        lines += [f"  lost so far: {sentence}" for sentence in first([loss.as_text() for loss in self.found.losses])]
        if self.profiles:
            names = ", ".join(profile.name for profile in self.profiles)
            lines.append(f"  then backed up again, to store anew what they still have of what is lost: {names}")
        lines += [f"  {hint}" for hint in self.hints]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The plan as values that JSON can hold."""
        return {**self.repair.as_json(), "profiles": [profile.name for profile in self.profiles]}

    def _has_lost_manifest(self) -> bool:
        return any(damage.kind is Kind.MANIFEST for damage in self.repair.left)


def plan_mending(repository: Repository, scope: Scope = STRUCTURE) -> MendingPlan:
    """Look for damage, and plan what to do about it."""
    found = verify_repository(repository, scope)
    profiles = own_profiles(repository) if found.losses else []
    return MendingPlan(
        found, plan_repair(found), tuple(profiles), tuple(healing_hints(found.losses, profiles, repository.seal))
    )


def repair(
    repository_name: str = "default",
    scope: Scope = STRUCTURE,
    *,
    confirmed: Callable[[MendingPlan], bool] = lambda _: True,
) -> Report:
    """Repair a repository. `confirmed` sees the plan before anything is changed; False ends it there."""
    repository = open_named(repository_name)
    with audited("repair", "", repository) as audit:
        plan = plan_mending(repository, scope)
        audit.note(bytes_read=plan.found.bytes_read)
        if not plan.has_work:
            _say_what_stays(plan.found, audit, "There was nothing to repair", "Nothing can be repaired from here")
        elif confirmed(plan):
            _carry_out(repository, repository_name, plan, audit)
        else:
            audit.outcome, audit.reason = Outcome.SKIPPED, "not-confirmed"
            audit.completed("Nothing was repaired: the plan was not confirmed")
    return audit.report()


def _carry_out(repository: Repository, repository_name: str, plan: MendingPlan, audit: Audit) -> None:
    done = repair_repository(repository, plan.repair)
    after = verify_repository(repository, STRUCTURE)
    if after.losses:
        _heal(repository, repository_name, audit)
        after = verify_repository(repository, STRUCTURE)
    healed = _healed(plan.found.losses, after.losses)
    audit.told += first([f"Healed: {loss.what()} of {loss.profile}, in {loss.since()}" for loss in healed])
    told = done.summary()[:1].upper() + done.summary()[1:]
    _say_what_stays(after, audit, told, f"{told}, but not all could be made good")


def _heal(repository: Repository, repository_name: str, audit: Audit) -> None:
    """Back up the profiles of this computer past every shortcut: what the repository lacks of them is stored anew.

    All of them, for pieces are known by their content: what one profile lost another one may have.
    """
    for profile in own_profiles(repository):
        report = back_up(profile.name, repository_name, force=True, purpose=REPAIR)
        if report.outcome is not Outcome.COMPLETED:
            audit.warnings.append(f"{profile.name} could not be backed up to heal from it: {report.message}")


def _healed(before: Sequence[Loss], after: Sequence[Loss]) -> list[Loss]:
    """The losses that are none any more."""
    still = {_identity(loss) for loss in after}
    return [loss for loss in before if _identity(loss) not in still]


def _identity(loss: Loss) -> tuple[object, ...]:
    return loss.profile_key, loss.name, loss.entry, loss.range


def _say_what_stays(found: Verification, audit: Audit, well: str, not_well: str) -> None:
    """End the action; what could not be made good is a failure that someone should hear of."""
    if found.clean:
        audit.warnings += found.remarks
        audit.completed(f"{well}; {found.summary()[:1].lower()}{found.summary()[1:]}")
        return
    audit.warnings += first([f"Still damaged: {damage.as_text()}" for damage in found.damages])
    audit.warnings += first([f"Still lost: {loss.as_text()}" for loss in found.losses])
    audit.warnings += found.remarks
    raise Damaged(f"{not_well}: {found.summary()}", _advice(found))


def _advice(found: Verification) -> str:
    if found.losses:
        return (
            "Run `recollect repair` on the computers that these profiles are on, for they may still have what is "
            "missing; all else can be restored, and snapshots that are not named are whole"
        )
    return "The snapshots that are not named are whole; keep the objects that are, in case a copy of them turns up"
