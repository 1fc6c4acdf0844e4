"""Several label folders are not always several structures: a painted copy, another reader, a field of view.

What they are is read from what they hold: whether they fill the same voxels, whether the values of one are parts of the
values of the other, whether one covers every image alike. It is decided over a few cases, and has to hold in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, Decision, LabelSource
from segwright.core.errors import ChoiceError, LabelError, Reading, SegwrightError
from segwright.core.words import amount
from segwright.io.drawing import geometry_of, is_drawn, read_drawn
from segwright.io.layouts import LAYOUTS
from segwright.io.layouts.content import sample
from segwright.io.layouts.names import only_label_words, tokens
from segwright.io.layouts.readers import Raws, agreement, all_read, compared, dice, find_readers, first_read, within
from segwright.io.layouts.structures import raw_of
from segwright.io.masks import is_soft
from segwright.io.meaning.decide import decide
from segwright.io.meaning.facts import facts_of

#: Cases whose masks are compared; structures beyond this number are organs of a body, which nobody draws twice.
_LOOKED_AT, _MOST = 8, 12
#: Dice of two drawings of one thing, and of a mask with itself in another case.
_SAME, _ALIKE = 0.97, 0.97
#: So many cases tell a mask that was saved twice, or a field of view.
_ENOUGH = 3
#: A field of view covers at least this share of every image.
_FIELD = 0.35
Dropped = dict[Path, str]
_KINDS = {"classes": "maps of several values", "objects": "numbered objects", "mask": "masks of one value"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the files of one label folder hold: `mask`, `classes` or `objects`; and whether they are painted."""

    name: str
    painted: bool


def sift(dataset: Dataset, stated: Sequence[str] = ()) -> tuple[Dataset, Dropped]:
    """The dataset with structures only, and the files that were taken for something else, with the reason.

    Args:
        dataset: With sources named by the folder or file name that tells them apart.
        stated: Names of drawings that a person says are of one thing by several readers; the first is kept.

    Raises:
        ChoiceError: Maps of several values stand beside other label folders and are no copies of them.
    """
    if any(is_drawn(dataset, case) for case in dataset.labelled):
        return _sift_outlines(dataset, stated)
    names = [] if _named_by_author(dataset) and not stated else _names(dataset)
    several = 2 <= len(names) <= _MOST
    some = sample(_whole(dataset, names), _LOOKED_AT) if several else []
    looks = [look for case in some if len(look := _raws(dataset, case)) > 1]
    if not looks:
        return (all_read(dataset, ()) if dataset.consensus else dataset), {}
    kinds = {name: _kind([look[name] for look in looks if name in look]) for name in names}
    copies = {} if stated else _copies(names, looks, kinds)
    for name, better in copies.items():
        _refuse_exception(dataset, name, better[0])
    gone = {} if stated else _fields(names, looks, kinds) | {name: told for name, (_, told) in copies.items()}
    _refuse_no_fields(dataset, [name for name in gone if name not in copies])
    left = sorted((name for name in names if name not in gone), key=lambda name: (not only_label_words(name), name))
    plain = {name: kind.name for name, kind in kinds.items()}
    twice = stated or find_readers(left, looks, plain)
    seen = ((case.id, _raws(dataset, _less(case, twice))) for case in dataset.labelled if twice)
    readers = compared(twice, seen, sure=bool(stated), root=dataset.root)
    if dataset.consensus:
        kept, dropped = _kept(dataset, [*left, ""], gone)
        return all_read(kept, readers), dropped
    gone.update({name: f"drawn by another reader: Dice {told} with {readers[0][0]!r}" for name, told in readers[1:]})
    left = [name for name in left if name not in gone]
    _refuse_maps(dataset, left, kinds)
    kept, dropped = _kept(dataset, left, gone)
    return (first_read(kept, readers) if readers else kept), dropped


def _sift_outlines(dataset: Dataset, stated: Sequence[str]) -> tuple[Dataset, Dropped]:
    """Outlines of one image in several files: those of readers, or parts that are united, which is told."""
    signed = [case.model_copy(update={"label": _by_file(case)}) for case in dataset.cases]
    twice = [case for case in signed if len(_names_of(case)) > 1]
    names = sorted({name for case in twice for name in _names_of(case)})
    if not 2 <= len(names) <= _MOST:
        return dataset, {}
    words: dict[str, set[str]] = {name: set() for name in names}
    looks = [look for case in sample(twice, _LOOKED_AT) if len(look := _outlined(dataset, case, words)) > 1]
    alike = [name for name in names if words[name] & words[names[0]]]  # structures of other names are no second reading
    drawn = stated or find_readers(alike or names[:1], looks, dict.fromkeys(names, "outlines"))
    seen = ((case.id, _outlined(dataset, case, words)) for case in twice if drawn)
    readers = compared(drawn, seen, sure=bool(stated), root=dataset.root)
    if not readers:
        note = f"Outlines of one image in {' and '.join(names)} are united, in {amount(len(twice), 'case')}."
        return dataset.model_copy(update={"notes": (*dataset.notes, note)}), {}
    whole = dataset.model_copy(update={"cases": tuple(signed)})
    if dataset.consensus:
        return all_read(whole, readers), {}
    gone = {name: f"drawn by another reader: Dice {told} with {readers[0][0]!r}" for name, told in readers[1:]}
    kept, dropped = _kept(whole, [name for name in names if name not in gone], gone)
    plain = {case.id: case.label for case in dataset.cases}
    own = tuple(
        case.model_copy(update={"label": tuple(s for s in plain[case.id] if dataset.path(s) not in dropped)})
        for case in kept.cases
    )
    return first_read(kept.model_copy(update={"cases": own}), readers), dropped


def _by_file(case: Case) -> tuple[LabelSource, ...]:
    """The sources of a case, each with the name that tells its file from the others: of its folder, or its own."""
    places = {Path(source.path) for source in case.label}
    apart = len({place.parent for place in places}) == len(places) > 1 or len(places) == 1
    folders = {source.path: Path(source.path).parent.as_posix() for source in case.label}
    return tuple(
        s.model_copy(update={"structure": folders[s.path] if apart and folders[s.path] != "." else Path(s.path).stem})
        for s in case.label
    )


def _names_of(case: Case) -> set[str]:
    return {source.structure for source in case.label if source.structure}


def _outlined(dataset: Dataset, case: Case, words: Mapping[str, set[str]]) -> Raws:
    """What each file of a case draws, with the structures' names in `words`; what cannot be read the check tells."""
    found: dict[str, NDArray[Any]] = {}
    try:
        like = geometry_of(dataset, case)
        for name in sorted(_names_of(case)):
            own = tuple(s.model_copy(update={"structure": None}) for s in case.label if s.structure == name)
            drawn = read_drawn(dataset, case.model_copy(update={"label": own}), like)
            words[name].update(drawn.masks)
            found[name] = np.any([*drawn.masks.values(), np.zeros(like.shape, bool)], axis=0)
    except SegwrightError:
        return {}
    return found


def _named_by_author(dataset: Dataset) -> bool:
    """Whether a file or the arrangement itself says which structures there are."""
    row = LAYOUTS.load(dataset.layout) if dataset.layout in LAYOUTS else None
    return bool(dataset.labels.structures) or getattr(row, "stated", False)


def _names(dataset: Dataset) -> list[str]:
    """Structures that come as plain files of their own."""
    sources = [source for case in dataset.labelled for source in case.label]
    if any(source.plane is not None or source.key for source in sources):
        return []
    return sorted({source.structure for source in sources if source.structure})


def _whole(dataset: Dataset, names: Sequence[str]) -> list[Case]:
    """Cases with every structure, or with as many as there are."""
    most = max(len({source.structure for source in case.label}) for case in dataset.labelled)
    return [case for case in dataset.labelled if len({source.structure for source in case.label}) == most]


def _raws(dataset: Dataset, case: Case) -> Raws:
    """Values of a case's files by structure; structures of several files, or on other grids, are left out."""
    found: dict[str, NDArray[Any]] = {}
    several = [source.structure for source in case.label]
    for source in case.label:
        raw = raw_of(dataset, source) if source.structure and several.count(source.structure) == 1 else None
        if raw is not None and source.structure:
            found[source.structure] = raw
    shapes = {name: raw.shape for name, raw in found.items()}
    usual = Counter(shapes.values()).most_common(1)[0][0] if shapes else None
    return {name: raw for name, raw in found.items() if raw.shape == usual}


def _kind(raws: Sequence[NDArray[Any]]) -> Kind:
    painted = any(raw.dtype == np.int32 and raw.max(initial=0) > 0xFFFF for raw in raws)
    facts = {str(i): facts_of(raw, colour=painted) for i, raw in enumerate(raws)}
    if all(len(table.values) <= 1 for table in facts.values()) or any(is_soft(raw) for raw in raws):
        return Kind("mask", painted)
    meaning = decide(facts, lambda case: raws[int(case)])
    return Kind(meaning.kind if meaning.kind in {"objects", "mask"} else "classes", painted)


def _fields(names: Sequence[str], looks: Sequence[Raws], kinds: Mapping[str, Kind]) -> dict[str, str]:
    """Masks that cover all images alike, with every other structure inside: the field of view, not a structure."""
    found: dict[str, str] = {}
    for name in names:
        masks = [look[name] != 0 for look in looks if name in look]
        others = [look[o] != 0 for look in looks for o in look if o != name and name in look]
        mine = [look[name] != 0 for look in looks for o in look if o != name and name in look]
        if kinds[name].name != "mask" or len(masks) < _ENOUGH or min(mask.mean() for mask in masks) < _FIELD:
            continue
        pairs = [(a, b) for a, b in combinations(masks, 2) if a.shape == b.shape]
        inside = "fov" in tokens(name) or all(within(o, mask) for o, mask in zip(others, mine, strict=True))
        if pairs and inside and np.mean([dice(a, b) for a, b in pairs]) >= _ALIKE:
            found[name] = "covers every image alike: a field of view, no structure"
    return found if len(found) < len(names) else {}


def _less(case: Case, names: Sequence[str]) -> Case:
    """The case with the drawings of some names only."""
    return case.model_copy(update={"label": tuple(s for s in case.label if s.structure in names)})


def _refuse_no_fields(dataset: Dataset, names: Sequence[str]) -> None:
    """Refuse a field of view that is none in a case that was not looked at before. Costs a read of all masks.

    Raises:
        LabelError: Names the case.
    """
    for case in dataset.labelled if names else ():
        look = _raws(dataset, case)
        for name in (name for name in names if name in look):
            mask, others = look[name] != 0, [look[other] != 0 for other in look if other not in names]
            inside = "fov" in tokens(name) or all(within(other, mask) for other in others)
            if mask.mean() < _FIELD or not inside:
                raise LabelError(
                    f"The masks in {name!r} are a field of view in most cases, but not in case {case.id!r}.",
                    expected=f"a mask that covers at least {_FIELD:.0%} of the image, with every structure inside",
                    got=f"{mask.mean():.0%} of the image" + ("" if inside else ", and a structure beyond it"),
                    where=dataset.path(next(s for s in case.label if s.structure == name)),
                    hint=f"Correct that case, or take {name!r} out of the folder.",
                )


def _refuse_exception(dataset: Dataset, copy: str, better: str) -> None:
    """Refuse a copy that is none in a case that was not looked at before. Costs a read of both files of every case.

    Raises:
        LabelError: Names the case.
    """
    for case in dataset.labelled:
        own = _less(case, (copy, better))
        both = agreement(copy, better, [_raws(dataset, own)] if own.label else [])
        if both and min(both) < _SAME:
            raise LabelError(
                f"The drawings in {copy!r} are those of {better!r} again in most cases, but not in case {case.id!r}.",
                expected="the same voxels in every case, or structures that differ in most",
                got=f"Dice {min(both):.2f}",
                where=dataset.path(own.label[0]),
                hint=f"Correct that case, or take {copy!r} out of the folder.",
            )


def _copies(names: Sequence[str], looks: Sequence[Raws], kinds: Mapping[str, Kind]) -> dict[str, tuple[str, str]]:
    """Drawings of the same voxels as another one that says more: painted for the eye, numbered, or united.

    Each comes with the other one and the reason.
    """
    found: dict[str, tuple[str, str]] = {}
    for a, b in combinations(names, 2):
        both = agreement(a, b, looks)
        masks = kinds[a].name == kinds[b].name == "mask"  # few equal masks may be two structures of one shape
        if len(both) < (_ENOUGH if masks else 1) or min(both) < _SAME:
            continue
        better, copy = (a, b) if _says_more(a, b, looks, kinds) else (b, a)
        if copy in found:
            continue
        what = {"objects": "numbers the objects of", "classes": "is painted after", "mask": "is the outline of"}
        kind = "objects" if _refines(copy, better, looks) and not _refines(better, copy, looks) else kinds[copy].name
        found[copy] = better, f"{what.get(kind, 'is a copy of')} {better!r}: the same voxels (Dice {np.mean(both):.2f})"
    return found


def _says_more(a: str, b: str, looks: Sequence[Raws], kinds: Mapping[str, Kind]) -> bool:
    """Whether drawing `a` is to be read of two that fill the same voxels: classes before objects before masks."""
    several = {name: any(len(np.unique(look[name])) > 2 for look in looks if name in look) for name in (a, b)}
    fine = _refines(a, b, looks), _refines(b, a, looks)
    if several[a] and several[b] and fine[0] != fine[1]:
        return fine[1]  # the coarser one holds classes, the finer one their objects
    rank = {"classes": 0, "objects": 1, "mask": 2}
    same = all(fine)  # both part the voxels alike: numbers come first, as paint may mean nothing

    def order(name: str) -> tuple[Any, ...]:
        kind = kinds[name]
        return (kind.painted if same else rank[kind.name], kind.painted, not only_label_words(name), name)

    return order(a) <= order(b)


def _refines(fine: str, coarse: str, looks: Sequence[Raws]) -> bool:
    """Whether every value of one drawing lies in a single value of the other, but for a few voxels at borders."""
    for look in looks:
        if fine in look and coarse in look:
            values, inverse = np.unique(look[fine], return_inverse=True)
            for index in np.flatnonzero(values):
                parts = np.unique(look[coarse].reshape(-1)[inverse.reshape(-1) == index], return_counts=True)[1]
                if parts.max() < _SAME * parts.sum():
                    return False
    return True


def _refuse_maps(dataset: Dataset, names: Sequence[str], kinds: Mapping[str, Kind]) -> None:
    maps = [name for name in names if kinds[name].name == "classes"]
    if maps and len(names) > 1:
        cases = [case for case in dataset.labelled if case.images]
        images = Path(cases[0].images[0].path).parent.as_posix() if cases else "FOLDER"
        folders = {s.structure: Path(s.path).parent.as_posix() for case in cases for s in case.label}
        readings = [
            Reading(
                f"{name} alone: {_KINDS[kinds[name].name]}, {amount(_drawn(cases, name), 'case')}",
                {"images": images, "labels": folders.get(name, "FOLDER")},
            )
            for name in names
        ]
        raise ChoiceError(
            f"Label folder {maps[0]!r} holds several values, and other label folders stand beside it.",
            readings,
            dataset.root,
            expected="one map of values a case, or one mask of a single value for each structure",
        )


def _drawn(cases: Sequence[Case], name: str) -> int:
    """How many cases have a label of this name."""
    return sum(any(source.structure == name for source in case.label) for case in cases)


def _kept(dataset: Dataset, left: Sequence[str], gone: Mapping[str, str]) -> tuple[Dataset, Dropped]:
    """The dataset without what is gone; a single drawing that is left is read as a map of values."""
    if not gone:
        return dataset, {}
    dropped: Dropped = {}
    cases = []
    for case in dataset.cases:
        named = [(s, s.structure or "") for s in case.label]
        dropped.update({dataset.path(source): gone[name] for source, name in named if name in gone})
        label = tuple(source for source, name in named if name not in gone)
        if len(left) == 1 and len(label) == 1:
            label = tuple(s.model_copy(update={"structure": None}) for s in label)
        cases.append(case.model_copy(update={"label": label}))
    other = "; ".join(f"{name}: {reason}" for name, reason in gone.items())
    decision = Decision(topic="labels", chosen=", ".join(left), other=other)
    notes = [f"{name!r} is no structure: it {reason}." for name, reason in gone.items() if "reader" not in reason]
    told = {"cases": tuple(cases), "decisions": (*dataset.decisions, decision), "notes": (*dataset.notes, *notes)}
    return dataset.model_copy(update=told), dropped
