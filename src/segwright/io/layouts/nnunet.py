"""Folders with a dataset.json: nnU-Net of either version, the Medical Segmentation Decathlon, and data lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import LayoutError, ReadError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.parse import parse_json, text_of
from segwright.io.layouts.listing import draft, label_source, unique_ids
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import Item, items, relative, stem_of, visible
from segwright.io.layouts.spreadsheet import located


class NnUNet:
    """Raw datasets of nnU-Net."""

    stated = True
    looks_like = "an nnU-Net raw folder (dataset.json, imagesTr/case_0000.nii.gz, labelsTr/case.nii.gz)"

    def matches(self, folder: Path) -> bool:
        """`dataset.json` with labels, beside `imagesTr` with numbered channels or a list of cases."""
        facts = peek_json(folder / "dataset.json")
        if not facts or "labels" not in facts:
            return False
        listed = isinstance(facts.get("dataset"), dict)
        stems = [item.stem for item in items(folder / "imagesTr")][:50]
        return listed or (bool(stems) and all(re.search(r"_\d{4}$", stem) for stem in stems))

    def open(self, folder: Path) -> Dataset:
        """Read `dataset.json` and pair channels with labels by case name."""
        facts = read_json(folder / "dataset.json")
        channels = channel_names(facts)
        labels = items(folder / "labelsTr")
        cases = _listed(facts, folder) or _by_name(items(folder / "imagesTr"), labels, folder)
        notes = []
        if len(items(folder / "imagesTs")):
            notes.append("imagesTs was left out: it holds scans to predict, not cases to learn from.")
        counted = facts.get("numTraining")
        if isinstance(counted, int) and counted != len(cases):
            notes.append(f"dataset.json counts {counted} training cases, the folder holds {len(cases)}.")
        space, told = label_space(facts["labels"], folder / "dataset.json")
        return draft(
            folder, "nnunet", cases, channels=channels, labels=space, notes=[*notes, *told], modality=modality(channels)
        )


NNUNET = NnUNet()


def peek_json(path: Path) -> dict[str, Any] | None:
    """The file's object, or `None` if there is no readable one."""
    try:
        return read_json(path)
    except ReadError:
        return None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ReadError: Absent, damaged or not an object.
    """
    data = parse_json(text_of(path), path)
    if not isinstance(data, dict):
        raise ReadError(f"{path.name} is not an object.", got=type(data).__name__, where=path, hint="Restore it.")
    return data


def channel_names(facts: dict[str, Any]) -> tuple[str, ...]:
    """Channel names in number order, from `channel_names` (version 2) or `modality` (version 1); doubles numbered."""
    table = facts.get("channel_names") or facts.get("modality") or {}
    if isinstance(table, list):
        table = dict(enumerate(table))
    if isinstance(table, str):
        table = {0: table}
    names = [str(table[key]) for key in sorted(table, key=int)] if table else []
    doubled = {name for name in names if names.count(name) > 1}
    return tuple(f"{name}_{i}" if name in doubled else name for i, name in enumerate(names))


def modality(channels: tuple[str, ...]) -> str:
    """`ct` or `mr` where every channel name says so, else empty: decided later from the data."""
    words = {word for name in channels for word in re.split(r"[^a-z0-9]+", name.lower())}
    if channels and all(re.search(r"\bct\b", name.lower()) for name in channels):
        return "ct"
    return "mr" if words & {"mri", "mr", "t1", "t2", "t1w", "t2w", "flair", "adc", "dwi", "t1ce", "t1gd"} else ""


def label_space(table: dict[str, Any], where: Path) -> tuple[LabelSpace, list[str]]:
    """A label space from `labels`: name to value (2) or value to name (1); lists of values are regions.

    Regions may share values, so they become overlapping structures.
    """
    pairs = [_entry(key, value, where) for key, value in table.items()]
    ignore = next((values[0] for name, values in pairs if name.lower() == "ignore"), None)
    kept = [(n, v) for n, v in pairs if n.lower() not in {"background", "ignore"} and v != (0,)]
    regions = any(len(values) > 1 for _, values in kept)
    seen = [value for _, values in kept for value in values]
    overlapping = len(set(seen)) != len(seen)
    structures = tuple(Structure(name=name, values=values) for name, values in kept)
    told = ["Labels are regions made of several values."] if regions else []
    if overlapping:
        told = ["Labels are regions that share values; they are learnt as overlapping structures."]
    kind = "overlapping" if overlapping else "exclusive"
    return LabelSpace.model_validate({"structures": structures, "kind": kind, "ignore": ignore}), told


def _entry(key: str, value: Any, where: Path) -> tuple[str, tuple[int, ...]]:
    """One row of `labels` as name and values."""
    try:
        if isinstance(value, list | tuple):
            return key, tuple(int(v) for v in value)
        if isinstance(value, int | float) or str(value).lstrip("-").isdigit():
            return key, (int(value),)
        return str(value), (int(key),)
    except ValueError as error:
        raise LayoutError(
            "A row of labels in dataset.json is neither name to value nor value to name.",
            expected='"liver": 1 or "1": "liver"',
            got=f"{key!r}: {value!r}",
            where=where,
            hint="Correct the row.",
        ) from error


def _listed(facts: dict[str, Any], folder: Path) -> tuple[Case, ...]:
    """Cases that `dataset.json` names one by one (`dataset: {case: {images: [...], label: ...}}`)."""
    table = facts.get("dataset")
    if not isinstance(table, dict):
        return ()
    cases = []
    for name, row in table.items():
        label = (label_source(Item(located(folder, row["label"]), name), folder),) if row.get("label") else ()
        paths = [relative(located(folder, image), folder) for image in row["images"]]
        cases.append(Case(id=safe_id(name), images=tuple(Source(path=p) for p in paths), label=label, group=""))
    return unique_ids(cases)


def _by_name(images: list[Item], labels: list[Item], folder: Path) -> tuple[Case, ...]:
    """Cases from `case_0000`, `case_0001`, ... and `case`."""
    table: dict[str, list[Item]] = {}
    for item in images:
        table.setdefault(re.sub(r"_\d{4}$", "", item.stem), []).append(item)
    label_of = {item.stem: item for item in labels}
    cases = []
    for name in sorted({*table, *label_of}):
        label = (label_source(label_of[name], folder),) if name in label_of else ()
        sources = tuple(item.source(folder) for item in sorted(table.get(name, []), key=lambda i: i.stem))
        cases.append(Case(id=safe_id(name), images=sources, label=label, group=""))
    return unique_ids(cases)


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
