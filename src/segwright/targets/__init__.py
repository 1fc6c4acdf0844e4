"""Targets: how labels become what a network is trained on, and how its scores become labels again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.registry import Registry, TargetInfo

if TYPE_CHECKING:
    from segwright.targets.protocol import Target

__all__ = ["TARGETS", "build_target", "suitable_targets", "target_info"]

TARGETS = Registry(
    "segwright.targets",
    {
        "classes": TargetInfo(
            "segwright.targets.classes:ClassesTarget",
            kinds=("exclusive",),
            loss="dice_ce",
            beside=1,
            per_structure=True,
            background=True,
        ),
        "regions": TargetInfo(
            "segwright.targets.classes:RegionsTarget", kinds=("overlapping",), loss="dice_bce", per_structure=True
        ),
        "shares": TargetInfo(
            "segwright.targets.classes:SharesTarget",
            kinds=("overlapping",),
            loss="dice_ce",
            beside=1,
            per_structure=True,
            background=True,
        ),
        "chain": TargetInfo("segwright.targets.chain:ChainTarget", loss="chain", beside=2, ordered=True),
        "boundary": TargetInfo(
            "segwright.targets.instances:BoundaryTarget",
            kinds=("instances",),
            loss="weighted_bce",
            beside=1,
            directed=(0,),
            decoders=("seed_watershed", "seed_components"),
        ),
        "boundary_seed": TargetInfo(
            "segwright.targets.instances:SeedBoundaryTarget",
            kinds=("instances",),
            loss="weighted_bce",
            beside=1,
            decoders=("seed_components", "seed_watershed"),
        ),
        "affinities": TargetInfo(
            "segwright.targets.instances:AffinitiesTarget",
            kinds=("instances",),
            loss="weighted_bce",
            beside=4,
            directed=(0, 1, 2),
            decoders=("bonds",),
        ),
        "distance": TargetInfo(
            "segwright.targets.instances:DistanceTarget",
            kinds=("instances",),
            loss="binary_cross_entropy",
            beside=1,
            directed=(0,),
            probable=False,
            decoders=("depth_watershed",),
        ),
        "flow": TargetInfo(
            "segwright.targets.instances:FlowTarget",
            kinds=("instances",),
            loss="binary_cross_entropy",
            beside=3,
            directed=(0, 1, 2),
            decoders=("follow_flow",),
        ),
    },
)


def target_info(name: str) -> TargetInfo:
    """What the target of that row says of itself; its code is not loaded.

    Raises:
        UnknownNameError: No such target.
    """
    return TARGETS.info(name, TargetInfo)


def suitable_targets(kind: str) -> list[str]:
    """Rows that suit labels of a kind, the usual one first; those of other packages last.

    Example:
        >>> suitable_targets("overlapping")
        ['regions', 'shares']
    """
    return [name for name in TARGETS if kind in target_info(name).kinds]


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
        raise PlanError("There is no structure to learn.", hint="Name the structures in dataset.yaml.")
    target: Target = factory(space)
    return target
