"""Finds out whether photographs that a camera turned are shown upright where their labels were drawn."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import SegwrightError
from segwright.core.words import amount
from segwright.io.turns import turn_of, turned_size

#: Formats that may carry a camera's turn.
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})


def with_turns(dataset: Dataset) -> Dataset:
    """The dataset with `upright` decided: by the sizes that labels have or state, else by what their tool does.

    Costs the headers of the pictures, and of the labels of those that are turned.
    """
    labelled = [case for case in dataset.cases if case.label and len(case.images) == 1]
    votes: list[tuple[bool, bool]] = []
    for case in labelled:
        vote = _vote(dataset, case)
        votes += [vote] if vote else []
    if not votes:
        return dataset
    sure = [answer for answer, told in votes if told] or [answer for answer, _ in votes]
    answer = 2 * sum(sure) > len(sure)
    how = "were drawn on pictures shown upright, so the pictures are read upright, too"
    how = how if answer else "lie on the pixels as stored, so the turn is ignored"
    why = "by the sizes they have" if any(told for _, told in votes) else "as their tools do it"
    note = f"{amount(len(votes), 'picture')} carry a camera's turn (EXIF orientation). Their labels {how} ({why})."
    return dataset.model_copy(update={"upright": answer, "notes": (*dataset.notes, note)})


def _vote(dataset: Dataset, case: Case) -> tuple[bool, bool] | None:
    """Whether the labels of a turned picture lie on it as shown, and whether sizes say so; `None` of any other."""
    path = dataset.path(case.images[0])
    if io.suffix_of(path) not in _PICTURES:
        return None
    try:
        image = io.read(path)
        turn = turn_of(image)
        if turn == 1:
            return None
        size = (image.geometry.shape[1], image.geometry.shape[2])
        stated, habit = _label_size(dataset.path(case.label[0]), case.label[0])
    except SegwrightError:
        return None  # the check will say what is wrong
    if stated is not None and size != turned_size(size, turn) and stated in (size, turned_size(size, turn)):
        return stated != size, True
    return habit, False


def _label_size(path: Path, source: LabelSource) -> tuple[tuple[int, int] | None, bool]:
    """Rows and columns of a label, where it has or states them, and whether its tool shows pictures upright."""
    form = io.form_of(path)
    if form is None:
        shape = io.read_label(path, key=source.key).geometry.shape
        return (shape[1], shape[2]), False
    size = next((entry.size for entry in form.entries(path) if entry.key == source.key), None)
    return size, form.upright
