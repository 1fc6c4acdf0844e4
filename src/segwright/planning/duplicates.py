"""Tells which scans are in a dataset more than once, and keeps them on one side of every split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from segwright.core.inspection import CaseFacts, Finding
from segwright.planning.likeness import twins

#: What happens to scans that are found twice.
TOGETHER = "They are kept in one fold"


def gathered(facts: Sequence[CaseFacts], labels: Mapping[str, str]) -> tuple[list[CaseFacts], list[Finding]]:
    """The facts with one group for all scans of the same picture, and what was found.

    Args:
        facts: Of all cases that could be read.
        labels: Hash of each label.
    """
    equal = _equal(facts)
    near = [pair for pair in twins(facts) if pair not in {(a.case, b.case) for a, b in equal}]
    findings = [_of_equal(first, again, labels) for first, again in equal]
    findings += list(_of_near(near, {fact.case: fact for fact in facts}))
    return _joined(facts, [*((a.case, b.case) for a, b in equal), *near]), findings


def _equal(facts: Sequence[CaseFacts]) -> list[tuple[CaseFacts, CaseFacts]]:
    """Each image that equals an earlier one voxel by voxel, after the first such; constant ones are told elsewhere."""
    first: dict[str, CaseFacts] = {}
    pairs = [(first.setdefault(fact.digest, fact), fact) for fact in facts if not _constant(fact)]
    return [(one, again) for one, again in pairs if one is not again]


def _constant(fact: CaseFacts) -> bool:
    return all(row[0] == row[4] for row in fact.percentiles)


def _of_equal(first: CaseFacts, again: CaseFacts, labels: Mapping[str, str]) -> Finding:
    what = f"The image equals that of case {first.case!r} voxel by voxel"
    one, other = labels.get(again.case), labels.get(first.case)
    if one and other and one != other:
        hint = "Keep one of the two: find out which label is right."
        return Finding(
            level="error", code="duplicate-labels", what=f"{what}, but the labels differ.", where=again.case, hint=hint
        )
    hint = f"{TOGETHER}; better remove one of the two."
    return Finding(level="warning", code="duplicate", what=f"{what}.", where=again.case, hint=hint)


def _of_near(pairs: Sequence[tuple[str, str]], facts: Mapping[str, CaseFacts]) -> Iterator[Finding]:
    """One finding a case that shows what an earlier one shows."""
    seen: set[str] = set()
    for first, again in pairs:
        if again in seen:
            continue
        seen.add(again)
        other = "" if facts[first].group == facts[again].group else ", of another group"
        what = f"The image seems to be that of case {first!r} once more{other} (compressed, resized, mirrored)."
        hint = f"{TOGETHER}; look at both, and remove one if they are the same scan."
        yield Finding(level="warning", code="near-duplicate", what=what, where=again, hint=hint)


def _joined(facts: Sequence[CaseFacts], pairs: Sequence[tuple[str, str]]) -> list[CaseFacts]:
    """Groups of paired cases become one, named as the first of them."""
    leader = {fact.group: fact.group for fact in facts}
    group = {fact.case: fact.group for fact in facts}

    def root(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for first, again in pairs:
        leader[root(group[again])] = root(group[first])
    return [
        fact if root(fact.group) == fact.group else fact.model_copy(update={"group": root(fact.group)})
        for fact in facts
    ]
