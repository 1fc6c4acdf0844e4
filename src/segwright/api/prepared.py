"""Prepares all labelled cases once, through the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segwright.core.case import Case, Dataset
from segwright.core.events import Listen, Note, Stage, tracked
from segwright.core.plan import Plan
from segwright.core.words import amount
from segwright.io.load import load_image, load_label
from segwright.prepare.cache import Cache, PreparedCase
from segwright.prepare.pipeline import prepare_image, prepare_label

if TYPE_CHECKING:
    from segwright.sample.case import SampleCase


def prepare_cases(dataset: Dataset, plan: Plan, folder: Path, *, listen: Listen) -> dict[str, SampleCase]:
    """Every labelled case, ready to sample from, by id; prepared arrays stay on disk and are mapped.

    Voxels that were not finite are repaired; how many is reported as a `note` event.
    """
    from segwright.sample.case import SampleCase

    listen(Stage("prepare", cases=len(dataset.labelled)))
    cache = Cache(folder, space=dataset.labels)
    cases = {}
    for case in tracked(dataset.labelled, listen, "prepare"):
        found = _prepared(cache, dataset, case, plan)
        if found.repaired:
            listen(Note(f"{case.id}: {amount(found.repaired, 'voxel')} without a finite value repaired."))
        spots = dict(enumerate(found.foreground))
        cases[case.id] = SampleCase(found.image, found.label, spots, case.id, found.spacing)
    return cases


def _prepared(cache: Cache, dataset: Dataset, case: Case, plan: Plan) -> PreparedCase:
    def make():  # type: ignore[no-untyped-def]
        volume = load_image(dataset, case)
        prepared = prepare_image(volume, plan.prepare)
        label = load_label(dataset, case, volume.geometry)
        return prepared, prepare_label(label, prepared.trail, dataset.labels)

    return cache.get(cache.key(dataset, case, plan.prepare), make)
