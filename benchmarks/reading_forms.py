"""Writes a truth as people leave it: every form of labels in every arrangement of folders that can hold it.

Files are written by the libraries of other people (Pillow, nibabel, SimpleITK, pynrrd, h5py, SciPy, pycocotools), never
by the project's own writers, so that a mistake made twice cannot hide.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import nrrd
import numpy as np
import scipy.io
import SimpleITK as sitk
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pycocotools import mask as coco_mask
from reading_truths import COLOURS, Subject, Truth
from skimage.measure import find_contours

Array = NDArray[Any]
FLAT = (".png", ".png", ".tif", ".bmp", ".npy", ".nii.gz", ".mha")
DEEP = (".nii.gz", ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".npy", ".tif")


@dataclass
class Written:
    """What was written and what reading it must give.

    Attributes:
        by: How a structure is told: `value`, `colour`, `name`, `plane` or `union` (objects as one structure).
        border: Voxels beside a border that may differ (polygons and lossy files).
        groups: Whether the form states the patients.
        named: Whether files state the names of structures.
        folders: Folders of images and of labels, where there are such.
        lossy: Images cannot be compared exactly.
        renamed: A folder, after which a structure may be called, was given another name.
    """

    form: str
    layout: str = ""
    by: str = "value"
    border: int = 0
    groups: bool = False
    spaced: bool = False
    images: list[Path] = None  # type: ignore[assignment]
    labels: list[Path] = None  # type: ignore[assignment]
    lossy: bool = False
    renamed: bool = False


def save(path: Path, array: Array, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    """A volume `(z, y, x)`, or a picture if there is one section; `(z, y, x, 3)` is in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name, flat = path.name.lower(), array.shape[0] == 1
    narrow = array if array.max(initial=0) > 255 else array.astype(np.uint8)
    narrow = narrow.astype(np.uint16) if narrow.dtype == np.int32 and narrow.max() < 65536 else narrow
    if name.endswith((".png", ".bmp", ".jpg", ".gif")):
        if narrow.dtype != np.uint8 and not name.endswith(".png"):
            raise ValueError("format holds bytes")
        Image.fromarray(narrow[0]).save(path, **({"quality": 92} if name.endswith(".jpg") else {}))
    elif name.endswith((".nii", ".nii.gz")):
        affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
        nib.save(nib.Nifti1Image(narrow.transpose(2, 1, 0), affine), path)
    elif name.endswith((".tif", ".tiff")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tifffile.imwrite(
                path, narrow[0] if flat else narrow, photometric="rgb" if array.ndim == 4 else "minisblack"
            )
    elif name.endswith((".nrrd", ".mha", ".mhd")):
        image = sitk.GetImageFromArray(narrow[0] if flat else narrow)
        image.SetSpacing(spacing[::-1][: image.GetDimension()])
        sitk.WriteImage(image, str(path))
    elif name.endswith(".npy"):
        np.save(path, narrow[0] if flat else narrow)
    elif name.endswith(".mat"):
        scipy.io.savemat(path, {"label": narrow[0] if flat else narrow.transpose(1, 2, 0)})
    elif name.endswith(".h5"):
        with h5py.File(path, "w") as file:
            file["label"] = narrow[0] if flat else narrow
    elif name.endswith(".npz"):
        with path.open("wb") as file:  # given a path, NumPy adds a suffix to upper-case ones
            np.savez(file, label=narrow[0] if flat else narrow)
    elif name.endswith(".zarr"):
        zarr.save_array(str(path), narrow[0] if flat else narrow)
    else:
        raise ValueError(name)
    return path


SPACED = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


class Writer:
    """Puts a truth below a folder."""

    def __init__(self, truth: Truth, root: Path, rng: np.random.Generator, noise: set[str]) -> None:
        self.truth, self.root, self.rng, self.noise = truth, root, rng, noise
        self.image_suffix = self._suffix(FLAT if truth.flat else DEEP)
        if truth.flat and rng.random() < 0.2 and "same stem" not in noise:
            self.image_suffix = ".jpg"

    def _suffix(self, of: tuple[str, ...]) -> str:
        return str(self.rng.choice(of))

    def image(self, path: Path, subject: Subject, channel: int = 0) -> Path:
        """One channel of a case's image."""
        return save(path.with_name(path.name + self.image_suffix), subject.image[channel], self.truth.spacing)

    def label(self, path: Path, array: Array, suffix: str) -> Path:
        """A label file, smeared where the noise says so."""
        if self.truth.flat and "jpeg label" in self.noise:
            path = path.with_name(path.name + ".jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array[0].astype(np.uint8)).save(path, quality=int(self.rng.integers(80, 96)))
            return path
        if self.truth.flat and "blurred label" in self.noise:
            path = path.with_name(path.name + ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(array[0].astype(np.uint8))
            picture.filter(ImageFilter.GaussianBlur(float(self.rng.uniform(0.5, 0.9)))).save(path)
            return path
        if "upper suffix" in self.noise:
            suffix = suffix.upper()
        return save(path.with_name(path.name + suffix), array, self.truth.spacing)


# ------------------------------------------------------------------------------- arrangements of one label a case


def siblings(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """Two folders beside each other."""
    a, b = [("images", "masks"), ("img", "gt"), ("scans", "labels"), ("data", "segmentations"), ("x", "y")][
        int(w.rng.integers(5))
    ]
    before, after = [("", ""), ("", ""), ("", "_mask"), ("seg_", ""), ("", "-label")][int(w.rng.integers(5))]
    for name, subject in w.truth.subjects.items():
        w.image(w.root / a / name, subject)
        if subject.labelled:
            put(w.root / b / f"{before}{name}{after}", subject)
    out.images, out.labels = [w.root / a], [w.root / b]


def beside(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """One folder; a word is added to the label's name."""
    word = str(w.rng.choice(["_mask", "_seg", "-label", "_gt", "_segmentation"]))
    for name, subject in w.truth.subjects.items():
        w.image(w.root / name, subject)
        if subject.labelled:
            put(w.root / f"{name}{word}", subject)


def patients(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """A folder a case."""
    a, b = [("image", "label"), ("ct", "seg"), ("scan", "mask"), ("t1", "segmentation")][int(w.rng.integers(4))]
    for name, subject in w.truth.subjects.items():
        w.image(w.root / name / a, subject)
        if subject.labelled:
            put(w.root / name / b, subject)


def splits(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """train and test, each with images and labels; or the other way round."""
    parts = [("train", "test"), ("train", "valid"), ("siteA", "siteB"), ("hospital_1", "hospital_2")]
    pair = parts[int(w.rng.integers(4))]
    inner = bool(w.rng.random() < 0.5)
    for rank, (name, subject) in enumerate(w.truth.subjects.items()):
        part = pair[rank % 2]
        folders = (w.root / part / "images", w.root / part / "masks")
        if inner:
            folders = (w.root / "images" / part, w.root / "masks" / part)
        stem = f"scan{rank // 2 + 1}" if "equal names" in w.noise else name
        w.image(folders[0] / stem, subject)
        if subject.labelled:
            put(folders[1] / stem, subject)


def table(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """A table that names files and patients."""
    sign = ";" if "semicolons" in w.noise else ","
    slash = "\\" if "windows paths" in w.noise else "/"
    rows = []
    for rank, (name, subject) in enumerate(w.truth.subjects.items()):
        image = w.image(w.root / "files" / name, subject)
        label = put(w.root / "drawn" / f"l{rank}", subject) if subject.labelled else None
        told = [str(p.relative_to(w.root)).replace("/", slash) if p else "" for p in (image, label)]
        rows.append([name, *told, subject.patient])
    encoding = "utf-8-sig" if w.rng.random() < 0.3 else "utf-8"
    with (w.root / "cases.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=sign).writerows([["id", "image", "label", "group"], *rows])
    out.groups = True


def nnunet(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """nnU-Net's raw folder."""
    w.image_suffix = ".png" if w.truth.flat else ".nii.gz"
    for name, subject in w.truth.subjects.items():
        w.image(w.root / "imagesTr" / f"{name}_0000", subject)
        if subject.labelled:
            put(w.root / "labelsTr" / name, subject)
    labels = {"background": 0, **dict(zip(w.truth.names, w.truth.values, strict=True))}
    labels |= {"ignore": w.truth.ignore} if w.truth.ignore else {}
    facts = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": len(w.truth.subjects),
             "file_ending": w.image_suffix}  # fmt: skip
    (w.root / "dataset.json").write_text(json.dumps(facts))


def decathlon(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """The decathlon's folder."""
    w.image_suffix = ".nii.gz"
    training = []
    for name, subject in w.truth.subjects.items():
        image = w.image(w.root / "imagesTr" / name, subject)
        if subject.labelled:
            label = put(w.root / "labelsTr" / name, subject)
            training.append({"image": f"./imagesTr/{image.name}", "label": f"./labelsTr/{label.name}"})
    labels = {"0": "background", **{str(v): n for n, v in zip(w.truth.names, w.truth.values, strict=True)}}
    facts = {"modality": {"0": "CT"}, "labels": labels, "training": training, "test": []}
    (w.root / "dataset.json").write_text(json.dumps(facts))


def same_stem(w: Writer, put: Callable[[Path, Subject], Path], out: Written) -> None:
    """`a.jpg` is the image and `a.png` its label."""
    w.image_suffix = ".jpg"
    for name, subject in w.truth.subjects.items():
        w.image(w.root / name, subject)
        if subject.labelled:
            put(w.root / name, subject)


ONE = {f.__name__: f for f in (siblings, beside, patients, splits, table, nnunet, decathlon, same_stem)}


def value_map(w: Writer, layout: str) -> Written:
    """A map of values a case."""
    truth = w.truth
    out = Written("values", layout, "union" if truth.kind == "objects" else "value")
    scattered = truth.kind == "objects" and "scattered numbers" in w.noise
    choices = FLAT if truth.flat else DEEP
    small = max(int(truth.numbers(s).max()) for s in truth.subjects.values()) < 256 and not scattered
    fitting = tuple(s for s in choices if small or s != ".bmp") + (".mat", ".h5", ".npz", ".zarr")
    suffix = w._suffix(fitting)
    if layout in ("nnunet", "decathlon"):
        suffix = ".png" if truth.flat and layout == "nnunet" else ".nii.gz"
    if layout == "same_stem":
        suffix = str(w.rng.choice([".png", ".tif"]))
    if suffix in (".mat", ".h5", ".npz", ".zarr") and layout == "patients":
        suffix = ".png" if truth.flat else ".nii.gz"

    def put(path: Path, subject: Subject) -> Path:
        array = truth.numbers(subject)
        if scattered:
            table = np.concatenate([[0], w.rng.permutation(np.arange(1, 60000))[: array.max()]])
            array = table[array].astype(np.int32)
        return w.label(path, array, suffix)

    ONE[layout](w, put, out)
    out.form += suffix
    out.border = 2 if w.noise & {"jpeg label", "blurred label"} else 0
    return out


def palette(w: Writer, layout: str) -> Written:
    """A palette PNG a case, its indices the values."""
    out = Written("palette", layout)

    def put(path: Path, subject: Subject) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(w.truth.numbers(subject)[0].astype(np.uint8))
        picture.putpalette(w.rng.integers(0, 256, 768).astype(np.uint8).tobytes())
        picture.save(path.with_name(path.name + ".png"))
        return path.with_name(path.name + ".png")

    ONE[layout](w, put, out)
    return out


def colours(w: Writer, layout: str) -> Written:
    """A colour a structure."""
    out = Written("colours", layout, "colour", border=2 if "jpeg label" in w.noise else 0)

    def put(path: Path, subject: Subject) -> Path:
        plane = np.zeros((*subject.unsure.shape, 3), np.uint8)
        for mask, colour in zip(subject.masks, COLOURS, strict=False):
            plane[mask] = colour
        return w.label(path, plane, ".png")

    ONE[layout](w, put, out)
    return out


def planes(w: Writer, layout: str) -> Written:
    """A plane a structure, in one file."""
    suffix = str(w.rng.choice([".npy", ".mat", ".tif", ".h5", ".npz"]))
    last = bool(w.rng.random() < 0.5) and suffix != ".tif"
    out = Written(f"planes{suffix} {'last' if last else 'first'}", layout, "plane")

    def put(path: Path, subject: Subject) -> Path:
        stack = np.stack([mask[0] for mask in subject.masks]).astype(np.uint8)
        if "0/255" in w.noise:
            stack = stack * 255
        if suffix == ".tif":
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(
                path.with_name(path.name + suffix), stack, photometric="minisblack", planarconfig="separate"
            )
            return path.with_name(path.name + suffix)
        stored = np.moveaxis(stack, 0, -1) if last else stack
        return save(path.with_name(path.name + suffix), stored[None])

    ONE[layout](w, put, out)
    return out


# ------------------------------------------------------------------------------- a file a structure


def structures(w: Writer, layout: str) -> Written:
    """A mask a structure, told by folder or by name."""
    truth = w.truth
    out = Written("masks", layout, "name")
    suffix = w._suffix(tuple(s for s in (FLAT if truth.flat else DEEP) if s != ".npy"))
    high = int(w.rng.choice([1, 255]))
    for name, subject in truth.subjects.items():
        image = {
            "patients": w.root / name / "image",
            "one folder": w.root / name,
            "totalsegmentator": w.root / name / "ct",
        }.get(layout, w.root / "images" / name)
        if layout == "totalsegmentator":
            w.image_suffix = suffix = ".nii.gz"
        w.image(image, subject)
        if not subject.labelled:
            continue
        for mask, told in zip(subject.masks, truth.names, strict=True):
            if not mask.any() and "no file if absent" in w.noise:
                continue
            path = {
                "folders": w.root / "masks" / told / name,
                "sibling folders": w.root / f"masks_{told}" / name,
                "case folders": w.root / "masks" / name / told,
                "named": w.root / "masks" / f"{name}_{told}",
                "one folder": w.root / f"{name}_{told}_mask",
                "patients": w.root / name / f"{told}_mask",
                "totalsegmentator": w.root / name / "segmentations" / told,
            }[layout]
            w.label(path, mask * np.uint8(high), suffix)
    out.form = f"masks{suffix} 0/{high}"
    out.border = 2 if w.noise & {"jpeg label", "blurred label"} else 0
    out.groups = layout in ("patients", "totalsegmentator") and False
    return out


MANY = ("folders", "sibling folders", "case folders", "named", "one folder", "patients", "totalsegmentator")


# ------------------------------------------------------------------------------- one file for image and label


def containers(w: Writer, layout: str) -> Written:
    """Image and label in one file."""
    suffix = str(w.rng.choice([".npz", ".h5", ".mat"]))
    a, b = [("image", "label"), ("I", "GT"), ("raw", "mask"), ("x", "y")][int(w.rng.integers(4))]
    w.root.mkdir(exist_ok=True)
    for name, subject in w.truth.subjects.items():
        first = subject.image[0, 0] if w.truth.flat else subject.image[0]
        numbers = w.truth.numbers(subject)
        arrays = {a: first}
        if subject.labelled:
            arrays[b] = (numbers[0] if w.truth.flat else numbers).astype(np.uint16 if numbers.max() > 255 else np.uint8)
        path = w.root / f"{name}{suffix}"
        if suffix == ".npz":
            np.savez(path, **arrays)
        elif suffix == ".mat":  # MATLAB counts sections last
            turned = {key: array if w.truth.flat else array.transpose(1, 2, 0) for key, array in arrays.items()}
            scipy.io.savemat(path, turned)
        else:
            with h5py.File(path, "w") as file:
                for key, array in arrays.items():
                    file[key] = array
    return Written(f"container{suffix}", layout)


# ------------------------------------------------------------------------------- drawn and listed


def _runs(mask: Array, way: str) -> str:
    flat = mask.T.ravel() if way.startswith("columns") else mask.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    first = 1 if way.endswith("1") else 0
    return " ".join(f"{s + first} {e - s}" for s, e in zip(starts, ends, strict=True))


def run_lengths(w: Writer, layout: str) -> Written:
    """A table of run lengths."""
    way = str(w.rng.choice(["columns from 1", "rows from 1", "rows from 0", "columns from 0"]))
    rows = []
    for name, subject in w.truth.subjects.items():
        path = w.image(w.root / "images" / name, subject)
        if subject.labelled:
            for mask, told in zip(subject.masks, w.truth.names, strict=True):
                rows.append([path.name, told, _runs(mask[0], way) or ("-1" if "-1" in w.noise else "")])
    with (w.root / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["ImageId", "ClassName", "EncodedPixels"], *rows])
    return Written(f"runs {way}", layout, "name")


def coco(w: Writer, layout: str) -> Written:
    """COCO JSON: run lengths, exact; one file, or one a split."""
    names = w.truth.names
    parts: dict[str, dict[str, Any]] = {}
    for rank, (name, subject) in enumerate(w.truth.subjects.items()):
        part = ["train", "valid"][rank % 2] if layout == "splits" else ""
        path = w.image(w.root / (part or "images") / name, subject)
        if not subject.labelled:
            continue  # an image that is listed without objects shows none
        table = parts.setdefault(part, {"images": [], "annotations": [], "categories": [
            {"id": i + 1, "name": n} for i, n in enumerate(names)]})  # fmt: skip
        _, height, width = subject.unsure.shape
        table["images"].append({"id": rank, "file_name": path.name, "height": height, "width": width})
        for k, mask in enumerate(subject.masks):
            if mask.any():
                coded = coco_mask.encode(np.asfortranarray(mask[0].astype(np.uint8)))
                counts = coded["counts"].decode()
                table["annotations"].append({"id": len(table["annotations"]) + 1000 * rank, "image_id": rank,
                    "category_id": k + 1, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": int(mask.sum()),
                    "segmentation": {"size": [height, width], "counts": counts}})  # fmt: skip
    for part, table in parts.items():
        where = w.root / part / "_annotations.coco.json" if part else w.root / "annotations.json"
        where.write_text(json.dumps(table))
    return Written("coco", layout, "name")


def _outlines(mask: Array) -> list[list[list[float]]]:
    """Outlines `(x, y)` around the centres of all pixels of a mask `(z, y, x)` and of no others, one a piece."""
    found = find_contours(np.pad(mask[0].astype(float), 1), 0.5)
    return [[[float(x) - 0.5, float(y) - 0.5] for y, x in line[:-1]] for line in found]


def labelme(w: Writer, layout: str) -> Written:
    """A LabelMe JSON an image."""
    for name, subject in w.truth.subjects.items():
        path = w.image(w.root / ("images" if layout == "siblings" else ".") / name, subject)
        _, height, width = subject.unsure.shape
        if not subject.labelled:
            continue
        shapes = [{"label": n, "points": line, "shape_type": "polygon", "group_id": None, "flags": {}}
                  for n, m in zip(w.truth.names, subject.masks, strict=True) for line in _outlines(m)]  # fmt: skip
        where = w.root / ("json" if layout == "siblings" else ".") / f"{name}.json"
        where.parent.mkdir(exist_ok=True)
        up = "..\\images\\" if layout == "siblings" and "windows paths" in w.noise else ""
        where.write_text(json.dumps({"version": "5.0", "flags": {}, "shapes": shapes, "imagePath": up + path.name,
                                     "imageData": None, "imageHeight": height, "imageWidth": width}))  # fmt: skip
    return Written("labelme", layout, "name")


def yolo(w: Writer, layout: str) -> Written:
    """YOLO's text files of outlines."""
    for name, subject in w.truth.subjects.items():
        w.image(w.root / "images" / name, subject)
        if not subject.labelled:
            continue
        _, height, width = subject.unsure.shape
        lines = [f"{k} " + " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in line)
                 for k, m in enumerate(subject.masks) for line in _outlines(m)]  # fmt: skip
        (w.root / "labels").mkdir(exist_ok=True)
        (w.root / "labels" / f"{name}.txt").write_text("\n".join(lines))
    (w.root / "data.yaml").write_text(json.dumps({"names": list(w.truth.names), "nc": len(w.truth.names)}))
    return Written("yolo", layout, "name")


def seg_nrrd(w: Writer, layout: str) -> Written:
    """Slicer's segmentations, a layer a structure where they overlap."""
    layers = w.truth.kind == "overlapping"
    sz, sy, sx = w.truth.spacing
    for name, subject in w.truth.subjects.items():
        w.image_suffix = ".nrrd"
        image = sitk.GetImageFromArray(subject.image[0])
        image.SetSpacing((sx, sy, sz))
        (w.root / "scans").mkdir(exist_ok=True)
        sitk.WriteImage(image, str(w.root / "scans" / f"{name}.nrrd"))
        if not subject.labelled:
            continue
        data = np.stack(subject.masks).astype(np.uint8) if layers else w.truth.numbers(subject).astype(np.uint16)
        data = data.transpose(0, 3, 2, 1) if layers else data.transpose(2, 1, 0)
        directions: list[Any] = [[sx, 0, 0], [0, sy, 0], [0, 0, sz]]
        header: dict[str, Any] = {"space": "left-posterior-superior", "space origin": [0, 0, 0], "encoding": "gzip",
            "kinds": ["list"] * layers + ["domain"] * 3,
            "space directions": np.array([[np.nan] * 3] * layers + directions)}  # fmt: skip
        for k, told in enumerate(w.truth.names):
            header |= {f"Segment{k}_ID": f"s{k}", f"Segment{k}_Name": told, f"Segment{k}_Layer": str(k if layers else 0),
                       f"Segment{k}_LabelValue": "1" if layers else str(w.truth.values[k])}  # fmt: skip
        (w.root / "drawn").mkdir(exist_ok=True)
        nrrd.write(str(w.root / "drawn" / f"{name}.seg.nrrd"), data, header)
    return Written("seg.nrrd", layout, "name")


@dataclass(frozen=True)
class Form:
    """A form of labels: what it can hold."""

    write: Callable[[Writer, str], Written]
    layouts: tuple[str, ...]
    kinds: tuple[str, ...]
    flat: tuple[bool, ...] = (True,)


PLAIN = ("siblings", "beside", "patients", "splits", "table")
FORMS = {
    "values": Form(value_map, (*PLAIN, "nnunet", "decathlon"), ("mask", "classes", "ignore", "objects"), (True, False)),
    "same stem": Form(value_map, ("same_stem",), ("mask", "classes", "ignore")),
    "palette": Form(palette, PLAIN, ("classes", "ignore")),
    "colours": Form(colours, PLAIN, ("classes",)),
    "planes": Form(planes, ("siblings", "table"), ("overlapping", "classes")),
    "masks": Form(structures, MANY, ("classes", "overlapping"), (True, False)),
    "containers": Form(containers, ("one file",), ("mask", "classes", "ignore"), (True, False)),
    "run lengths": Form(run_lengths, ("table",), ("mask", "classes", "overlapping")),
    "coco": Form(coco, ("one file", "splits"), ("mask", "classes", "overlapping")),
    "labelme": Form(labelme, ("siblings", "beside"), ("mask", "classes", "overlapping")),
    "yolo": Form(yolo, ("siblings",), ("mask", "classes", "overlapping")),
    "seg.nrrd": Form(seg_nrrd, ("siblings",), ("mask", "classes", "overlapping"), (False,)),
}
