"""Brings a Prefect server in step with the catalog: what is equal is not touched, and what people chose stays."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.catalog import Machine


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of the deployments, by name, and what people should know besides."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    """Those of profiles that are gone."""
    resumed: tuple[str, ...] = ()
    """Those of profiles that came back."""
    remarks: tuple[str, ...] = ()
    """Sentences."""


async def register(machine: Machine) -> Registered:
    """Make pool, queue, block types, deployments and automations on the server that PREFECT_API_URL names."""
    raise NotImplementedError(machine.host)
