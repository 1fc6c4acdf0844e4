"""Refuses scans that a model can make nothing of, and tells of others in what they are unlike those of training."""

from __future__ import annotations

import math

from segwright.core.appearance import Appearance
from segwright.core.domain import Domain, Seen, seen
from segwright.core.errors import DomainError, ReadError
from segwright.core.geometry import Spacing
from segwright.core.plan import Plan
from segwright.core.volume import Volume
from segwright.prepare.pipeline import seen_grid, target_shape

#: How many times longer than in training voxels may be on average.
COARSE = 10.0


def refuse_plane(volume: Volume, plan: Plan) -> None:
    """A network that looks along depth can make nothing of a single plane.

    Raises:
        DomainError: It is given one; by its header alone, before anything is read.
    """
    if volume.geometry.shape[0] == 1 and not plan.flat and plan.net.slab != 1:
        raise DomainError(
            "The scan is a single plane, and the model learnt from volumes.",
            expected="a volume of several slices",
            got=f"one plane of {volume.geometry.shape[1]} x {volume.geometry.shape[2]} pixels",
            where=_path(volume),
            hint="Give the whole series, or a model that learnt from single planes.",
        )


def refuse_coarse(volume: Volume, plan: Plan) -> None:
    """A scan whose voxels are far larger than those of training has nothing to show, and at their size no end.

    Raises:
        DomainError: Its voxels are more than ten times as long on average along the axes that count; by its header.
    """
    grid = seen_grid(volume.geometry, plan.prepare)
    shape = target_shape(grid, plan.prepare)
    times = math.prod(shape) / math.prod(grid.shape)
    if times > COARSE**volume.geometry.ndim_effective:
        raise DomainError(
            "The scan's voxels are far larger than those the model learnt from.",
            expected=f"about {_edges(plan.prepare.spacing)} mm",
            got=f"{_edges(grid.spacing)} mm, so one voxel would become {times:,.0f}",
            where=_path(volume),
            hint="Correct the voxel size in the scan's header, or use a model of such scans.",
        )


def _edges(spacing: Spacing | None) -> str:
    return " x ".join("any" if edge is None else f"{edge:.3g}" for edge in spacing or (None, None, None))


def admit(
    volume: Volume,
    looks: Appearance | None,
    plan: Plan,
    *,
    domain: Domain | None,
    strict: bool = False,
    whole: bool = True,
) -> tuple[str, ...]:
    """In what a scan is unlike those that the model learnt from; nothing where that was not kept.

    Args:
        volume: The scan; only its header and grid are looked at.
        looks: How it looks, if known.
        plan: Of the model.
        domain: What it learnt from.
        strict: Refuse a scan that is unlike.
        whole: `looks` are of the whole scan and not of a sample.

    Raises:
        ReadError: The whole scan shows nothing.
        DomainError: It is unlike, and such were to be refused.
    """
    if looks is not None and looks.empty and whole:
        raise ReadError(
            "The scan shows nothing: all its voxels have one value or are not numbers (NaN).",
            where=_path(volume),
            hint="Export the scan again.",
        )
    reasons = () if domain is None else domain.reasons(_seen(volume, looks, plan))
    if reasons and strict:
        raise DomainError(
            "The scan is unlike those that the model learnt from, and --strict refuses such scans.",
            got="; ".join(reasons),
            where=_path(volume),
            hint="Check the scan; to have it predicted and flagged, leave out --strict.",
        )
    return reasons


def _seen(volume: Volume, looks: Appearance | None, plan: Plan) -> Seen:
    grid, header = seen_grid(volume.geometry, plan.prepare), volume.header
    return seen(
        grid.shape,
        grid.spacing,
        plan.prepare,
        orientation=volume.geometry.orientation if all(volume.geometry.known) else "",
        modality=str(header.get("modality") or ""),
        adapted=tuple(str(text) for text in header.get("adapted", ())),
        appearance=looks,
    )


def _path(volume: Volume) -> str | None:
    return str(volume.header["path"]) if volume.header.get("path") else None
