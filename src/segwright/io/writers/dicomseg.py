"""DICOM SEG beside the images it belongs to, for archives and viewers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright.core.case import LabelSource
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.io import dicomsegout
from segwright.io.labeltable import FILENAME, told_codes, write_table
from segwright.io.terms import terms_of
from segwright.io.writers.fit import masks_of


class DicomSeg:
    """`<case>.dcm` with a segment a structure; scans must be DICOM."""

    joint = False

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.folder, self.space = folder, space
        self.colours = [space.colour(index) for index in range(len(space.structures))]
        self.terms = [terms_of(structure) for structure in space.structures]
        self.notes = tuple(told_codes(space))

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        path = self.folder / f"{item.case}.dcm"
        told = item.provenance  # labels that were converted have none
        model = f"{told.get('segwright', '')} {told.get('plan', '')}".strip() or "unnamed" if told else ""
        dicomsegout.write(path, masks_of(item), item.source, self.colours, self.terms, model=model)
        return (LabelSource(path=path.name),)

    def close(self) -> tuple[Path, ...]:
        """What the segments are, with their codes, as a table to correct."""
        return (write_table(self.space, self.folder / FILENAME),)

    def kept(self, case: str) -> tuple[Path, ...]:
        """The case's file, if it is there."""
        path = self.folder / f"{case}.dcm"
        return (path,) if path.is_file() else ()
