"""Measures one case: reads its image and label once and tells what the plan needs to know and what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset
from segwright.core.errors import GeometryError, LabelError, ReadError, SegwrightError
from segwright.core.inspection import CaseFacts, Finding
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume
from segwright.core.words import amount
from segwright.io.load import load_image, read_label
from segwright.ops.appearance import appearance
from segwright.ops.components import connected_ids
from segwright.planning.duplicates import sketch
from segwright.planning.order import covered_shares, shared_voxels

#: Order statistics of larger images are taken over a regular subset of at least this many voxels.
_ENOUGH = 2_000_000

Level = Literal["error", "warning", "note"]
#: Called with the facts, the finite image `(C, z, y, x)` and the canonical label of a case while they are in memory.
Look = Callable[[CaseFacts, NDArray[Any], NDArray[Any] | None], None]
Quad = tuple[float, float, float, float]
Quint = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Measured:
    """Facts of a case (`None` if its image cannot be used), findings, and a hash of its label."""

    facts: CaseFacts | None
    findings: tuple[Finding, ...]
    label_digest: str = ""


def measure(dataset: Dataset, case: Case, *, look: Look | None = None) -> Measured:
    """Read a case and measure it; errors of reading become findings. `look` sees the arrays that were read."""
    try:
        volume = load_image(dataset, case)
        array = volume.array()
    except SegwrightError as error:
        return Measured(None, (_as_finding(error, case, "image"),))
    findings = [*_reader_findings(volume, case), *_image_findings(array, dataset, case)]
    clean = _finite(array)
    label: NDArray[Any] | None = None
    counts: dict[int, int] = {}
    if case.label:
        try:
            found = read_label(dataset, case, volume.geometry)
            label, counts = found.labels, found.counts
            findings += [_repaired(text, case) for text in found.repairs]
        except SegwrightError as error:
            findings.append(_as_finding(error, case, "label"))
    facts = _facts(case, volume, clean, label, dataset.labels)
    facts = facts.model_copy(update={"label_values": counts, "appearance": appearance([array])})
    if look is not None:
        look(facts, clean, label)
    return Measured(facts, tuple(findings), _digest(label) if label is not None else "")


def _as_finding(error: SegwrightError, case: Case, part: str) -> Finding:
    """An error of reading as a finding that keeps its words."""
    kinds = {ReadError: f"unreadable-{part}", GeometryError: "grid-mismatch", LabelError: "label-values"}
    code = next((code for kind, code in kinds.items() if isinstance(error, kind)), f"bad-{part}")
    told = [error.what, *(f"{key.capitalize()}: {value}." for key, value in error.details().items() if key != "hint")]
    hint = error.hint or "Repair the file, or take the case out of dataset.yaml."
    level: Level = "error" if case.label else "warning"  # an unlabelled scan is not learnt from
    return Finding(level=level, code=code, what=" ".join(told), where=case.id, hint=hint)


def _repaired(text: str, case: Case) -> Finding:
    """What was clipped, dropped or assumed while a label was read."""
    hint = "Nothing, if that is right; else correct the label."
    return Finding(level="warning", code="label-repaired", what=text, where=case.id, hint=hint)


def _reader_findings(volume: Volume, case: Case) -> list[Finding]:
    """What the reader noticed: missing slices stop, everything else is listed."""
    found = []
    if volume.header.get("gaps"):
        found.append(
            Finding(
                level="error",
                code="missing-slices",
                what=f"Slices are missing from the series: {volume.header['gaps']}.",
                where=case.id,
                hint="Export the whole series again, or take the case out.",
            )
        )
    for text in volume.header.get("warnings", ()):
        if not (volume.header.get("gaps") and "missing" in str(text).lower()):
            what = str(text)
            hint = "Look at the scan; repair or leave it out if it is not as meant."
            found.append(Finding(level="warning", code="reader", what=what, where=case.id, hint=hint))
    for text in volume.header.get("adapted", ()):
        hint = "Nothing, if that is meant; else correct the channels in dataset.yaml."
        found.append(Finding(level="note", code="adapted", what=f"{text}.".capitalize(), where=case.id, hint=hint))
    return found


def _image_findings(array: NDArray[Any], dataset: Dataset, case: Case) -> list[Finding]:
    """Voxels that are not numbers, and channels without content."""
    found = []
    bad = 0 if array.dtype.kind in "iub" else int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        what = f"{bad:,} of {amount(array.size, 'voxel')} NaN or infinite, replaced by finite values."
        hint = "Nothing if they lie outside the body; else export the scan again."
        found.append(Finding(level="warning", code="not-finite", what=what, where=case.id, hint=hint))
    for name, channel in zip(_names(dataset, len(array)), array, strict=True):
        finite = channel if not bad else channel[np.isfinite(channel)]
        if not finite.size or (finite.flat[0] == finite.flat[-1] and bool((finite == finite.flat[0]).all())):
            what = f"Channel {name!r} has " + ("the same value everywhere." if finite.size else "no finite value.")
            hint = "Export the scan again, or take the case out of dataset.yaml."
            found.append(Finding(level="error", code="constant-image", what=what, where=case.id, hint=hint))
    return found


def _names(dataset: Dataset, count: int) -> tuple[str, ...]:
    return dataset.channels if len(dataset.channels) == count else tuple(str(i) for i in range(count))


def _finite(array: NDArray[Any]) -> NDArray[Any]:
    """The image with 0 for what is not a number."""
    if array.dtype.kind in "iub" or np.isfinite(array).all():
        return array
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)


def _facts(case: Case, volume: Volume, array: NDArray[Any], label: NDArray[Any] | None, space: LabelSpace) -> CaseFacts:
    """Everything measured, as plain numbers."""
    some = _thinned(array)
    moments = [_moments(channel) for channel in array]
    filled = (array != 0).any(axis=0)
    centres, forms = ({}, {}) if label is None else centres_and_forms(label, space)
    return CaseFacts(
        case=case.id,
        group=case.group,
        shape=volume.geometry.shape,
        spacing=volume.geometry.spacing,
        orientation=volume.geometry.orientation,
        image_type=str(volume.dtype),
        percentiles=tuple(_five(channel, part) for channel, part in zip(array, some, strict=True)),
        mean=tuple(mean for mean, _ in moments),
        std=tuple(std for _, std in moments),
        zero_share=float(1 - np.count_nonzero(filled) / filled.size),
        content=_content(filled),
        volumes={} if label is None else _volumes(label, space),
        foreground=() if label is None else _foreground(array, label),
        centres=centres,
        forms=forms,
        shared=0.0 if label is None else shared_voxels(label),
        covered={} if label is None else covered_shares(label, space),
        pieces={} if label is None else piece_counts(label, space),
        digest=_digest(array),
        modality=str(volume.header.get("modality") or ""),
        adapted=tuple(str(text) for text in volume.header.get("adapted", ())),
        sketch=sketch(array, volume.geometry.orientation),
    )


def _thinned(array: NDArray[Any]) -> NDArray[Any]:
    """Channels as vectors; of a large image every n-th voxel of each row, with n that divides no common row length."""
    flat = array.reshape(array.shape[0], -1)
    step = flat.shape[1] // _ENOUGH
    return flat if step < 2 else flat[:, :: step | 1]


def _five(channel: NDArray[Any], part: NDArray[Any]) -> Quint:
    low, middle, high = np.percentile(part, (0.5, 50, 99.5))
    return float(channel.min()), float(low), float(middle), float(high), float(channel.max())


def _moments(channel: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation, plane by plane so that no copy of the whole is made."""
    centre = float(channel.flat[0])
    total = square = 0.0
    for plane in channel:
        shifted = plane.astype(np.float64) - centre
        total += float(shifted.sum())
        square += float(np.vdot(shifted, shifted))
    mean = total / channel.size
    return centre + mean, float(np.sqrt(max(0.0, square / channel.size - mean * mean)))


def _content(filled: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Shape of the box around voxels that are set; zeros if there are none."""
    lengths = []
    for axis in range(3):
        others = tuple(i for i in range(3) if i != axis)
        hits = np.flatnonzero(filled.any(axis=others))
        lengths.append(int(hits[-1] - hits[0] + 1) if hits.size else 0)
    return lengths[0], lengths[1], lengths[2]


def _volumes(label: NDArray[Any], space: LabelSpace) -> dict[str, int]:
    """Voxels of each structure."""
    if space.exclusive and not space.instances:
        counts = np.bincount(label.reshape(-1).astype(np.int64) + 1, minlength=len(space.structures) + 2)
        return {name: int(counts[index + 2]) for index, name in enumerate(space.names)}
    return {name: int(np.count_nonzero(space.mask(label, index))) for index, name in enumerate(space.names)}


def _foreground(array: NDArray[Any], label: NDArray[Any]) -> tuple[Quad, ...]:
    """Statistics of each channel where any structure is."""
    inside = (label > 0).any(axis=0)
    if not inside.any():
        return ()
    rows = []
    for channel in array:
        values = channel[inside]
        values = values[:: max(1, values.size // _ENOUGH)].astype(np.float64)
        low, high = np.percentile(values, (0.5, 99.5))
        rows.append((float(values.mean()), float(values.std()), float(low), float(high)))
    return tuple(rows)


def _digest(array: NDArray[Any]) -> str:
    """A hash of shape, type and voxels."""
    state = hashlib.blake2b(f"{array.shape}{array.dtype.kind}".encode(), digest_size=16)
    for part in array:
        state.update(np.ascontiguousarray(part).view(np.uint8).data)
    return state.hexdigest()


#: Larger labels are measured over every n-th voxel of each axis, so that about this many remain.
ENOUGH = 2_000_000

Centre = tuple[float, float, float]
#: Standard deviations along z, y and x in voxels; correlations zy, zx and yx; skewness along z, y and x.
Form = tuple[float, float, float, float, float, float, float, float, float]


def centres_and_forms(label: NDArray[Any], space: LabelSpace) -> tuple[dict[str, Centre], dict[str, Form]]:
    """Mean voxel index and form of each structure present in a canonical label `(P, z, y, x)`.

    A voxel counts as a cube, so that a flat structure has a thickness too. Costs one pass a structure over at most
    about two million voxels.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
        >>> centres_and_forms(np.array([[[[1, 1, 0, 2]]]]), space)[0]
        {'a': (0.0, 0.0, 0.5), 'b': (0.0, 0.0, 3.0)}
    """
    step = max(1, round((label[0].size / ENOUGH) ** (1 / max(1, sum(n > 1 for n in label.shape[1:])))))
    thin = label[:, ::step, ::step, ::step]
    centres, forms = {}, {}
    for index, name in enumerate(space.names):
        where = np.nonzero(space.mask(thin, index))
        if len(where[0]):
            middle = [float(axis.mean()) for axis in where]
            z, y, x = (value * step for value in middle)
            centres[name] = (z, y, x)
            forms[name] = _form([axis - at for axis, at in zip(where, middle, strict=True)], step)
    return centres, forms


def _form(offsets: list[NDArray[Any]], step: int) -> Form:
    """Of voxels by their offsets from the middle, `step` voxels apart."""
    spread = [float(np.sqrt(axis @ axis / len(axis) + 1 / 12)) for axis in offsets]
    unit = [axis / size for axis, size in zip(offsets, spread, strict=True)]
    joint = [float(unit[a] @ unit[b] / len(unit[a])) for a, b in ((0, 1), (0, 2), (1, 2))]
    skew = [float((axis * axis) @ axis / len(axis)) for axis in unit]
    z, y, x, *rest = (round(value, 4) for value in (*(size * step for size in spread), *joint, *skew))
    zy, zx, yx, skew_z, skew_y, skew_x = rest
    return z, y, x, zy, zx, yx, skew_z, skew_y, skew_x


#: Pieces smaller than this share of a structure's largest are crumbs and not counted.
CRUMB = 0.05


def piece_counts(label: NDArray[Any], space: LabelSpace) -> dict[str, int]:
    """Connected pieces of each structure present in a canonical label `(P, z, y, x)`, crumbs left out.

    Instances are told apart by their labels already, so nothing is counted for them.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
        >>> piece_counts(np.array([[[[1, 0, 1, 2]]]]), space)
        {'a': 2, 'b': 1}
    """
    if space.instances:
        return {}
    found = {}
    for index, plane in enumerate(label):
        for number, sizes in _sizes(plane if plane.min(initial=0) >= 0 else np.maximum(plane, 0)).items():
            name = space.names[number - 1 if space.exclusive else index]
            found[name] = int(np.count_nonzero(sizes >= CRUMB * sizes.max()))
    return {name: found[name] for name in space.names if name in found}


def _sizes(plane: NDArray[Any]) -> dict[int, NDArray[np.int64]]:
    """Voxels of every piece of each value but 0 of a plane `(z, y, x)`; slice by slice, as indices are 64 bits wide."""
    pieces = connected_ids(plane)
    count = int(pieces.max(initial=0))
    sizes, values = np.zeros((2, count + 1), np.int64)
    for part, labels in zip(pieces, plane, strict=True):
        sizes += np.bincount(part.ravel(), minlength=count + 1)
        values[part] = labels
    return {int(value): sizes[1:][values[1:] == value] for value in np.unique(values[1:])}
