"""A folder of images with a CSV table of run lengths, a row a structure and image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, SegwrightError
from segwright.io.formats import rle
from segwright.io.formats.rle.counting import Found, Sample, find_counting
from segwright.io.formats.rle.table import KEYS, RLE
from segwright.io.layouts.listing import draft
from segwright.io.layouts.named import cases_of, files_below, images_below


class RunTable:
    """One table beside or above the images."""

    stated = True
    looks_like = "images and a CSV table of run lengths (images/a.png, train.csv with image_name, class, rle)"

    def matches(self, folder: Path) -> bool:
        """Whether there is exactly one such table, and there are images."""
        return len(_tables(folder)) == 1 and bool(images_below(_root(folder)))

    def open(self, folder: Path) -> Dataset:
        """One case an image; a class a structure."""
        return masks(_root(folder), _tables(folder)[0])


RLE_TABLE = RunTable()


def _root(place: Path) -> Path:
    return place.parent if place.is_file() else place


def _tables(place: Path) -> list[Path]:
    found = [place] if place.is_file() else files_below(place, (".csv", ".tsv"), depth=2)
    return [path for path in found if io.form_of(path) is rle.FORM]


def masks(images: Path, table: Path) -> Dataset:
    """Images of one folder with the masks of a table."""
    pairs = [(table, entry) for entry in rle.entries(table)]
    cases, rule, notes = cases_of(images_below(images), pairs, images)
    image, classes, runs = rle.columns_of(table)
    told = f"columns {', '.join((image, *classes, runs))}"
    found = _counting(images, table, cases, usual={image, *classes, runs} == {*KEYS, RLE})
    notes.append(f"Labels from {table.name} ({told}); runs count {_in_words(found)}.")
    return draft(images, "rle", cases, notes=notes, group_rule=rule, run_lengths=str(found.counting))


def _counting(root: Path, table: Path, cases: Sequence[Case], *, usual: bool) -> Found:
    """How the table counts, by its rows whose images are there.

    Raises:
        LabelError: Nothing tells, and the table is none of those that are written here, which count along rows.
    """
    found = counting_of(root, table, cases)
    if not found.sure and not usual:
        raise LabelError(
            "Whether runs go along rows or down columns cannot be told.",
            got=found.why,
            where=table,
            hint="State it: name the columns image_name, class and rle if runs go along rows from 1, or list the cases "
            "in a dataset.yaml with 'layout: rle' and 'run_lengths: columns from 1' (or 'rows from 1').",
        )
    return found


def counting_of(root: Path, table: Path, cases: Sequence[Case]) -> Found:
    """How a table counts that is the label of cases with images; along rows where nothing tells."""
    texts, samples = rle.texts(table), []
    labelled = [case for case in cases if case.label and case.images]
    for case in labelled:
        path = root / case.images[0].path
        try:
            size = io.read(path).geometry.shape
        except SegwrightError:
            continue  # the check will say what is wrong
        for source in case.label:
            rows = texts.get(source.key or "", ())
            samples += [Sample(text, (size[1], size[2]), partial(_voxels, path)) for text in rows]
    return find_counting(samples)


def _voxels(path: Path) -> NDArray[Any]:
    return io.read(path).array()


def _in_words(found: Found) -> str:
    way = found.counting
    base = f"{'down the columns' if way.down else 'along the rows'} from {way.first}"
    base += ", each start from the end of the run before" if way.relative else ""
    return f"{base}{'' if found.sure else ', a guess'} ({found.why}); 'run_lengths' in dataset.yaml states another way"
