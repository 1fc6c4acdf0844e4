"""Takes names, colours and codes of structures from the label table in a data set's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright.core.case import Case, Dataset
from segwright.io.labeltable import FILENAME, applied, is_table, read_table


def with_table(dataset: Dataset) -> Dataset:
    """The dataset with names, colours and codes of the label table in its folder, if there is one.

    Raises:
        LabelError: The table cannot be read.
    """
    path = Path(dataset.root) / FILENAME
    if not is_table(path):
        return dataset
    space, told = applied(dataset.labels, read_table(path))
    if not told:
        return dataset
    renamed = dict(zip(dataset.labels.names, space.names, strict=True))
    cases = tuple(_renamed(case, renamed) for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "labels": space, "notes": (*dataset.notes, told)})


def _renamed(case: Case, names: Mapping[str, str]) -> Case:
    """The case with its label sources under the names of the table."""
    label = tuple(
        one.model_copy(update={"structure": names.get(one.structure, one.structure)}) if one.structure else one
        for one in case.label
    )
    return case.model_copy(update={"label": label})
