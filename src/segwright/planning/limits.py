"""Every number that planning compares data, time and memory with: unit, effect, and what speaks for it.

A recipe may state any of them otherwise, as `limits.thick_slices=4`. `segwright plan --all` prints them. Where
`evidence` says "convention", nobody has measured it here: it is what the field does, or what has done no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import Field

from segwright.core.document import Document
from segwright.core.errors import DataError, RecipeError
from segwright.core.recipe import Recipe

CONVENTION = "convention, unmeasured"
NNUNET = "nnU-Net's default (Isensee et al. 2021)"


def _limit(value: float, unit: str, effect: str, evidence: str = CONVENTION) -> Any:
    return Field(default=value, gt=0, description=effect, json_schema_extra={"unit": unit, "evidence": evidence})


class Limit(NamedTuple):
    """One of the numbers, as it is printed."""

    name: str
    value: float
    unit: str
    effect: str
    evidence: str
    usual: float


class Limits(Document):
    """The numbers, as a recipe leaves them."""

    # Three ratios of slice to pixel edge, as three things happen on the way from cubes to slices
    coarse_axis: float = _limit(
        2.0, "finest edge", "an axis is pooled and convolved across only below this",
        f"one pooling brings the others level; {NNUNET}, which waits for a factor of 2 too",
    )  # fmt: skip
    thick_slices: float = _limit(
        3.0, "pixel edge", "slices count as thick above this: scans are turned in plane only, resampled across to "
        "the 10th percentile, and sections of microscopes are taken to be cut one by one",
        f"{NNUNET}: its anisotropy threshold",
    )  # fmt: skip
    very_thick_slices: float = _limit(
        6.0, "pixel edge", "thicker slices are images with neighbours, not a volume, and keep their distance",
    )  # fmt: skip
    slab_slices: int = _limit(5, "slices", "slices that a network sees where they are very thick")
    thin_patch: float = _limit(
        0.25, "width", "patches less deep are turned in plane only: tilts by 30 degrees move rims as far", "geometry"
    )
    scans_agree: float = _limit(0.05, "share", "scans whose voxel edges differ by less keep their voxels")
    crop_below: float = _limit(0.75, "share", "scans with less of the grid inside the non-zero box are cut to it")
    zero_background: float = _limit(
        0.3, "share", "with more voxels exactly 0, intensities are standardised over the others"
    )

    # Sizes that a step affords.
    pixels_cpu: int = _limit(320 * 320, "pixels", "of a whole image on a CPU")
    pixels_gpu: int = _limit(1024 * 1024, "pixels", "of a whole image on a GPU")
    row_pixels: int = _limit(
        250, "pixels", "the smallest of a row of look-alikes gets on a CPU, where steps count for more than detail",
        "60 spine films, 400 steps, three networks: Dice 0.606 and 78 % named rightly at 256 x 96 pixels, 0.545 and "
        "74 % at 384 x 144; in films named rightly outlines were better too (0.80 and 0.78)",
    )  # fmt: skip
    voxels_cpu: int = _limit(110_000, "voxels", "of a patch on a CPU")
    voxels_gpu: int = _limit(2_000_000, "voxels", "of a patch on a GPU")
    patch_step: int = _limit(8, "voxels", "edges of patches are multiples of this in volumes, of twice it in planes")
    least_patch: int = _limit(4096, "voxels", "a patch that grows is shrunk no further; the plan is refused instead")
    window_room: float = _limit(
        1.25, "patch edge", "windows where patches hold whole scans, so that the largest scan is seen at once"
    )
    narrow_tile: float = _limit(0.7, "share", "a tile that shows less of an image's longer edge sees its surroundings")
    far_surroundings: float = _limit(2.2, "tile edge", "larger images are seen around a tile 4 times coarser, not 2")

    # Form of the network.
    deepest: int = _limit(4, "voxels", "an axis is pooled while at least so many stay", NNUNET)
    levels_cpu: int = _limit(5, "levels", "at most, of a 3-D network on a CPU")
    levels_gpu: int = _limit(6, "levels", "at most, on a GPU or in 2-D")
    width_most_cpu: int = _limit(128, "channels", "of the coarsest levels on a CPU")
    width_most_gpu: int = _limit(320, "channels", "of the coarsest levels on a GPU", NNUNET)
    steps_for_width_32: int = _limit(4000, "steps", "a fold must hold for a first level of 32 channels")
    steps_for_width_24: int = _limit(
        2500, "steps", "the same for 24", "hippocampus, 80 s: width 16 beat 24, which made half as many steps"
    )
    steps_for_width_16: int = _limit(
        300, "steps", "the same for 16", "hippocampus, 80 s: width 16 beat 8, which made 1.6 times as many steps"
    )
    steps_for_width_12: int = _limit(150, "steps", "the same for 12")
    supervised_levels: int = _limit(4, "levels", "above so many, a GPU trains with losses at lower resolutions as well")

    # Time and memory.
    minutes_cpu: float = _limit(60.0, "minutes", "for a whole fit on a CPU where no time is asked for")
    minutes_gpu: float = _limit(120.0, "minutes", "for a whole fit on a GPU where no time is asked for")
    training_share: float = _limit(
        0.85, "share", "of the time goes to training, before a fit has measured what the rest takes"
    )
    gflops_core: float = _limit(
        55.0, "GFLOP/s", "useful in a training step on a core, before anything is measured",
        "3-D U-Net steps: about 60 a core; a fit measures its own",
    )  # fmt: skip
    gflops_core_bfloat16: float = _limit(
        110.0, "GFLOP/s", "the same where the processor multiplies bfloat16", "3-D U-Net steps: twice gflops_core"
    )
    gflops_gpu: float = _limit(20_000.0, "GFLOP/s", "the same of a GPU, whichever it is; a fit measures its own")
    few_steps: int = _limit(100, "steps", "a fold of fewer hardly learns, and the plan warns")
    step_comfort: float = _limit(
        0.8, "share", "of memory that a step may take before batches are halved or activations recomputed"
    )
    step_memory: float = _limit(
        0.9, "share", "of memory beyond which a step is refused",
        "benchmarks/forecast.py: forecasts are within 0.8 and 1.5 of what steps take",
    )  # fmt: skip
    scan_memory: float = _limit(0.5, "share", "of memory that a scan's open scores may take; windows are lowered to it")

    # How a fold is trained.
    small_patch: int = _limit(50_000, "voxels", "up to here a CPU takes four patches a step, above it two")
    gpu_step_voxels: int = _limit(2_000_000, "voxels", "of a step that keep a GPU busy, as many patches as hold them")
    batch_most: int = _limit(16, "patches", "a step on a GPU at most")
    lr_adamw: float = _limit(2e-3, "rate", "peak learning rate of AdamW")
    lr_other: float = _limit(1e-2, "rate", "peak learning rate of other optimisers", f"{NNUNET} for SGD")
    decay_adamw: float = _limit(1e-2, "rate", "weight decay of AdamW", "torch's default")
    decay_other: float = _limit(3e-5, "rate", "weight decay of other optimisers", f"{NNUNET} for SGD")
    warmup: float = _limit(0.08, "share", "of the budget over which the rate rises")
    cosine_floor: float = _limit(0.01, "share", "of the peak rate at the end of the schedule")
    ema: float = _limit(0.03, "share", "of all steps that the weights at the end are averaged over")
    overlap: float = _limit(0.5, "share", "by which prediction windows overlap", NNUNET)
    rarest_start: float = _limit(
        1e-3, "score", "the least to start with, as patches show rare structures more often than scans do"
    )
    foreground: float = _limit(0.33, "share", "of patches forced onto a structure", NNUNET)
    foreground_rare: float = _limit(0.5, "share", "of patches forced onto a structure where one is rare")
    rare_share: float = _limit(0.01, "share", "of a scan below which a structure is rare")
    rare_cases: float = _limit(0.8, "share", "of cases below which a structure counts as missing from many")

    # Augmentation, and how time is shared by networks.
    short_run: int = _limit(12_000, "patches", "fewer seen leave no time to learn mirrored anatomy or spoiled sections")
    many_passes: int = _limit(
        60, "passes", "over each voxel from which light augmentation is learnt by heart",
        "160 MRI seen 54 times: medium with mirroring was no better than light without (0.0035 of Dice below)",
    )  # fmt: skip
    many_patches: int = _limit(2_000, "patches", "that this takes at least", "as for many_passes")
    film_passes: int = _limit(
        20, "passes", "the same for radiographs, which are few, whole, and differ more in pose and exposure",
        "40 spine films seen 50 times: medium with mirroring gave Dice 0.736, light without 0.721",
    )  # fmt: skip
    film_patches: int = _limit(500, "patches", "that this takes at least", "as for film_passes")
    member_passes: int = _limit(
        30, "passes", "that a network gets at least before a fold's time goes to several",
        "160 MRI seen 40 times by each of two networks: their mean was 0.0012 of Dice (0.0004 to 0.0021) above that of "
        "each; more passes of one had gained nothing",
    )  # fmt: skip
    member_steps: int = _limit(2_500, "steps", "that such a network gets at least", "as for member_passes")
    members_most: int = _limit(4, "networks", "a fold at most", "as for member_passes")
    row_member_steps: int = _limit(
        400, "steps", "the same for look-alikes in a row, whose names are soon known by heart",
        "60 spine films: the mean of five networks of 400 steps named 79 % of vertebrae rightly, each alone 70 to 77 %",
    )  # fmt: skip
    row_members_most: int = _limit(5, "networks", "a fold at most for a row", "as for row_member_steps")

    filename = "limits.json"

    @classmethod
    def of(cls, asked: Mapping[str, float]) -> Limits:
        """The numbers, but for those that are asked for.

        Raises:
            RecipeError: A number that cannot be.
            UnknownNameError: There is no such limit; the nearest is named.

        Example:
            >>> Limits.of({"thick_slices": 4}).thick_slices
            4.0
        """
        try:
            return cls.from_data(dict(asked), where="limits")
        except DataError as error:
            told = {"expected": error.expected, "got": error.got, "hint": error.hint}
            raise RecipeError(error.what, where="limits", **told) from None

    @property
    def widths(self) -> dict[int, int]:
        """Channels of the first level, from narrow to wide, and the steps that a fold must hold for each."""
        return {
            8: 0,
            12: self.steps_for_width_12,
            16: self.steps_for_width_16,
            24: self.steps_for_width_24,
            32: self.steps_for_width_32,
        }

    def rows(self) -> list[Limit]:
        """All of them with unit, effect and evidence, in the order in which they are written here."""
        found = []
        for name, field in type(self).model_fields.items():
            if isinstance(field.json_schema_extra, dict):
                told = {key: str(value) for key, value in field.json_schema_extra.items()}
                value, usual = float(getattr(self, name)), float(field.default)
                found.append(Limit(name, value, told["unit"], str(field.description), told["evidence"], usual))
        return found


def limits_of(recipe: Recipe) -> Limits:
    """The numbers as a recipe leaves them.

    Raises:
        RecipeError: A number that cannot be.
        UnknownNameError: There is no such limit; the nearest is named.
    """
    return _limits(tuple(sorted(recipe.limits.items())))


@lru_cache(maxsize=64)
def _limits(asked: tuple[tuple[str, float], ...]) -> Limits:
    return Limits.of(dict(asked))
