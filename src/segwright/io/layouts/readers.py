"""Several people's drawings of one thing: recognised, compared, and learnt from one by one or as what all agree on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import LabelError
from segwright.core.words import agree, amount
from segwright.io.layouts.names import LABEL_WORDS, only_label_words, tokens

#: Dice of drawings of two readers by their names, and whatever they are called; the latter lie in one another in part.
_READERS, _SURELY_READERS, _INSIDE = 0.5, 0.85, 0.99
_READER_WORDS = frozenset(
    "reader rater observer annotator expert doctor radiologist obs ann consultant first second third".split()  # noqa: SIM905
)

Raws = Mapping[str, NDArray[Any]]
#: Names with their Dice against the first: mean and range.
Readers = Sequence[tuple[str, str]]


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Dice of what two drawings show; 1 where both are empty."""
    both, total = np.count_nonzero((a != 0) & (b != 0)), np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * both / total if total else 1.0


def agreement(a: str, b: str, looks: Sequence[Raws]) -> list[float]:
    """Dice of two drawings over the cases that have both and where one shows something."""
    pairs = [(look[a], look[b]) for look in looks if a in look and b in look]
    return [dice(x, y) for x, y in pairs if x.any() or y.any()]


def find_readers(names: Sequence[str], looks: Sequence[Raws], kinds: Mapping[str, str]) -> list[str]:
    """Names of drawings of one thing by several people, after what some cases hold; none or two at least."""
    twice = [name for name in names if _read_twice(names[0], name, agreement(names[0], name, looks), looks)]
    return twice if len(twice) > 1 and len({kinds[name] for name in twice}) == 1 else []


def compared(
    names: Sequence[str], looks: Iterable[tuple[str, Raws]], *, sure: bool, root: str
) -> list[tuple[str, str]]:
    """Names of readers with their Dice against the first over all cases: mean and range.

    Args:
        names: The readers; there may be none.
        looks: What each case holds, by its id; one is held at a time.
        sure: Whether a person says that they are readers.
        root: The data set.

    Raises:
        LabelError: Nothing but what they drew says that they are readers, and in some case that differs.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    for case, look in looks:
        for name in names:
            both = agreement(names[0], name, [look])
            found[name] += both
            if both and not sure and both[0] < _SURELY_READERS and not _same_but_for_reader(names[0], name):
                raise LabelError(
                    f"{_quoted([names[0], name])} are drawings of one thing in most cases, but not in case {case!r}.",
                    expected=f"Dice {_SURELY_READERS} or more in every case, or in few",
                    got=f"Dice {both[0]:.2f}",
                    where=root,
                    hint="Correct that case; if they are drawings of one thing by several readers nevertheless, put "
                    f"'readers: [{', '.join(names)}]' in dataset.yaml.",
                )
    dice = {name: values or [float("nan")] for name, values in found.items()}
    return [(name, f"{np.mean(d):.2f} [{min(d):.2f} to {max(d):.2f}]") for name, d in dice.items()]


def _read_twice(a: str, b: str, agreement: Sequence[float], looks: Sequence[Raws]) -> bool:
    if a == b or not agreement:
        return a == b
    if _same_but_for_reader(a, b):
        return float(np.mean(agreement)) >= _READERS
    return min(agreement) >= _SURELY_READERS and not _nested(a, b, looks)


def _same_but_for_reader(a: str, b: str) -> bool:
    """Whether two names differ in a number, an ordinal or a letter beside a word for a person or for labels."""
    mark = re.compile(r"^(\d+(st|nd|rd|th)?|[a-d]|first|second|third)$")

    def split(name: str) -> tuple[set[str], set[str]]:
        words = set(tokens(re.sub(r"(?<=[A-Za-z])(?=\d)", "_", name)))
        marks = {word for word in words if mark.match(word)}
        return words - marks, marks

    (words, own), (others, other) = split(a), split(b)
    if (only_label_words(a) and other and others <= _READER_WORDS) or (
        only_label_words(b) and own and words <= _READER_WORDS
    ):
        return True  # `labels` beside `reader2`
    if words - _READER_WORDS == others - _READER_WORDS and bool(own and words & _READER_WORDS) != bool(
        other and others & _READER_WORDS
    ):
        return True  # `liver` beside `liver_reader2`
    return words == others and own != other and bool(own and other) and bool(words & (_READER_WORDS | LABEL_WORDS))


def _nested(a: str, b: str, looks: Sequence[Raws]) -> bool:
    """Whether one drawing lies wholly in the other in every case, as a part lies in its organ."""
    pairs = [(look[a] != 0, look[b] != 0) for look in looks if a in look and b in look]
    return all(within(x, y) for x, y in pairs) or all(within(y, x) for x, y in pairs)


def within(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> bool:
    """Whether nearly all of one mask lies in another."""
    return bool(np.count_nonzero(part & whole) >= _INSIDE * np.count_nonzero(part))


def first_read(dataset: Dataset, readers: Readers) -> Dataset:
    """The dataset with what is known of its readers, the first of whom is learnt from."""
    names = [name for name, _ in readers]
    what = "what both drew" if len(names) == 2 else "what more than half drew"
    note = (
        f"{_quoted(names)} are drawings of one thing by several readers. {names[0]!r} is learnt from; Dice of the "
        f"others with it, which no model can be asked to exceed: {_agreement_told(readers)}. To learn from another, "
        f"put 'readers: [{', '.join([names[1], names[0], *names[2:]])}]' in dataset.yaml; to learn from what they "
        f"agree on, 'readers: [{', '.join(names)}]' and below it 'consensus: majority' ({what}) or 'consensus: staple'."
    )
    return dataset.model_copy(update={"notes": (*dataset.notes, note), "readers": tuple(names)})


def all_read(dataset: Dataset, readers: Readers) -> Dataset:
    """The dataset with the drawings of all readers as sources of one label.

    Raises:
        LabelError: There are no readers.
    """
    names = [name for name, _ in readers]
    if len(names) < 2:
        raise LabelError(
            "A consensus is stated, and there are no two readers.",
            expected="two folders or more in which the same was drawn",
            where=dataset.root,
            hint="Name them in dataset.yaml, e.g. 'readers: [FOLDER_A, FOLDER_B]'.",
        )
    cases = tuple(case.model_copy(update={"label": _signed(case, names)}) for case in dataset.cases)
    few = sum(0 < len(case.label) < len(names) for case in cases)
    rule = {"majority": "a voxel is what more than half say, else background", "staple": "weighed by STAPLE"}
    if len(names) == 2:
        rule["majority"] = "of two readers, what both drew"
    note = f"{_quoted(names)} are drawings of one thing by several readers; their consensus is learnt from "
    note += f"({rule[dataset.consensus]}). Dice of the others with {names[0]!r}: {_agreement_told(readers)}."
    note += f" {amount(few, 'case')} {agree(few, 'was', 'were')} not drawn by all." if few else ""
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, note), "readers": tuple(names)})


def _signed(case: Case, readers: Sequence[str]) -> tuple[LabelSource, ...]:
    """The drawings of a case, each with its reader in place of a structure."""
    own = sorted((s for s in case.label if s.structure in readers), key=lambda s: readers.index(s.structure or ""))
    return tuple(source.model_copy(update={"structure": None, "reader": source.structure}) for source in own)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _agreement_told(readers: Readers) -> str:
    return "; ".join(f"{name} {told}" for name, told in readers[1:])


def each_reader(dataset: Dataset) -> Dataset:
    """The dataset with each reader's drawing of a case as a case of its own, so that all are looked into."""
    if not dataset.consensus:
        return dataset
    return dataset.model_copy(update={"cases": tuple(part for case in dataset.cases for part in _apart(case))})


def _apart(case: Case) -> list[Case]:
    """A case for each drawing; the first keeps the id."""
    drawings = [case.model_copy(update={"label": (source,)}) for source in case.label] or [case]
    return [drawings[0], *(one.model_copy(update={"id": f"{one.id}/{i}"}) for i, one in enumerate(drawings[1:], 2))]


def joined(dataset: Dataset) -> Dataset:
    """The cases of `each_reader` put together again."""
    if not dataset.consensus:
        return dataset
    whole: dict[str, Case] = {}
    for part in dataset.cases:
        name = part.id.partition("/")[0]
        before = whole[name].label if name in whole else ()
        whole[name] = part.model_copy(update={"id": name, "label": (*before, *part.label)})
    return dataset.model_copy(update={"cases": tuple(whole.values())})
