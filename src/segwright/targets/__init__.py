"""Targets: how labels become what a network is trained on, and how its scores become labels again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.registry import Registry

if TYPE_CHECKING:
    from segwright.targets.protocol import Target

__all__ = ["TARGETS", "build_target", "default_target"]

TARGETS = Registry(
    "segwright.targets",
    {
        "classes": "segwright.targets.classes:ClassesTarget",
        "regions": "segwright.targets.regions:RegionsTarget",
        "shares": "segwright.targets.shares:SharesTarget",
        "chain": "segwright.targets.chain:ChainTarget",
        "boundary": "segwright.targets.boundary:BoundaryTarget",
        "boundary_seed": "segwright.targets.boundary:SeedBoundaryTarget",
        "affinities": "segwright.targets.affinities:AffinitiesTarget",
        "distance": "segwright.targets.distance:DistanceTarget",
        "flow": "segwright.targets.flow:FlowTarget",
    },
)


def build_target(name: str, space: LabelSpace) -> Target:
    """The target of that row for a label space.

    Raises:
        UnknownNameError: No such target.
        PlanError: The label space has no structures or is of the other kind.

    Example:
        >>> build_target("classes", LabelSpace(structures=[{"name": "liver"}])).channels
        2
    """
    factory = TARGETS.load(name)
    if not space.structures:
        raise PlanError("There is no structure to learn.", cure="Name the structures in dataset.yaml.")
    target: Target = factory(space)
    return target


def default_target(space: LabelSpace) -> str:
    """Row that suits a label space: `boundary` for instances, `classes` if exclusive, else `regions`."""
    if space.instances:
        return "boundary"
    return "classes" if space.exclusive else "regions"
