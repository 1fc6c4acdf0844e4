"""Predicts every validation case by the member that did not see it, and keeps the scores."""

from __future__ import annotations

import json

import numpy as np

from segwright.api.run import Judged, Run
from segwright.core.disk import atomic_path
from segwright.core.events import Listen, Stage, tracked
from segwright.core.identity import identify


def predict_out_of_fold(run: Run, fold: int, *, device: str, listen: Listen) -> None:
    """Fill `out-of-fold/` for the validation cases of a finished fold; scores that its networks made are kept."""
    from segwright.prediction.model import Model

    waiting = run.unjudged(fold)
    if not waiting:
        return
    done = {case: identify(run.scores_file(case)) for case in set(run.split.folds[fold].validation) - set(waiting)}
    networks = identify(run.weights(fold))
    listen(Stage("validate", fold=fold, cases=len(waiting)))
    model = Model(run.plan_of(fold), run.weights(fold), device=device)
    for case in tracked(waiting, listen, "validate"):
        prediction = model.segment(run.dataset, run.dataset.case(case), keep_scores=True)
        assert prediction.scores is not None
        with atomic_path(run.scores_file(case)) as partial, partial.open("wb") as file:
            np.save(file, prediction.scores)
        if "ordered" in prediction.provenance:
            with atomic_path(run.scores_file(case).with_suffix(".json")) as partial:
                partial.write_text(json.dumps(prediction.provenance["ordered"], indent=1), encoding="utf-8")
        done[case] = identify(run.scores_file(case))
        Judged(networks=networks, cases=done).save(run.judged_file(fold))
