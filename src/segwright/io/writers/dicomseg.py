"""DICOM SEG beside the images it belongs to, for archives and viewers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright.core.case import LabelSource
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.io import dicomsegout
from segwright.io.writers.fit import masks_of


class DicomSeg:
    """`<case>.dcm` with a segment a structure; scans must be DICOM."""

    joint = False

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.folder = folder
        self.colours = [space.colour(index) for index in range(len(space.structures))]

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        path = self.folder / f"{item.case}.dcm"
        told = item.provenance  # labels that were converted have none
        model = f"{told.get('segwright', '')} {told.get('plan', '')}".strip() or "unnamed" if told else ""
        dicomsegout.write(path, masks_of(item), item.source, self.colours, model=model)
        return (LabelSource(path=path.name),)

    def close(self) -> tuple[Path, ...]:
        """Nothing is shared."""
        return ()

    def kept(self, case: str) -> tuple[Path, ...]:
        """The case's file, if it is there."""
        path = self.folder / f"{case}.dcm"
        return (path,) if path.is_file() else ()
