"""How each kind of phantom lies on disk: the arrangements, file types and names that people with such scans use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume
from segwright.io import write
from segwright.io.layouts.names import structure_name
from segwright.phantoms.phantom import Phantom

#: Writes one training case into a folder under its name, and what describes a folder of several.
Put = Callable[[Path, str, Phantom], None]
Describe = Callable[[Path, Phantom, Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Style:
    """One arrangement.

    Attributes:
        letter: Beginning of case names.
        suffix: File ending.
        put: Writes a training case.
        views: Whether patients come with several views, told apart by a last letter.
        apart: Whether structures have files of their own.
        describe: Writes the folder's table of contents, if it has one.
        about: In words, for the listing.
    """

    letter: str
    suffix: str
    put: Put
    views: bool = False
    apart: bool = False
    describe: Describe | None = None
    about: str = ""


def store(phantom: Phantom, path: Path, *, channel: int | None = None) -> None:
    """Write the image of a phantom, or one of its channels."""
    image = phantom.image if channel is None else phantom.image[channel : channel + 1]
    write(Volume.of(image, phantom.geometry), path)


def store_values(phantom: Phantom, path: Path) -> None:
    """Write an exclusive label as one file of values."""
    write(Volume.of(phantom.space.to_values(phantom.label)[None], phantom.geometry), path)


def store_mask(phantom: Phantom, index: int, path: Path) -> None:
    """Write one structure as a mask: white in pictures, 1 in volumes."""
    white = 255 if path.suffix in {".png", ".tif"} else 1
    write(Volume.of((phantom.space.mask(phantom.label, index) * white).astype("uint8")[None], phantom.geometry), path)


def pairs(folder: Path, case: str, phantom: Phantom) -> None:
    """`images/p004_a.png` and `masks/p004_a.png`, white where the structure is."""
    store(phantom, folder / "images" / f"{case}.png")
    store_values(phantom, folder / "masks" / f"{case}.png")


def masks(folder: Path, case: str, phantom: Phantom) -> None:
    """`images/p004_a.png` and `masks/<structure>/p004_a.png`."""
    store(phantom, folder / "images" / f"{case}.png")
    for index, name in enumerate(phantom.space.names):
        store_mask(phantom, index, folder / "masks" / name / f"{case}.png")


def stacks(folder: Path, case: str, phantom: Phantom) -> None:
    """`em/s04.tif` and `mitochondria/s04.tif`; the numbers of single objects lie beside, in `../objects/s04.tif`."""
    store(phantom, folder / "em" / f"{case}.tif")
    store_mask(phantom, 0, folder / phantom.space.names[0] / f"{case}.tif")
    if phantom.objects is not None:
        write(Volume.of(phantom.objects[None], phantom.geometry), folder.parent / "objects" / f"{case}.tif")


def nnunet(folder: Path, case: str, phantom: Phantom) -> None:
    """nnU-Net's raw layout: `imagesTr/m004_0000.nii.gz` and `labelsTr/m004.nii.gz`."""
    store(phantom, folder / "imagesTr" / f"{case}_0000.nii.gz")
    store_values(phantom, folder / "labelsTr" / f"{case}.nii.gz")


def describe_nnunet(folder: Path, phantom: Phantom, cases: Sequence[str]) -> None:
    """nnU-Net's `dataset.json`."""
    labels = {"background": 0, **{name: value for value, name in _values(phantom.space)}}
    facts = {
        "channel_names": {"0": "MRI"}, "labels": labels, "numTraining": len(cases), "file_ending": ".nii.gz",
    }  # fmt: skip
    _save(folder, facts)


def decathlon(folder: Path, case: str, phantom: Phantom) -> None:
    """The Medical Segmentation Decathlon's: `imagesTr/prostate_04.nii.gz` and `labelsTr/prostate_04.nii.gz`."""
    store(phantom, folder / "imagesTr" / f"{case}.nii.gz")
    store_values(phantom, folder / "labelsTr" / f"{case}.nii.gz")


def describe_decathlon(folder: Path, phantom: Phantom, cases: Sequence[str]) -> None:
    """The Decathlon's `dataset.json` with its list of pairs."""
    training = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in cases]
    labels = {"0": "background", **{str(value): name for value, name in _values(phantom.space)}}
    facts = {
        "modality": {"0": "T2"}, "labels": labels, "numTraining": len(training), "training": training,
    }  # fmt: skip
    _save(folder, facts)


def totalsegmentator(folder: Path, case: str, phantom: Phantom) -> None:
    """TotalSegmentator's: `s0004/ct.nii.gz` and `s0004/segmentations/<structure>.nii.gz`."""
    store(phantom, folder / case / "ct.nii.gz")
    for index, name in enumerate(phantom.space.names):
        store_mask(phantom, index, folder / case / "segmentations" / f"{name}.nii.gz")


def patients(folder: Path, case: str, phantom: Phantom) -> None:
    """A folder a patient: a file a phase and a mask a structure, `p004/portal.nii.gz`, `p004/tumour_mask.nii.gz`."""
    for channel, name in enumerate(phantom.channels):
        store(phantom, folder / case / f"{name}.nii.gz", channel=channel)
    for index, name in enumerate(phantom.space.names):
        store_mask(phantom, index, folder / case / f"{name}_mask.nii.gz")


def hold_back(folder: Path, case: str, phantom: Phantom, style: Style) -> None:
    """A case kept for a last check: `images/` as a person would hand in new scans, `labels/` with names alike.

    Several channels lie in a folder a case; structures that are trained from files of their own in a folder each.
    """
    suffix = style.suffix
    if phantom.channels:
        for channel, name in enumerate(phantom.channels):
            store(phantom, folder / "images" / case / f"{name}{suffix}", channel=channel)
    else:
        store(phantom, folder / "images" / f"{case}{suffix}")
    if not style.apart:
        store_values(phantom, folder / "labels" / f"{case}{suffix}")
        return
    for index, name in enumerate(phantom.space.names):
        store_mask(phantom, index, folder / "labels" / structure_name(name) / f"{case}{suffix}")


def _values(space: LabelSpace) -> list[tuple[int, str]]:
    return [(structure.values[0], structure.name) for structure in space.structures]


def _save(folder: Path, facts: dict[str, object]) -> None:
    (folder / "dataset.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


STYLES = {
    "spine-xray": Style("p", ".png", pairs, views=True, about="PNG pairs, several views of a patient"),
    "vertebrae-xray": Style("p", ".png", pairs, views=True, about="PNG pairs, a value a vertebra"),
    "tumour-mri": Style("m", ".nii.gz", nnunet, describe=describe_nnunet, about="nnU-Net's raw layout"),
    "prostate-mri": Style("prostate_", ".nii.gz", decathlon, describe=describe_decathlon, about="a Decathlon folder"),
    "mitochondria-em": Style("s", ".tif", stacks, about="TIFF stacks, a folder of images and one of masks"),
    "lobes-ct": Style("s", ".nii.gz", totalsegmentator, apart=True, about="TotalSegmentator's folders"),
    "hand-xray": Style("p", ".png", masks, views=True, apart=True, about="PNG images, a folder of masks a bone"),
    "nuclei": Style("n", ".png", pairs, about="PNG pairs, a value a nucleus"),
    "liver-mri": Style("p", ".nii.gz", patients, apart=True, about="a folder a patient, a file a phase"),
}
#: For phantoms of plug-ins.
USUAL = Style("c", ".nii.gz", decathlon, describe=describe_decathlon, about="a Decathlon folder")
