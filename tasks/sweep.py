"""The steps of a sweep: the plan, and carrying it out."""

from __future__ import annotations

from storage.sweeping.plan import SweepPlan, Swept
from storage.sweeping.sweeper import Sweeper
from tasks.step import step


@step("plan-sweep", retried=True)
def plan_sweep(sweeper: Sweeper) -> SweepPlan:
    """Look at all that a repository holds, and decide what of it goes. Nothing is written but a probe for the time."""
    return sweeper.plan()


@step("sweep", retried=False)
def carry_out_sweep(sweeper: Sweeper, plan: SweepPlan) -> Swept:
    """Do what the plan says. What a fault keeps from being done, the next sweep does."""
    return sweeper.carry_out(plan)
