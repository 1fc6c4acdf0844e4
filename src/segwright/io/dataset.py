"""Opens whatever a person points at (a folder, a table, an edited `dataset.yaml`) as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Dataset, Decision
from segwright.core.errors import LayoutError
from segwright.io.layouts.arrays import with_axes
from segwright.io.layouts.channels import refuse_strangers, with_channels
from segwright.io.layouts.container import with_keys
from segwright.io.layouts.drawings import sift
from segwright.io.layouts.groups import with_groups
from segwright.io.layouts.inventory import nearest, seen, set_aside, tree
from segwright.io.layouts.judge import refuse_little
from segwright.io.layouts.legends import with_legend, with_table
from segwright.io.layouts.places import with_places
from segwright.io.layouts.readers import each_reader, joined
from segwright.io.layouts.series import with_grids, with_series
from segwright.io.layouts.turns import with_turns
from segwright.io.layouts.two import labels_alone, two_places
from segwright.io.layouts.values import with_labels
from segwright.io.reading import Reading, Stated, reading_of
from segwright.io.scans import without_labels


def open_dataset(path: str | Path, *, layout: str | None = None) -> Dataset:
    """A dataset from a folder, a CSV table or a `dataset.yaml`.

    A YAML file is taken as it is, and so are the lines of a `dataset.yaml` in the folder that names no cases. A folder
    is read by the layout that explains most of it (or by `layout`), and what no file states (channels, modality,
    label values, groups) is found in the data and told in `notes`. A scan, or a folder of scans, has no labels yet.

    Raises:
        LayoutError: No layout fits; says what was seen and what would have fitted.
        UnknownNameError: No layout is called `layout`.
    """
    place = _existing(path)
    found = reading_of(place, layout)
    if found.whole and found.dataset is not None:
        return found.dataset
    if found.stated is None:
        return complete(_labelled_or_bare(found, place))
    whole = complete(_labelled_or_bare(found, found.place), found.stated.readers)
    lines = ", ".join(sorted(found.stated.model_fields_set - {"root", "schema_number"}))
    decision = Decision(topic="stated", chosen=lines, why=f"stated in {Dataset.filename}")
    return whole.model_copy(update={"decisions": (decision, *whole.decisions)})


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
            got=seen(place),
            where=place,
            hint="Give the folder that holds the labels, and that of the images with --images.",
        )
    return complete(alone)


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, hint="Check the path.")
    return place.resolve()


def complete(dataset: Dataset, readers: Sequence[str] = ()) -> Dataset:
    """The dataset with whatever its layout left open found in the data; `readers` as a person states them."""
    sifted, dropped = sift(with_turns(with_channels(with_axes(with_grids(with_series(with_keys(dataset)))))), readers)
    whole = with_groups(joined(with_places(with_legend(with_table(with_labels(each_reader(sifted)))))))
    return whole.model_copy(update={"aside": set_aside(whole, dropped)})


def _labelled_or_bare(found: Reading, place: Path) -> Dataset:
    """The cases of a reading, or scans that have no labels yet."""
    if found.dataset is not None:
        if found.guessed:
            refuse_little(found.dataset, found.explains)
            return refuse_strangers(found.dataset)
        return found.dataset
    bare = without_labels(found.place)
    if bare is None:
        raise _unknown(place)
    return bare.model_copy(update={"notes": (*bare.notes, "There are no labels yet.")})


def _unknown(place: Path) -> LayoutError:
    """An error that says what was seen, what it comes nearest to, and how to state what is meant."""
    near, lines = nearest(place)
    return LayoutError(
        "The arrangement of this folder is not understood.",
        expected=f"the nearest arrangement is: {near}",
        got=f"\n{tree(place)}",
        where=place,
        hint=f"Write these lines into {place / Stated.filename} and correct them, or list the cases in a CSV table "
        f"with columns id, image, label, group. 'segwright doctor' lists all arrangements.\n    {lines}",
    )
