"""Instances on their way through a fit: which objects, which blocks of a single volume, which decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, Fold, Split
from segwright.core.deadline import Deadline
from segwright.core.events import Listen, counted
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.core.words import amount
from segwright.io.blocks import whole
from segwright.io.instances import as_instances
from segwright.io.load import load_image
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import f1, match
from segwright.planning.split import BLOCK_DEPTH, ENDS, LEAST_DEPTH, arrange
from segwright.postprocess.ensemble import JointCase, ValuesOf, blend
from segwright.postprocess.instances.decoders import decode_objects
from segwright.postprocess.instances.search import middle, search_decoder
from segwright.postprocess.search import OutOfFold, Postprocess
from segwright.prediction.objects import usual_chain
from segwright.targets import target_info


def arranged(dataset: Dataset, recipe: Recipe) -> tuple[Dataset, Split | None]:
    """The dataset as a recipe wants it learnt: kind and voxels stated, objects told apart, a single stack in blocks.

    Returns:
        The dataset, and the folds where these follow from the blocks.
    """
    if recipe.modality:
        dataset = dataset.model_copy(update={"modality": recipe.modality, "modality_rule": "asked for in the recipe"})
    if recipe.voxel:
        dataset = dataset.model_copy(update={"voxel": recipe.voxel})
    if recipe.instances:
        dataset = as_instances(dataset, recipe.instances)
    labelled = dataset.labelled
    if len({case.group for case in labelled}) != 1 or len(labelled) != 1 or recipe.folds < 2:
        return dataset, None
    if dataset.modality != "em" or labelled[0].sections is not None or not labelled[0].images:
        return dataset, None
    return _in_blocks(dataset, labelled[0], recipe.folds)


def _in_blocks(dataset: Dataset, case: Case, folds: int) -> tuple[Dataset, Split | None]:
    depth = load_image(dataset, whole(case)).geometry.shape[0]
    blocks = arrange(depth, folds)
    if not blocks:
        told = (
            f"The only labelled volume, {case.id!r}, has {amount(depth, 'section')}: too few to validate on some. "
            f"{LEAST_DEPTH} sections are needed at least, and {BLOCK_DEPTH} for blocks that judge each section."
        )
        return _noted(dataset, told), None
    cases: list[Case] = []
    made = []
    for number, block in enumerate(blocks):
        judged = _part(case, block.validation, f"block{number}")
        rest = [_part(case, span, f"fold{number}") for span in block.training]
        cases += [judged, *rest]
        made.append(Fold(train=tuple(one.id for one in rest), validation=(judged.id,)))
    others = tuple(one for one in dataset.cases if one.id != case.id)
    gap = blocks[0].gap
    which = f"in {len(blocks)} blocks of consecutive sections"
    if depth < BLOCK_DEPTH:
        which = f"on the first {ENDS} and the last {ENDS} only (from {BLOCK_DEPTH} sections on, on all of them)"
    told = (
        f"The only labelled volume, {case.id!r}, has {depth} sections: it is judged {which}, each "
        f"by a member that saw neither these sections nor the {amount(gap, 'section')} beside them."
    )
    split = Split(folds=tuple(made), groups={one.id: one.group for one in cases}, rule=told)
    return _noted(dataset.model_copy(update={"cases": (*cases, *others)}), told), split


def _noted(dataset: Dataset, told: str) -> Dataset:
    return dataset.model_copy(update={"notes": (*dataset.notes, told)})


def _part(case: Case, span: tuple[int, int], name: str) -> Case:
    """Some sections of a case, as a case and group of their own."""
    called = f"{case.id}_{name}_z{span[0]}-{span[1]}"
    return case.model_copy(update={"id": called, "group": called, "sections": span})


def choose_decoder(
    cases: Sequence[OutOfFold], plan: Plan, *, listen: Listen, deadline: Deadline | None = None
) -> Postprocess:
    """The decoder that finds most objects on out-of-fold predictions; the usual one if none was to be searched."""
    if not cases or not plan.postprocess:
        return Postprocess(chain=usual_chain(plan.target), notes=("The decoder was not searched.",))
    return search_decoder(
        cases,
        target_info(plan.target).decoders,
        score=found_share,
        structure=plan.labels.names[0],
        progress=counted(listen, "postprocess"),
        deadline=deadline,
    )


def mixed_objects(plan: Plan) -> ValuesOf:
    """How well objects are found in mixtures of runs of a plan's target, by its usual decoder; see `found_share`."""
    decoder, orientation = usual_chain(plan.target).decoder, plan.prepare.orientation

    def values_of(case: JointCase, space: LabelSpace, weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        reference = case.reference()
        box = middle(reference.shape[1:])
        part = (slice(None), *box.slices)
        opinions, truth, grid = [one[part] for one in case.opinions()], reference[part], case.geometry.crop(box)
        found = (decode_objects(decoder, blend(opinions, row), grid, orientation) for row in weights)
        return np.array([found_share(truth[0], ids[0], (0,)) for ids in found])

    return values_of


def found_share(reference: NDArray[Any], prediction: NDArray[Any], sizes: Sequence[int]) -> NDArray[np.float64]:
    """Mean of object F1 at IoU 0.5 and 0.75 when predicted objects below each size are dropped; 1 without any object.

    Example:
        >>> found_share(np.array([[[1, 1, 0, 0]]]), np.array([[[3, 3, 0, 4]]]), (0, 2)).tolist()
        [0.6666666666666666, 1.0]
    """
    table = Contingency.from_arrays(reference, prediction)
    values = []
    for size in sizes:
        kept = table.drop_prediction(size)
        scores = [f1(match(kept, threshold)) for threshold in (0.5, 0.75)]
        values.append(float(np.mean([1.0 if value is None else value for value in scores])))
    return np.array(values)
