"""Finds what must not cross folds: the patient, from DICOM, or guessed from file names and then shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.words import amount
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import is_dicom
from segwright.io.layouts.spreadsheet import groups_in_tables

#: Words that name a view, side, visit or sequence of a patient.
_VIEWS = frozenset(
    """ap pa lat lateral frontal left right l r cc mlo od os oblique view coronal sagittal axial front side
    baseline followup pre post t1 t2 flair t1w t2w ed es up down""".split()  # noqa: SIM905
)
_FEWEST_GROUPS = 6
_LARGEST_SHARE = 1 / 3

Rule = Callable[[str], str]


def with_groups(dataset: Dataset) -> Dataset:
    """The dataset with a group for every case, and the rule in words."""
    cases = dataset.cases
    if cases and all(case.group for case in cases):
        return dataset if dataset.group_rule else _ruled(dataset, "as the layout states it")
    stated = groups_in_tables(Path(dataset.root), {c.id: Path(c.images[0].path).name for c in cases if c.images})
    if stated:
        return _grouped(dataset, {case: safe_id(group) for case, group in stated[0].items()}, stated[1])
    patients = _patients(dataset)
    if patients:
        told = f"DICOM PatientID ({amount(len(set(patients.values())), 'patient')})"
        return _grouped(dataset, patients, told)
    guess = guess_groups([case.id for case in cases])
    if guess:
        groups, told = guess
        return _grouped(dataset, groups, told)
    return _grouped(dataset, {case.id: case.id for case in cases}, "each case is a group of its own")


def _patients(dataset: Dataset) -> dict[str, str]:
    """PatientID by case; empty unless every image is DICOM and the ids tell patients apart."""
    found: dict[str, str] = {}
    for case in dataset.cases:
        if not case.images:
            continue
        path = dataset.path(case.images[0])
        if path.is_file() and not is_dicom(path):
            return {}
        try:
            patient = str(io.read(path, key=case.images[0].key).header.get("patient_id") or "").strip()
        except SegwrightError:
            patient = ""
        found[case.id] = safe_id(patient) if patient else ""
    named = {value for value in found.values() if value}
    if len(named) < 2:
        return {}
    return {case: patient or case for case, patient in found.items()}


def guess_groups(ids: Sequence[str]) -> tuple[dict[str, str], str] | None:
    """Groups guessed from case ids and the rule in words; `None` where no rule is plausible.

    A rule is plausible if some group has several cases, there are more than five groups, and none holds more than a
    third of the cases. Rules are tried from what names a view to ever longer prefixes.

    Example:
        >>> groups, rule = guess_groups([f"p{i}_{view}" for i in range(7) for view in "AB"])
        >>> groups["p3_B"], rule
        ('p3', "guessed: file name up to the first '_' (p0_A belongs to p0); correct 'group' in dataset.yaml")
    """
    for words, rule in _rules(ids):
        groups = {name: rule(name) or name for name in ids}
        if _plausible(list(groups.values())):
            shown = next(name for name in ids if groups[name] != name)
            return groups, f"guessed: {words} ({shown} belongs to {groups[shown]}); correct 'group' in dataset.yaml"
    return None


def _plausible(groups: Sequence[str]) -> bool:
    sizes = Counter(groups)
    largest = max(sizes.values(), default=0)
    return len(sizes) >= _FEWEST_GROUPS and largest >= 2 and largest <= _LARGEST_SHARE * len(groups)


def _rules(ids: Sequence[str]) -> Iterator[tuple[str, Rule]]:
    """Candidate rules in order of trial."""
    most = max((name.count("_") for name in ids), default=0)
    for count in range(1, min(most, 6) + 1):
        yield f"file name up to the {_ordinal(count)} '_'", partial(_start, count)
    yield "file name without words for view or side", _without_views
    yield "file name without the letter after its number", lambda name: re.sub(r"(?<=\d)[-_ ]?[A-Za-z]$", "", name)
    yield "file name up to the last '-'", lambda name: name.rpartition("-")[0]
    yield "file name up to the last '.'", lambda name: name.rpartition(".")[0]


def _start(count: int, name: str) -> str:
    return "_".join(name.split("_")[:count])


def _without_views(name: str) -> str:
    words = re.split(r"([_\-. ]+)", name)
    return "".join(word for word in words if word.lower() not in _VIEWS).strip("_-. ")


def _ordinal(count: int) -> str:
    return ("first", "second", "third", "fourth", "fifth", "sixth")[count - 1]


def _grouped(dataset: Dataset, groups: dict[str, str], rule: str) -> Dataset:
    cases = tuple(_in_group(case, groups.get(case.id, case.id)) for case in dataset.cases)
    return _ruled(dataset.model_copy(update={"cases": cases}), rule)


def _in_group(case: Case, group: str) -> Case:
    return case if case.group else case.model_copy(update={"group": group})


def _ruled(dataset: Dataset, rule: str) -> Dataset:
    return dataset.model_copy(update={"group_rule": rule})
