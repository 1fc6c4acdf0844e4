"""Opens whatever a person points at (a folder, a table, an edited `dataset.yaml`) as a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Dataset, Decision
from segwright.core.document import parse_yaml
from segwright.core.errors import LayoutError, UsageError
from segwright.io.layouts import LAYOUTS, Layout
from segwright.io.layouts.arrays import with_axes
from segwright.io.layouts.channels import with_channels
from segwright.io.layouts.drawings import sift
from segwright.io.layouts.forms import with_grids
from segwright.io.layouts.groups import with_groups
from segwright.io.layouts.inventory import set_aside
from segwright.io.layouts.judge import choose, proposals
from segwright.io.layouts.keys import with_keys
from segwright.io.layouts.labeltable import with_table
from segwright.io.layouts.legends import with_legend
from segwright.io.layouts.names import role
from segwright.io.layouts.places import with_places
from segwright.io.layouts.scan import (
    subfolders,
)
from segwright.io.layouts.scenes import refuse_strangers
from segwright.io.layouts.series import with_series
from segwright.io.layouts.tree import nearest, seen, tree
from segwright.io.layouts.turns import with_turns
from segwright.io.layouts.two import labels_alone, two_places
from segwright.io.layouts.values import with_labels
from segwright.io.scans import without_labels
from segwright.io.stated import Stated


def open_dataset(path: str | Path, *, layout: str | None = None) -> Dataset:
    """A dataset from a folder, a CSV table or a `dataset.yaml`.

    A YAML file is taken as it is, and so are the lines of a `dataset.yaml` in the folder that names no cases. A folder
    is read by the layout that explains most of it (or by `layout`), and what no file states (channels, modality,
    label values, groups) is found in the data and told in `notes`. A scan, or a folder of scans, has no labels yet.

    Raises:
        LayoutError: No layout fits; says what was seen and what would have fitted.
        UnknownNameError: No layout is called `layout`.
    """
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, cure="Check the path.")
    if place.suffix.lower() in {".yaml", ".yml"}:
        return _from_yaml(place)
    stated = place / Stated.filename
    if layout is None and place.is_dir() and stated.is_file() and _is_short(stated):
        return _from_yaml(stated)
    return complete(_draft(place.resolve(), layout))


def open_labels(labels: str | Path, images: str | Path | None = None) -> Dataset:
    """Labels of any form, with the images they were drawn on or without: enough to convert or compare them.

    Raises:
        LayoutError: There are no labels, or none fits an image.
    """
    place = _existing(labels)
    if images is not None:
        return complete(two_places(place, _existing(images)))
    alone = labels_alone(place)
    if alone is None:
        raise LayoutError(
            "No labels were found.",
            expected="masks, polygons (LabelMe or COCO JSON), a run-length CSV, or a folder of images with labels",
            came=seen(place),
            where=place,
            cure="Give the folder that holds the labels, and that of the images with --images.",
        )
    return complete(alone)


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, cure="Check the path.")
    return place.resolve()


def complete(dataset: Dataset, readers: Sequence[str] = ()) -> Dataset:
    """The dataset with whatever its layout left open found in the data; `readers` as a person states them."""
    sifted, dropped = sift(with_turns(with_channels(with_axes(with_grids(with_series(with_keys(dataset)))))), readers)
    whole = with_groups(with_places(with_legend(with_table(with_labels(sifted)))))
    return whole.model_copy(update={"aside": set_aside(whole, dropped)})


def _draft(place: Path, layout: str | None) -> Dataset:
    """The folder as its layout sees it."""
    if layout is not None:
        row: Layout = LAYOUTS.load(layout)
        if not row.matches(place):
            raise LayoutError(
                f"The folder is not arranged as {layout!r}.",
                expected=row.looks_like,
                came=seen(place),
                where=place,
                cure="Leave the layout out to have it recognised, or write a CSV table.",
            )
        return row.open(place)
    chosen = choose(proposals(place))
    if chosen is not None:
        refuse_strangers(chosen)
        return chosen
    children = [] if place.is_file() else subfolders(place)
    fitting = [child for child in children if role(child.name) != "label"]
    if len(fitting) == 1 and len(children) == 1:
        try:
            return _draft(fitting[0], None)
        except LayoutError as error:
            raise _unknown(place) from error
    bare = without_labels(place)
    if bare is None:
        raise _unknown(place)
    return bare.model_copy(update={"notes": (*bare.notes, "There are no labels yet.")})


def _is_short(path: Path) -> bool:
    """Whether a `dataset.yaml` states a few things of a folder, and not every case."""
    data = parse_yaml(path.read_text(encoding="utf-8-sig"), path)
    return isinstance(data, dict) and "cases" not in data


def _from_yaml(path: Path) -> Dataset:
    """An edited interpretation, or a few lines on a folder; a relative root is meant from the file's folder."""
    if not _is_short(path):
        dataset = Dataset.load(path)
        _refuse_doubled(dataset, path)
        return dataset.model_copy(update={"root": str(_root_of(dataset.root, path))})
    stated = Stated.load(path)
    root = _root_of(stated.root, path)
    dataset = stated.on(stated.pairs(root) if stated.folders else _draft(root, stated.layout))
    whole = complete(dataset, stated.readers)
    lines = ", ".join(sorted(stated.model_fields_set - {"root", "schema_number"}))
    decision = Decision(topic="stated", chosen=lines, why=f"stated in {path.name}")
    return whole.model_copy(update={"decisions": (decision, *whole.decisions)})


def _root_of(root: str, path: Path) -> Path:
    full = Path(root) if Path(root).is_absolute() else (path.parent / root).resolve()
    if not full.is_dir():
        raise LayoutError("The dataset's root does not exist.", came=full, where=path, cure="Correct 'root'.")
    return full


def _refuse_doubled(dataset: Dataset, path: Path) -> None:
    ids = Counter(case.id for case in dataset.cases)
    doubled = [name for name, count in ids.items() if count > 1]
    if doubled:
        raise UsageError(
            f"Two cases are called {doubled[0]!r}.",
            where=path,
            cure="Give every case an id of its own in dataset.yaml.",
        )


def _unknown(place: Path) -> LayoutError:
    """An error that says what was seen, what it comes nearest to, and how to state what is meant."""
    near, lines = nearest(place)
    return LayoutError(
        "The arrangement of this folder is not understood.",
        expected=f"the nearest arrangement is: {near}",
        came=f"\n{tree(place)}",
        where=place,
        cure=f"Write these lines into {place / Stated.filename} and correct them, or list the cases in a CSV table "
        f"with columns id, image, label, group. 'segwright doctor' lists all arrangements.\n    {lines}",
    )
