"""The integrity check: one pass over all cases that says what is wrong, where, and how to put it right."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from segwright.core.case import GUESS, UNLABELLED, Dataset
from segwright.core.inspection import CaseFacts, Finding, Inspection
from segwright.core.words import amount, listed, sizes
from segwright.io.layouts.channels import HOUNSFIELD
from segwright.planning.case_facts import Level, Look, measure
from segwright.planning.duplicates import gathered

_T = TypeVar("_T")
_SPACING_FACTOR = 3.0
_SCALE_FACTOR = 50.0
_ORDER = {"error": 0, "warning": 1, "note": 2}


def inspect(
    dataset: Dataset, *, progress: Callable[[int, int], None] | None = None, look: Look | None = None
) -> Inspection:
    """Measure every case once and list all findings, errors first.

    Args:
        dataset: Cases, labelled or not.
        progress: Called as `progress(done, total)` after each case.
        look: Sees each case while it is in memory; see `planning.explore`.
    """
    findings: list[Finding] = list(_pairing(dataset))
    facts: list[CaseFacts] = []
    labels: dict[str, str] = {}
    cases = [case for case in dataset.cases if case.images]
    for done, case in enumerate(cases, start=1):
        result = measure(dataset, case, look=look)
        findings += result.findings
        if result.facts is not None:
            facts.append(result.facts)
        if result.label_digest:
            labels[case.id] = result.label_digest
        if progress is not None:
            progress(done, len(cases))
    facts, twice = gathered(facts, labels)
    known = [fact for fact in facts if fact.case in labels]
    findings += [*_structures(dataset, known), *twice, *_geometry(facts), *_intensities(facts)]
    findings += _modality(dataset, facts)
    findings += _label_table(dataset, known)
    findings = sorted(_condensed(findings), key=lambda finding: _ORDER[finding.level])
    return Inspection(findings=tuple(findings), facts=tuple(facts))


def _finding(level: Level, code: str, what: str, where: str, hint: str) -> Finding:
    return Finding(level=level, code=code, what=what, where=where, hint=hint)


def _pairing(dataset: Dataset) -> Iterator[Finding]:
    """Images without labels and labels without images."""
    if dataset.layout == UNLABELLED:
        hint = "Add labels before training; 'segwright view' and 'segwright predict' take the scans as they are."
        yield _finding("error", "no-labels", "There are no labels yet.", "", hint)
        return
    for case in dataset.cases:
        if not case.images:
            hint = "Add the image, or take the label away."
            yield _finding("error", "no-image", "There is a label and no image.", case.id, hint)
        elif not case.label:
            hint = "Add a label, or leave it: unlabelled scans are not learnt from."
            yield _finding("warning", "no-label", "There is an image and no label.", case.id, hint)
    if not dataset.labelled:
        hint = "Add labels, or correct the sources in dataset.yaml."
        yield _finding("error", "no-labels", "No case has a label.", "", hint)


def _structures(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Structures that are nowhere or in few cases, and labels without any."""
    for fact in facts:
        if not any(fact.volumes.values()):
            hint = "Nothing if the case truly shows no structure; else correct the label."
            yield _finding("warning", "empty-label", "The label is empty.", fact.case, hint)
    for names in _alike(dataset.labels.names):
        what = f"Structures {' and '.join(map(repr, names))} differ in case and signs only."
        yield _finding("warning", "structure-names", what, "", "If they are one, call them the same in every label.")
    for name in dataset.labels.names if facts else ():
        count = sum(fact.volumes.get(name, 0) > 0 for fact in facts)
        if count == 0:
            hint = "Correct its values under labels in dataset.yaml, or remove the structure."
            yield _finding("error", "structure-absent", f"Structure {name!r} is in no case.", "", hint)
        elif count < len(facts) and count < max(3, 0.05 * len(facts)):
            what = f"Structure {name!r} is in {count} of {amount(len(facts), 'case')} only."
            hint = "Expect little of it: add cases that show it, or remove the structure."
            yield _finding("warning", "structure-rare", what, "", hint)


def _alike(names: Sequence[str]) -> list[list[str]]:
    """Names that are probably slips of one another."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[re.sub(r"[\W_]+", "", name).casefold()].append(name)
    return [several for several in found.values() if len(several) > 1]


def _geometry(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Cases whose grid is unlike the others'."""
    planes = {fact.shape[0] == 1 for fact in facts}
    if len(planes) == 2:
        rest = [fact.case for fact in facts if (fact.shape[0] == 1) != (_usual([f.shape[0] == 1 for f in facts])[0])]
        hint = "Keep single planes and volumes in datasets of their own."
        yield _finding("error", "mixed-dimensions", "Single planes and volumes are mixed.", listed(rest), hint)
        return
    if planes == {True} and len({fact.shape for fact in facts}) > 1:
        hint = "Nothing: images are cut into patches of one size."
        yield _finding("note", "sizes", f"Images differ in size: {sizes([fact.shape for fact in facts])}.", "", hint)
    yield from _spacings(facts)
    if planes == {False}:
        yield from _orientations(facts)


def _spacings(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Spacings unknown in some cases, or far from the usual."""
    unknown = [fact.case for fact in facts if None in fact.spacing[1:]]
    if unknown and len(unknown) < len(facts):
        used = len(unknown) * 2 <= len(facts)
        what = f"{len(unknown)} of {len(facts)} scans state no spacing, so " + (
            "they are taken as they lie and the others at one physical scale."
            if used
            else "all are taken as they lie, whatever their size."
        )
        hint = "Add the spacing to these files, state 'voxel' in dataset.yaml, or take them out."
        yield _finding("warning", "spacing-unknown", what, listed(unknown), hint)
    flat = all(fact.shape[0] == 1 for fact in facts)
    known = [fact for fact in facts if None not in (fact.spacing[1:] if flat else fact.spacing)]
    if len(known) < 3:
        return
    table = np.array([sorted(step or 1.0 for step in (fact.spacing[1:] if flat else fact.spacing)) for fact in known])
    usual = np.median(table, axis=0)
    ratio = np.maximum(table / usual, usual / table).max(axis=1)
    odd = [fact.case for fact, far in zip(known, ratio, strict=True) if far > _SPACING_FACTOR]
    if odd:
        steps = ", ".join(f"{step:.3g}" for step in usual)
        what = f"Spacing is up to {ratio.max():.1f} times off the usual ({steps}) mm, counted from finest to coarsest."
        hint = "Check the headers; if they are right, these cases are resampled strongly."
        yield _finding("warning", "spacing-outlier", what, listed(odd), hint)


def _orientations(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Scans stored in other directions than most."""
    told = [fact for fact in facts if None not in fact.spacing]
    if not told:
        return
    usual, count = _usual([fact.orientation for fact in told])
    odd = [fact for fact in told if fact.orientation != usual]
    if odd and count >= 0.8 * len(told):
        for fact in odd:
            what = f"Axes run {fact.orientation}, in most cases {usual}; scans are turned to one orientation."
            hint = "Check in a viewer that left and right, front and back are as they should be."
            yield _finding("warning", "orientation-outlier", what, fact.case, hint)


def _intensities(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Intensities on very different scales."""
    spans = {fact.case: fact.percentiles[0][3] - fact.percentiles[0][1] for fact in facts if fact.percentiles}
    spans = {case: span for case, span in spans.items() if span > 0}
    if len(spans) < 2:
        return
    low, high = min(spans, key=lambda c: spans[c]), max(spans, key=lambda c: spans[c])
    if spans[high] > _SCALE_FACTOR * spans[low]:
        what = f"Intensities differ in scale by a factor of {spans[high] / spans[low]:.0f} ({low} to {high})."
        hint = "Nothing if the scanner has no fixed units; CT must be in Hounsfield units."
        yield _finding("note", "intensity-scale", what, "", hint)


def _modality(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Volumes of two scanners under one guess: some reach the values of air in Hounsfield units, and others do not."""
    volumes = [fact for fact in facts if fact.shape[0] > 1 and fact.percentiles]
    lowest = {fact.case: min(five[0] for five in fact.percentiles) for fact in volumes}
    reaching = {case for case, low in lowest.items() if low <= HOUNSFIELD}
    if not dataset.modality_rule.startswith(GUESS) or not 0 < len(reaching) < len(lowest):
        return
    for case in sorted(lowest.keys() - reaching if dataset.modality == "ct" else reaching):
        what = f"Values go down to {lowest[case]:.0f}; the modality was guessed to be {dataset.modality!r}, and "
        what += f"volumes that it fits {'reach' if dataset.modality == 'ct' else 'do not reach'} {HOUNSFIELD}."
        hint = "Take the scan out if another scanner made it, or set 'modality' in dataset.yaml."
        yield _finding("warning", "modality", what, case, hint)


def _label_table(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Finding]:
    """How label values were mapped, with counts."""
    totals: Counter[int] = Counter()
    for fact in facts:
        totals.update(fact.label_values)
    if not totals:
        return []
    meaning = {value: s.name for s in dataset.labels.structures for value in s.values}
    if dataset.labels.ignore is not None:
        meaning[dataset.labels.ignore] = "ignored"
    rows = [f"{v} = {meaning.get(v, 'background')} ({amount(n, 'voxel')})" for v, n in sorted(totals.items())]
    hint = "Nothing if that is right; else correct 'labels' in dataset.yaml."
    return [_finding("note", "label-table", "Label values: " + ", ".join(rows) + ".", "", hint)]


def _condensed(findings: Sequence[Finding]) -> list[Finding]:
    """Warnings and notes that many cases share, said once; errors stay one by one."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        alike = finding.what if finding.level != "error" else f"{finding.where}: {finding.what}"
        groups.setdefault((finding.level, finding.code, alike, finding.hint), []).append(finding)
    return [
        alike[0] if len(alike) == 1 else alike[0].model_copy(update={"where": listed([f.where for f in alike])})
        for alike in groups.values()
    ]


def _usual(values: Sequence[_T]) -> tuple[_T, int]:
    return Counter(values).most_common(1)[0]
