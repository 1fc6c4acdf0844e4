"""The named strengths of augmentation, resolved into steps with every number visible in the plan."""

from __future__ import annotations

from typing import Any

from segwright.core.errors import UnknownNameError
from segwright.core.recipe import PartChoice

LEVELS = ("off", "light", "medium", "strong")


def steps_for(
    level: str, *, dims: int, anisotropic: bool = False, modality: str = "other", sections: int = 0
) -> tuple[PartChoice, ...]:
    """Steps of a level, in order of application; mirroring is decided apart from it.

    Values follow nnU-Net's defaults (Isensee et al. 2021, and its version 2 trainer); its 'variance' of noise is
    used there as a standard deviation, and so it is here.

    Args:
        level: `off`; `light` (rotation, scale, brightness, contrast, gamma); `medium` (also noise, blur and low
            resolution); `strong` (also elastic deformation, blank boxes and, for scans, box exchange in the batch).
        dims: 2 for 2-D and 2.5-D, 3 for 3-D.
        anisotropic: Slices much thicker than pixels: everything stays in plane.
        modality: `ct`, `mr`, `xray`, `em` or `other`.
        sections: Sections seen at once where some are spoiled on purpose; 0 spoils none.

    Raises:
        UnknownNameError: No such level.

    Example:
        >>> [step.name for step in steps_for("light", dims=3)]
        ['spatial', 'brightness', 'contrast', 'gamma']
    """
    if level not in LEVELS:
        raise UnknownNameError.among("augmentation level", level, LEVELS, where="augment")
    if level == "off":
        return ()
    rich = level in {"medium", "strong"}
    flat = dims == 2 or anisotropic
    grey = [
        _step("brightness", p=0.15, factor=(0.75, 1.25)),
        _step("contrast", p=0.15, factor=(0.75, 1.25)),
        _step("gamma", p=0.3, power=(0.7, 1.5)),
    ]
    if rich:
        grey = [
            _step("noise", p=0.1, deviation=(0.0, 0.1)),
            _step("blur", p=0.2, sigma=(0.5, 1.0), in_plane=flat),
            *grey[:2],
            _step("low_resolution", p=0.25, factor=(0.5, 1.0), in_plane=flat),
            _step("gamma", p=0.1, power=(0.7, 1.5), inverted=True),
            grey[2],
        ]
    extra = _strong_only(modality) if level == "strong" else []
    moved, spoiled = _faults(sections) if sections else ([], [])
    return (_spatial(level, dims, flat, modality), *moved, *grey, *spoiled, *extra)


def _faults(sections: int) -> tuple[list[PartChoice], list[PartChoice]]:
    """Faults of sections that move voxels, and those that change grey values.

    Probabilities are those of the MitoEM challenge's first entry (Li et al. 2021, arXiv 2104.07961, and its code);
    its misalignment, one half in all, is shared evenly by its two modes.
    """
    moved = [_step("misalignment", p=0.25, shift=(-16, 16)), _step("shifted_section", p=0.25, shift=(-16, 16))]
    missing = [_step("missing_sections", p=0.5, count=(1, 2))]
    anywhere = [
        _step("motion_blur", p=0.5, count=(1, 2), length=(5, 11)),
        _step("cut_blur", p=0.5, size=(0.25, 0.4), factor=(2, 8)),
        _step("cut_noise", p=0.75, size=(0.25, 0.4), amplitude=(0.5, 1.5)),
    ]
    return (moved, [*missing, *anywhere]) if sections > 1 else ([], anywhere)


def _spatial(level: str, dims: int, flat: bool, modality: str) -> PartChoice:
    """Motion that fits the anatomy: little where standing upright is part of the picture, any turn for sections."""
    turn = 180.0 if modality == "em" else 15.0 if dims == 2 or modality == "xray" else 30.0
    chance = 0.4 if level == "strong" else 0.3
    params: dict[str, Any] = {
        "rotation": (-turn, turn),
        "scale": {"xray": (0.8, 1.25), "em": (0.8, 1.2)}.get(modality, (0.7, 1.4)),
        "p_rotation": chance,
        "p_scale": chance,
        "in_plane": flat,
    }
    if modality == "em" and not flat:
        params["tilt"] = (-30.0, 30.0)
    if modality == "xray":
        params |= {"shift": (-0.1, 0.1), "p_shift": chance}
    mild_xray = level == "medium" and modality == "xray"
    if level == "strong" or mild_xray:
        params |= {"elastic": (0.0, 0.25), "p_elastic": 0.2}
    return _step("spatial", **params)


def _strong_only(modality: str) -> list[PartChoice]:
    """Blank boxes, and box exchange except where it would break the order of bones or the texture of sections."""
    boxes = [_step("blank_boxes", p=0.2, count=(1, 4), size=(0.1, 0.3))]
    if modality in {"xray", "em"}:
        return boxes
    return [*boxes, _step("cutmix", p=0.25, size=(0.25, 0.6))]


def _step(name: str, **params: Any) -> PartChoice:
    return PartChoice(name=name, params=params)
