"""A model that an earlier version trained and wrote is opened, predicts and learns on as it did there.

`earlier_model` was written by version 0.1.0 before plans knew the scale of training, and before the two ends of
`weighted_bce` became one parameter: objects in films, one member, 30 steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segwright
from segwright.losses import LOSSES, bind_loss
from segwright.prediction.model import Model
from segwright.view.source import open_source

FOLDER = Path(__file__).with_name("earlier_model")
#: What that version itself made of the film below.
OBJECTS, VOXELS = 9, 1796


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Nine bright discs, as those that the model learnt from; the same bytes everywhere."""
    y, x = np.mgrid[:64, :64]
    image = 60.0 + 8 * np.sin(1.7 * y) * np.cos(2.3 * x)
    for cy in (12, 32, 52):
        for cx in (12, 32, 52):
            image[(y - cy) ** 2 + (x - cx) ** 2 < 60] += 80
    (tmp_path / "films").mkdir()
    Image.fromarray(image.round().astype(np.uint8)).save(tmp_path / "films" / "a.png")
    return tmp_path / "films" / "a.png"


def test_it_predicts_what_it_predicted_there(film: Path) -> None:
    answer = Model.load(FOLDER, device="cpu").predict(film)
    assert answer.labels.shape == (1, 1, 64, 64)
    assert answer.labels.max() == OBJECTS
    assert (answer.labels > 0).sum() == pytest.approx(VOXELS, abs=3)  # processors round differently
    assert not Model.load(FOLDER).records and answer.provenance["outside"] == []


def test_a_folder_is_predicted_and_shown(film: Path, tmp_path: Path) -> None:
    done = segwright.predict(FOLDER, film.parent, tmp_path / "out")
    assert [case.error for case in done.cases] == [""] and (tmp_path / "out" / "a.png").exists()
    assert open_source(film, [tmp_path / "out" / "a.png"]).dataset.labels


def test_the_ends_of_its_loss_are_those_it_was_trained_with() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 1, 6, 6), (torch.rand(2, 2, 1, 6, 6) > 0.97).float()
    choice = Model.load(FOLDER).plan.train.loss
    assert choice.params["low"] == 0.1 and choice.params["high"] == 0.9
    today = LOSSES.load("weighted_bce")(logits, target, activation="sigmoid", limits=(0.1, 0.9))
    usual = LOSSES.load("weighted_bce")(logits, target, activation="sigmoid")
    assert bind_loss(choice)(logits, target) == today != usual
    lower = choice.model_copy(update={"params": {"low": 0.1, "activation": "sigmoid"}})
    assert bind_loss(lower)(logits, target) == LOSSES.load("weighted_bce")(
        logits, target, activation="sigmoid", limits=(0.1, 0.99)
    )
