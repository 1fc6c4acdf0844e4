"""Reads the drawn labels of a case, from one file or several, and turns them into canonical numbers."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.io.drawn import Drawn, Form, json_of
from segwright.io.sources import volume_of
from segwright.io.turns import stored, turn_of, turned_grid, turned_size, upright

#: Formats of pictures that may carry a camera's turn.
_TURNED = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
#: Forms that say where a label lies in millimetres.
_PLACED = frozenset({"dicomseg", "rtstruct"})


def is_drawn(dataset: Dataset, case: Case) -> bool:
    """Whether the label of a case names its structures itself."""
    return bool(case.label) and case.label[0].plane is None and io.form_of(dataset.path(case.label[0])) is not None


def refuse_broken(path: Path) -> None:
    """Say what is wrong with a JSON file that was taken for a label and is none.

    Raises:
        ReadError: It is no JSON, or holds no shapes.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        json_of(path)
        raise ReadError("The file holds no shapes.", where=path, hint="Draw the label, or take the file away.")


def read_drawn(dataset: Dataset, case: Case, like: Geometry) -> Drawn:
    """Masks of all label files of a case; a structure drawn in several is united.

    A source with a `structure` is taken for the shapes of that name only.

    Raises:
        LabelError, ReadError: Whatever is wrong with a file.
    """
    whole = Drawn(like.shape)
    for path, key in dict.fromkeys((source.path, source.key) for source in case.label):
        place = Path(dataset.root, path)
        form = io.form_of(place)
        if form is None:
            raise LabelError(
                "Drawn labels and masks are mixed in one case.",
                got=", ".join(source.path for source in case.label),
                where=place,
                hint="Keep one of the two in dataset.yaml.",
            )
        if form.counted is not None:
            form = replace(form, read=form.counted(dataset.run_lengths))
        if (turned := _on_other_grid(dataset, case, form, place, key)) != 1:
            whole_grid, back = turned_grid(like, turned), stored if not dataset.upright else upright
            drawn = form.read(place, key, whole_grid)
            drawn = replace(drawn, shape=like.shape, masks={n: back(m, turned) for n, m in drawn.masks.items()})
        else:
            drawn = _on_planes(form, place, key, like, _gaps(dataset, case, form))
        wanted = {source.structure for source in case.label if (source.path, source.key) == (path, key)}
        for name, mask in drawn.masks.items():
            if None in wanted or name in wanted:
                whole.mask(name)[...] |= mask
        whole.repairs += drawn.repairs
        whole.outlines.update(drawn.outlines)
    return whole


def _on_other_grid(dataset: Dataset, case: Case, form: Form, path: Path, key: str | None) -> int:
    """The turn of the image if the label was drawn on it as the dataset does not read it: shown or stored; else 1."""
    if not case.images or io.suffix_of(case.images[0].path) not in _TURNED:
        return 1
    image = io.read(dataset.path(case.images[0]))
    turn = turn_of(image)
    if turn == 1:
        return 1
    size = (image.geometry.shape[1], image.geometry.shape[2])
    stated = next((entry.size for entry in form.entries(path) if entry.key == key), None)
    if stated in (size, turned_size(size, turn)) and size != turned_size(size, turn):
        return turn if (stated != size) != dataset.upright else 1
    return turn if form.upright != dataset.upright else 1


def _gaps(dataset: Dataset, case: Case, form: Form) -> tuple[tuple[int, int], ...]:
    """Where the series that a label was drawn on lacks slices: `(plane before, how many)`."""
    if form.name not in _PLACED or not case.images:
        return ()
    return tuple(volume_of(dataset, case.images[0]).header.get("gaps", ()))


def _on_planes(form: Form, path: Path, key: str | None, like: Geometry, gaps: tuple[tuple[int, int], ...]) -> Drawn:
    """Labels in millimetres on the planes that a series has, laid out as if it had the missing ones too.

    The grid of such a series is too short behind a gap; frames would come to lie on the wrong planes.
    """
    if not gaps:
        return form.read(path, key, like)
    planes = np.arange(like.shape[0])
    for before, missing in gaps:
        planes[before + 1 :] += missing
    whole = form.read(path, key, Geometry((int(planes[-1]) + 1, *like.shape[1:]), like.affine, like.known))
    absent = np.ones(whole.shape[0], dtype=bool)
    absent[planes] = False
    lost = [name for name, mask in whole.masks.items() if bool(mask[absent].any())]
    told = [f"The label of {', '.join(lost)} on slices that the series lacks is left out."] if lost else []
    return Drawn(like.shape, {name: mask[planes] for name, mask in whole.masks.items()}, [*whole.repairs, *told])


def geometry_of(dataset: Dataset, case: Case) -> Geometry:
    """The grid of a case's image, read from its header; where there is no image, the size its label states.

    Raises:
        LabelError: Neither is there.
    """
    if case.images:
        return volume_of(dataset, case.images[0]).geometry
    for source in case.label:
        form = io.form_of(dataset.path(source))
        if form is not None and form.grid is not None:
            return form.grid(dataset.path(source))
        for entry in form.entries(dataset.path(source)) if form else ():
            if entry.size is not None and entry.key == source.key:
                return Geometry.from_spacing((1, *entry.size))
    raise LabelError(
        f"Nothing says how large the image of case {case.id!r} is.",
        where=dataset.path(case.label[0]) if case.label else None,
        hint="Give the folder of the images as well (--images).",
    )


def to_canonical(drawn: Drawn, space: LabelSpace, *, where: str) -> NDArray[Any]:
    """A canonical array `(P, z, y, x)`.

    Raises:
        LabelError: A class that the label space lacks, or exclusive structures that share pixels.
    """
    refuse_strangers(drawn.masks, space, where)
    out = np.zeros((space.planes, *drawn.shape), dtype=space.dtype)
    for index, name in enumerate(space.names):
        mask = drawn.masks.get(name)
        if mask is None:
            continue
        if not space.exclusive:
            out[index] = mask
            continue
        shared = int(np.count_nonzero(mask & (out[0] != 0)))
        if shared:
            raise LabelError(
                f"Structure {name!r} overlaps others in {shared} voxels, but structures are exclusive.",
                where=where,
                hint="Set 'kind: overlapping' under labels in dataset.yaml, or correct the label.",
            )
        out[0][mask] = index + 1
    return out


def refuse_strangers(masks: dict[str, NDArray[np.bool_]], space: LabelSpace, where: str) -> None:
    """Refuse classes that the label space lacks; suggests the nearest name."""
    unknown = [name for name in masks if name not in space.names]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], space.names, n=1)
    hint = f"Did you mean {near[0]!r}? Correct the file," if near else "Correct the file,"
    raise LabelError(
        f"The label names a class that the dataset does not have: {unknown[0]!r}.",
        expected=", ".join(space.names[:40]),
        got=", ".join(unknown[:8]),
        where=where,
        hint=f"{hint} or add the class under labels.structures in dataset.yaml.",
    )
