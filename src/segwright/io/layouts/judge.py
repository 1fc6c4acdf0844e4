"""Chooses between the layouts that fit a folder, by how much of it each explains and whether its labels are labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from segwright.core.case import Dataset, Decision
from segwright.core.errors import ChoiceError, LayoutError, Reading, SegwrightError
from segwright.core.words import amount
from segwright.io.layouts import LAYOUTS, Doubting, Layout, fits
from segwright.io.layouts.content import is_label, sample
from segwright.io.layouts.inventory import explained, readable, tree
from segwright.io.layouts.names import only_label_words, role
from segwright.io.layouts.scan import suffix_of
from segwright.io.protocol import reason

#: A reading that explains this share of the files is taken without asking the layouts after it.
ENOUGH = 0.95
#: Of readings that explain nearly as much, the one that stands first in the table is taken.
_CLOSE = 0.05
#: A reading that explains less leaves so much aside that it may be none; it is not taken unless it is stated.
_LEAST = 0.5
#: Cases whose files are looked into.
_LOOKED_AT = 6


@dataclass(frozen=True, slots=True)
class Proposal:
    """A folder as one layout reads it.

    Attributes:
        layout: Row of the table.
        dataset: The cases, with what the layout does not state left open.
        worth: Share of the files it explains, less for labels without images; below 0 if content speaks
            against it.
    """

    layout: str
    dataset: Dataset
    worth: float


def proposals(place: Path) -> list[Proposal]:
    """Readings of a place, in the order of the table, up to the first that explains nearly everything.

    A layout that a file states (a table, a `dataset.json`) is never judged against guesses.
    """
    files = readable(place) if place.is_dir() else set()
    found: list[Proposal] = []
    for name in LAYOUTS:
        row: Layout = LAYOUTS.load(name)
        if not fits(row, place):
            continue
        if getattr(row, "stated", False):
            return [Proposal(name, opened(row, place), 1.0)]
        made = _proposed(name, row, place, files)
        if made is not None:
            found.append(made)
            if made.worth >= ENOUGH and not (isinstance(row, Doubting) and row.doubtful(place)):
                break
    return found


def opened(row: Layout, place: Path) -> Dataset:
    """The place as a layout reads it; a document that states cases may hold anything in any place.

    Raises:
        LayoutError: What it holds cannot be understood, or what the layout itself refuses.
    """
    try:
        return row.open(place)
    except SegwrightError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise LayoutError(
            "What the folder's documents state cannot be understood.",
            expected=row.looks_like,
            got=reason(error),
            where=place,
            hint="Correct the document, or take it away to have the folder read by its names.",
        ) from error


def _proposed(name: str, row: Layout, place: Path, files: set[Path]) -> Proposal | None:
    try:
        dataset = opened(row, place)
    except SegwrightError:
        return None  # another layout may fit; if none does, the place is not understood
    return Proposal(name, dataset, _worth(dataset, files))


def _worth(dataset: Dataset, files: set[Path]) -> float:
    pairs = sum(bool(case.images and case.label) for case in dataset.cases)
    lone = sum(not case.images for case in dataset.cases)
    if not pairs:
        return 0.0
    if _swapped(dataset):
        return -1.0
    return explained(dataset, files) * pairs / (pairs + lone)


def _swapped(dataset: Dataset) -> bool:
    """Whether some case of a few has a drawing for its image: by its name, or by content where no name says so."""
    labelled = [case for case in dataset.labelled if case.images]
    for case in sample(labelled, _LOOKED_AT):
        image, label = dataset.path(case.images[0]), dataset.path(case.label[0])
        if label != image and only_label_words(image.name.split(".")[0]):
            return True  # `p1/mask.png` and `p2/mask.png` are two labels
        named = any(role(part) == "label" for part in Path(case.label[0].path).parts)
        if label == image or named or suffix_of(label) in {".json", ".csv", ".tsv", ".dcm"}:
            continue
        if is_label(label) is False and is_label(image) is True:
            return True
    return False


def choose(found: list[Proposal]) -> Proposal | None:
    """The reading that explains most, with what else was possible; `None` where nothing speaks for any.

    Raises:
        ChoiceError: Another reading explains nearly as much, and pairs other files.
    """
    best = max((made.worth for made in found), default=-1.0)
    if best < 0:
        return None
    close = [made for made in found if made.worth >= best - _CLOSE]
    taken = close[0]
    _refuse_rivals(taken, [made for made in close if made.worth > 0])
    others = [made for made in found if made is not taken and made.worth > 0]
    other = max(others, key=lambda made: made.worth, default=None)
    told = f"{other.layout} (no: it explains {other.worth:.0%} of the files)" if other else ""
    why = f"explains {taken.worth:.0%} of the files that can be read"
    decision = Decision(topic="layout", chosen=taken.layout, why=why, other=told)
    decided = taken.dataset.model_copy(update={"decisions": (*taken.dataset.decisions, decision)})
    return replace(taken, dataset=decided)


def refuse_little(dataset: Dataset, worth: float) -> None:
    """Refuses the best reading of a folder if it would leave most of the files aside.

    Raises:
        LayoutError: With what the reading is, and how to state it.
    """
    pairs = [case for case in dataset.labelled if case.images]
    if worth >= _LEAST or not pairs:
        return
    root = Path(dataset.root)
    first = f"{pairs[0].images[0].path} with {pairs[0].label[0].path}"
    raise LayoutError(
        "No arrangement explains more than half of this folder.",
        expected=f"the nearest arrangement is {dataset.layout!r}: {amount(len(pairs), 'pair')} of image and label, "
        f"such as {first}; it would leave {1 - worth:.0%} of the files that can be read aside",
        got=f"\n{tree(root)}",
        where=root,
        hint=f"If these pairs are all that is meant, write 'layout: {dataset.layout}' into {root / Dataset.filename}; "
        "else take the other files out, state the folders there ('images: FOLDER', 'labels: FOLDER'), or list the "
        "cases in a CSV table with columns id, image, label, group.",
    )


def _refuse_rivals(taken: Proposal, close: list[Proposal]) -> None:
    """Ask where readings that explain nearly as much pair other files."""
    rivals = [taken, *(made for made in close if _pairs(made.dataset) != _pairs(taken.dataset))]
    if len(rivals) > 1:
        raise ChoiceError(
            f"The folder can be understood in {len(rivals)} ways, which explain nearly as many of its files.",
            [Reading(_counted(made), {"layout": made.layout}) for made in rivals],
            taken.dataset.root,
        )


def _pairs(dataset: Dataset) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Which files are the image and which the label of one case, whatever cases are called."""
    cases = (([s.path for s in case.images], [s.path for s in case.label]) for case in dataset.cases)
    return {(frozenset(images), frozenset(labels)) for images, labels in cases}


def _counted(made: Proposal) -> str:
    count = f"{amount(len(made.dataset.cases), 'case')}, {len(made.dataset.labelled)} with a label"
    return f"{made.layout}: {count}, {made.worth:.0%} of the files"
