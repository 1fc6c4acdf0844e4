"""The Medical Segmentation Decathlon's folders, and MONAI's data lists: a JSON file with `training` pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segwright.core.case import Case, Dataset, Source
from segwright.core.labels import LabelSpace
from segwright.io.layouts.listing import draft, label_source, unique_ids
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.nnunet import channel_names, label_space, modality, peek_json, read_json
from segwright.io.layouts.scan import Item, relative, stem_of, visible
from segwright.io.layouts.spreadsheet import located


class Decathlon:
    """`dataset.json` whose `training` list holds `{image, label}`; several channels lie in one 4-D file."""

    stated = True
    looks_like = "a Decathlon folder (dataset.json with a list 'training' of image and label)"

    def matches(self, folder: Path) -> bool:
        """Whether some JSON file here has such a list."""
        return _document(folder) is not None

    def open(self, folder: Path) -> Dataset:
        """The list's cases; rows may name several images (channels) and carry a `group` or `patient`."""
        path = _document(folder) or folder / "dataset.json"
        facts = read_json(path)
        rows = [*facts["training"], *facts.get("validation", [])]
        cases = unique_ids(_case(row, folder) for row in rows)
        channels = channel_names(facts)
        table = facts.get("labels")
        space, notes = label_space(table, path) if isinstance(table, dict) else (LabelSpace(), [])
        notes = [f"Cases as listed in {path.name}.", *notes]
        if facts.get("numTraining") not in (None, len(rows)):
            notes.append(f"{path.name} counts {facts['numTraining']} training cases and lists {len(rows)}.")
        return draft(
            folder, "decathlon", cases, channels=channels, labels=space, notes=notes, modality=modality(channels)
        )


DECATHLON = Decathlon()


def _document(folder: Path) -> Path | None:
    """The JSON file with a list of training pairs; `dataset.json` first."""
    found = [p for p in visible(folder) if p.suffix == ".json" and p.is_file() and p.stat().st_size < 50_000_000]
    for path in sorted(found, key=lambda p: p.name != "dataset.json")[:5]:
        facts = peek_json(path)
        rows = (facts or {}).get("training")
        if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "image" in rows[0]:
            return path
    return None


def _case(row: dict[str, Any], folder: Path) -> Case:
    images = row["image"] if isinstance(row["image"], list) else [row["image"]]
    paths = [located(folder, image) for image in images]
    label = row.get("label")
    label = label[0] if isinstance(label, list) else label
    return Case(
        id=safe_id(str(row.get("id") or stem_of(paths[0]))),
        images=tuple(Source(path=relative(path, folder)) for path in paths),
        label=(label_source(Item(located(folder, label), ""), folder),) if label else (),
        group=str(row.get("group") or row.get("patient") or ""),
    )
