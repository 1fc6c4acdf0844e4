"""What a form of labels can hold: refuses the rest with the form that can, before anything is lost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import WriteError
from segwright.core.prediction import Prediction


def masks_of(item: Prediction) -> dict[str, NDArray[np.bool_]]:
    """The mask `(z, y, x)` of each structure, in order.

    Raises:
        WriteError: Some voxels are marked to count nowhere, which masks cannot say.
    """
    ignored = int(np.count_nonzero(item.space.ignored(item.labels)))
    if ignored:
        raise WriteError(
            "This form of labels cannot mark voxels that count nowhere.",
            got=f"{ignored} such voxels in case {item.case!r}",
            hint="Write a map of values, which can: --to png or --to .nii.gz, for exclusive structures.",
        )
    return {name: item.space.mask(item.labels, index) for index, name in enumerate(item.space.names)}


def planes_of(item: Prediction, form: str) -> dict[str, NDArray[np.bool_]]:
    """The mask `(rows, columns)` of each structure of a single plane.

    Raises:
        WriteError: The case is a volume.
    """
    depth = item.geometry.shape[0]
    if depth != 1:
        raise WriteError(
            f"{form} holds labels of single planes.",
            got=f"case {item.case!r} has {depth} planes",
            hint="Write volumes as .nii.gz, .nrrd or dicomseg.",
        )
    return {name: mask[0] for name, mask in masks_of(item).items()}


def names_of(dataset: Dataset, cases: Sequence[Case]) -> dict[str, str]:
    """The name of each case's image in files that name images: its own, with folders where several share it."""
    paths = {case.id: (case.images or case.label)[0] for case in cases}
    keys = {name: source.key for name, source in paths.items() if not dataset.case(name).images and source.key}
    files = {name: keys.get(name) or Path(source.path).name for name, source in paths.items()}
    counts = Counter(files.values())
    return {name: file if counts[file] == 1 else _long(paths[name], name) for name, file in files.items()}


def _long(source: Source, case: str) -> str:
    return source.path if not Path(source.path).is_absolute() else case


def image_name(item: Prediction, names: Mapping[str, str]) -> str:
    """How the image of a case is called: as told, else as its file, else by the case."""
    path = str(item.source.header.get("path", ""))
    return names.get(item.case) or (Path(path).name if path else item.case)


def path_to_image(item: Prediction, folder: Path, names: Mapping[str, str]) -> str:
    """The image relative to a file in `folder`, as tools that open both expect it."""
    path = str(item.source.header.get("path", ""))
    if not path:
        return image_name(item, names)
    try:
        return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()
