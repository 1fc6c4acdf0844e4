"""Finds the case that a predicted file means: by the image it was made of, by its id, or by the name of its image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.prediction import Predictions
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import stem_of


class CaseFinder:
    """Cases by every name that a prediction of theirs may have; a name that two cases have means neither.

    Args:
        cases: Of the reference.
        made: Cases by what their predictions are called, where that is known (see `made_of`).

    Example:
        >>> from segwright.core.case import Source
        >>> cases = [Case(id=f"p{i}_a", images=(Source(path=f"p{i}/a.png"),), group="") for i in (1, 2)]
        >>> cases.append(Case(id="p2_b", images=(Source(path="p2/b.png"),), group=""))
        >>> finder = CaseFinder(cases)
        >>> [finder.find(name) for name in ("p1_a", "p2/a.png", "p2/a", "a.png", "B.json", "x_p2_b", "c")]
        ['p1_a', 'p2_a', 'p2_a', None, 'p2_b', 'p2_b', None]
    """

    def __init__(self, cases: Iterable[Case], made: Mapping[str, str] = MappingProxyType({})) -> None:
        self._made = made
        self._ids: dict[str, str] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        for case in cases:
            self._ids[case.id] = case.id
            for name in _names_of(case):
                self._names[name].add(case.id)

    def find(self, name: str) -> str | None:
        """The id of the case a file name, or a path, speaks of; the longest part of it that one case alone has."""
        made = self._made.get(name) or self._made.get(stem_of(Path(name)))
        if made is not None or name in self._ids:
            return made or name
        for wanted in _tails(name):
            found = self._names.get(wanted, set())
            if len(found) == 1:
                return next(iter(found))
            if found:
                return None
        return self._longer(stem_of(Path(name.replace("\\", "/"))).lower())

    def _longer(self, stem: str) -> str | None:
        """The only case whose id is the name with a folder in front, or the other way round."""
        near = {case for case in self._ids if _ends(case.lower(), stem) or _ends(stem, case.lower())}
        return near.pop() if len(near) == 1 else None


def made_of(place: Path, reference: Dataset) -> dict[str, str]:
    """Cases of a reference by what predictions are called, as the list that `predict` leaves beside them tells.

    A scan is called after its folders below the one that was predicted, so that one site's `a` is `siteB_a` where all
    sites are the reference. An image that several cases share tells none of them.
    """
    path = (place if place.is_dir() else place.parent) / Predictions.filename
    try:
        rows = Predictions.load(path).cases if path.is_file() else ()
    except SegwrightError:
        return {}
    owner: dict[str, set[str]] = defaultdict(set)
    for case in reference.labelled:
        for source in case.images[:1]:
            owner[reference.path(source).resolve().as_posix()].add(case.id)
    found = {row.case: owner.get(row.image, set()) for row in rows}
    return {name: next(iter(cases)) for name, cases in found.items() if len(cases) == 1}


def _ends(long: str, short: str) -> bool:
    return long.endswith(("_" + short, "-" + short))


def _names_of(case: Case) -> set[str]:
    """Every name of a case, in lower case: its id, and its image's path from each folder on."""
    names = {case.id.lower()}
    for source in case.images or case.label:
        told = source.key if not case.images and source.key else source.path
        for tail in _tails(told):
            names |= {tail, safe_id(tail)}
    return names


def _tails(name: str) -> Iterator[str]:
    """A path without its suffix, then with one folder less in front, down to the file alone.

    Example:
        >>> list(_tails("../Scans/A.nii.gz"))
        ['scans/a.nii.gz', 'scans/a', 'a.nii.gz', 'a']
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/").lower()).parts if part not in {"/", ".", ".."}]
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        yield tail
        bare = "/".join([*parts[start:-1], stem_of(Path(parts[-1]))])
        if bare != tail:
            yield bare
