"""One small good file of each format, form of labels and document, and how all that it says is read.

Files are written by other people's libraries where these can; what a format protects with a checksum is stated here,
from its specification and not from our readers.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io as bytes_io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pydicom
import roifile
import scipy.io
import SimpleITK as sitk
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset as Dicom
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.recipe import Recipe
from segwright.io.dataset import open_dataset
from segwright.io.labeltable import read_table
from segwright.io.load import load_image, load_label

Array = NDArray[Any]
SHAPE = (6, 16, 20)
GRID = Geometry.from_spacing((1, 40, 48), (None, 1.0, 1.0))
Probe = tuple[str, tuple[str, ...]]


def voxels(seed: int = 0, dtype: str = "int16") -> Array:
    """A smooth volume with noise, so that it compresses as scans do."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    return (100 + 20 * np.sin(y / 3) + 3 * x + 5 * z + rng.integers(0, 9, SHAPE)).astype(dtype)


def mask(shape: tuple[int, ...] = SHAPE) -> Array:
    """Three boxes of values 1, 2 and 3."""
    out = np.zeros(shape, np.uint8)
    for value in (1, 2, 3):
        out[..., 2 + 3 * value : 6 + 3 * value, 3 * value : 3 * value + 5] = value
    return out


def picture(colours: int = 3) -> Array:
    rng = np.random.default_rng(1)
    y, x = np.indices((40, 48))
    base = (
        60 + 3 * x[..., None] + y[..., None] * np.arange(1, colours + 1) + rng.integers(0, 5, (40, 48, colours))
    ) % 256
    return base.astype(np.uint8) if colours > 1 else base[..., 0].astype(np.uint8)


# ------------------------------------------------------------------------------------------------ what is read


def _digest(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return found.hexdigest()


def _volume(path: Path, read: Callable[..., Any], key: str | None = None) -> tuple[str, tuple[str, ...]]:
    volume = read(path, key=key)
    array = volume.array()
    geometry = volume.geometry
    told = tuple(map(str, volume.header["warnings"]))
    return _digest(array.shape, array.dtype.str, array, np.round(geometry.affine, 9), geometry.known), told


def scan(path: Path) -> Probe:
    """Voxels and grid, as an image and as a label; the arrays that a file holds, one by one."""
    names = [info.name for info in io.keys(path)] or [None]
    found = [_volume(path, read, key) for key in names for read in (io.read, io.read_label)]
    return _digest([one for one, _ in found], names), tuple(t for _, told in found for t in told)


def drawn(name: str) -> Callable[[Path], Probe]:
    """The masks of all images that a file of drawn labels speaks of, whether or not it is recognised as one."""

    def probe(path: Path) -> Probe:
        found = io.form_of(path)
        return _drawn(io.FORMS.load(name), path, () if found else ("the file is not taken for labels",))

    return probe


def _drawn(form: io.Form, path: Path, known: tuple[str, ...]) -> Probe:
    parts: list[Any] = []
    told = list(known)
    for entry in form.entries(path):
        like = form.grid(path) if form.grid else GRID
        read = form.read(path, entry.key, like)
        parts += [entry, *((name, mask) for name, mask in sorted(read.masks.items()))]
        told += read.repairs
    return _digest(*[piece for part in parts for piece in (part if isinstance(part, tuple) else (part,))]), tuple(told)


def folder(place: Path) -> Probe:
    """A folder as a data set: what it is understood as, and all images and labels of it."""
    dataset = open_dataset(place)
    parts: list[Any] = [dataset.model_dump(mode="json", exclude={"root", "notes", "decisions", "aside"})]
    told = [*map(str, dataset.notes), *(str(line) for line in dataset.aside)]
    for case in dataset.cases:
        image = load_image(dataset, case)
        parts += [image.array(), image.geometry.affine]
        told += map(str, image.header["warnings"])
        if case.label:
            parts.append(load_label(dataset, case, image.geometry))
    return _digest(*parts), tuple(told)


def document(model: Any) -> Callable[[Path], Probe]:
    """A saved document."""
    return lambda path: (_digest(model.load(path).model_dump(mode="json")), ())


def label_table(path: Path) -> Probe:
    return _digest(sorted((v, s.model_dump()) for v, s in read_table(path).items())), ()


# ------------------------------------------------------------------------------------------------ how it is written


def _nifti(path: Path) -> None:
    nib.save(nib.Nifti1Image(voxels().T, np.diag([-1, -1, 2.5, 1.0])), path)


def _nifti2(path: Path) -> None:
    nib.save(nib.Nifti2Image(voxels(dtype="float32").T, np.diag([-1, -1, 2.5, 1.0])), path)


def _pair(path: Path) -> None:
    nib.save(nib.Nifti1Pair(voxels().T, np.diag([-1, -1, 2.5, 1.0])), path)


def _mgh(path: Path) -> None:
    nib.save(nib.MGHImage(voxels().T, np.diag([-1, -1, 2.5, 1.0])), path)


def _itk(packed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = sitk.GetImageFromArray(voxels())
        image.SetSpacing((1.0, 1.0, 2.5))
        sitk.WriteImage(image, str(path), useCompression=packed)

    return write


def _gipl(path: Path) -> None:
    plain = path.with_name("plain.gipl")
    _itk(False)(plain)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


def _picture(colours: int, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(picture(colours)).save(path, **options)


def _palette(path: Path) -> None:
    made = Image.fromarray(mask((40, 48)), "P")
    made.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    made.save(path)


def _tiff(**options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, voxels(dtype="uint16"), photometric="minisblack", **options)


def _npz(path: Path) -> None:
    np.savez_compressed(path, image=voxels(), label=mask())


def _mat(packed: bool) -> Callable[[Path], None]:
    return lambda path: scipy.io.savemat(path, {"image": voxels().astype("float64")}, do_compression=packed)


def _hdf5(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as store:
            store.create_dataset("image", data=voxels(), chunks=(3, 8, 10), **options)

    return write


def _zarr(version: int, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        group = zarr.open_group(str(path), mode="w", zarr_format=version)
        level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2.5, 1.0, 1.0]}]}
        axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
        scale = {"version": "0.4", "axes": axes, "datasets": [level]}
        group.attrs.update({"multiscales": [scale]} if version == 2 else {"ome": {"multiscales": [scale]}})
        item = group.create_array("0", shape=SHAPE, dtype="int16", chunks=(3, 8, 10), **options)
        item[...] = voxels()

    return write


def _n5(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        block = (10, 8, 3)
        told = {"dimensions": SHAPE[::-1], "blockSize": block, "dataType": "int16", "compression": {"type": kind}}
        item = path / "image"
        item.mkdir(parents=True)
        (path / "attributes.json").write_text('{"n5": "2.5.1"}')
        (item / "attributes.json").write_text(json.dumps(told))
        array = voxels()
        for z in range(0, 6, 3):
            for y in range(0, 16, 8):
                for x in range(0, 20, 10):
                    part = array[z : z + 3, y : y + 8, x : x + 10]
                    raw = np.ascontiguousarray(part, ">i2").tobytes()
                    file = item / str(x // 10) / str(y // 8) / str(z // 3)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    head = struct.pack(">HH3I", 0, 3, *part.shape[::-1])
                    file.write_bytes(head + (gzip.compress(raw) if kind == "gzip" else raw))

    return write


def _slice(z: int, series: str = "1.2.3.4") -> Dicom:
    ds = Dicom()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(z)])
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, "1.2.3"
    ds.PatientID, ds.Modality, ds.InstanceNumber = "P7", "CT", z + 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 2.5 * z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = [1, 1], 1, -1000
    array = voxels()[z]
    ds.Rows, ds.Columns = array.shape
    ds.PixelData = array.tobytes()
    return ds


def _dicom(path: Path) -> None:
    _slice(2).save_as(path, enforce_file_format=True)


def _series(path: Path) -> None:
    path.mkdir()
    for z in range(len(voxels())):
        _slice(z).save_as(path / f"{z:03d}.dcm", enforce_file_format=True)


def _dicom_rle(path: Path) -> None:
    ds = _slice(2)
    ds.compress(pydicom.uid.RLELossless)
    ds.save_as(path, enforce_file_format=True)


def _sections(path: Path) -> None:
    path.mkdir()
    for z, plane in enumerate(voxels(dtype="uint8")):
        Image.fromarray(plane).save(path / f"s_{z:03d}.png")


# ------------------------------------------------------------------------------------------------ labels and documents

BOX = [[8, 6], [20, 6], [20, 18], [8, 18]]


def _text(content: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))

    return write


_LABELME = {"version": "5.0", "imagePath": "a.png", "imageHeight": 40, "imageWidth": 48, "imageData": None,
            "shapes": [{"label": n, "points": BOX, "shape_type": "polygon"} for n in ("liver", "spleen")]}  # fmt: skip
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 48}],
    "categories": [{"id": 1, "name": "liver"}, {"id": 2, "name": "spleen"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[v for p in BOX for v in p]]},
        {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 0, "segmentation": {"size": [40, 48], "counts": [100, 9, 1811]}},
    ],
}  # fmt: skip
_VIA = {"a.png123": {"filename": "a.png", "size": 123, "regions": [{
    "shape_attributes": {"name": "polygon", "all_points_x": [8, 20, 20, 8], "all_points_y": [6, 6, 18, 18]},
    "region_attributes": {"label": "liver"}}], "file_attributes": {}}}  # fmt: skip
_GEOJSON = {"type": "FeatureCollection", "features": [{"type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [[*BOX, BOX[0]]]},
    "properties": {"classification": {"name": "Tumor"}}}]}  # fmt: skip
_CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><image id="0" name="a.png" width="48" height="40">
<polygon label="liver" points="8.0,6.0;20.0,6.0;20.0,18.0;8.0,18.0" z_order="0"></polygon>
<mask label="spleen" rle="3, 4, 5" left="2" top="3" width="4" height="3"></mask></image></annotations>
"""
_RLE = "image_name,class,rle\na.png,liver,10 5 60 7\na.png,spleen,200 9\nb.png,liver,300 12\n"
_YOLO = "0 0.2 0.2 0.5 0.2 0.5 0.5 0.2 0.5\n1 0.6 0.6 0.9 0.6 0.9 0.9\n"


def _roi(path: Path) -> None:
    roifile.ImagejRoi.frompoints(np.array(BOX, np.float32), name="nucleus").tofile(path)


def _rois(path: Path) -> None:
    made = bytes_io.BytesIO()
    roifile.ImagejRoi.frompoints(np.array(BOX, np.float32), name="nucleus").tofile(path.with_suffix(".roi"))
    made.write(path.with_suffix(".roi").read_bytes())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("nucleus-1.roi", made.getvalue())
    path.with_suffix(".roi").unlink()


def _segnrrd(path: Path) -> None:
    image = sitk.GetImageFromArray(mask())
    for index, name in enumerate(("liver", "spleen", "kidney")):
        for key, value in (("ID", f"s{index}"), ("Name", name), ("LabelValue", str(index + 1)), ("Layer", "0")):
            image.SetMetaData(f"Segment{index}_{key}", value)
    sitk.WriteImage(image, str(path), useCompression=True)


def _dicomseg(path: Path) -> None:
    ds = _slice(0)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    ds.Modality, ds.SegmentationType = "SEG", "BINARY"
    array = mask()
    ds.Rows, ds.Columns = array.shape[1:]
    ds.NumberOfFrames = len(array)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    ds.PixelData = np.packbits((array > 0).ravel(), bitorder="little").tobytes()
    ds.SegmentSequence = Items([Dicom()])
    ds.SegmentSequence[0].SegmentNumber, ds.SegmentSequence[0].SegmentLabel = 1, "liver"
    shared, frames = Dicom(), []
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Items([Dicom()]), Items([Dicom()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [1, 1]
    ds.SharedFunctionalGroupsSequence = Items([shared])
    for z in range(len(array)):
        group = Dicom()
        group.PlanePositionSequence, group.SegmentIdentificationSequence = Items([Dicom()]), Items([Dicom()])
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 2.5 * z]
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
        frames.append(group)
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    del ds.RescaleSlope, ds.RescaleIntercept
    ds.save_as(path, enforce_file_format=True)


def dicom_seg(path: Path) -> Probe:
    like = Geometry.from_xyz(SHAPE, np.diag([-1, -1, 2.5, 1.0]))
    form = io.form_of(path)
    if form is None:
        return scan(path)
    read = form.read(path, None, like)
    return _digest(form.entries(path), *[p for pair in sorted(read.masks.items()) for p in pair]), tuple(read.repairs)


def _pairs(path: Path) -> None:
    """A folder of images and labels."""
    for kind in ("images", "labels"):
        (path / kind).mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.fromarray(picture(1)).save(path / "images" / f"{name}.png")
        Image.fromarray(mask((40, 48))).save(path / "labels" / f"{name}.png")


def _described(path: Path) -> None:
    _pairs(path)
    dataset = open_dataset(path).model_copy(update={"root": "."})  # cut short, no other folder of this machine
    dataset.save(path / "dataset.yaml")


def _short(path: Path) -> None:
    _pairs(path)
    (path / "dataset.yaml").write_text("images: images\nlabels: labels\nmodality: other\nchannels: [grey]\n")


def _tabled(path: Path) -> None:
    _pairs(path)
    with (path / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "image", "label", "group"], *(
            [n, f"images/{n}.png", f"labels/{n}.png", f"p{n}"] for n in "abc")])  # fmt: skip


def _nnunet(path: Path) -> None:
    for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
        (path / kind).mkdir(parents=True)
        for name in ("a", "b"):
            array = mask().T if kind == "labelsTr" else voxels().T
            nib.save(nib.Nifti1Image(array, np.eye(4)), path / kind / f"{name}{end}.nii.gz")
    told = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "x": 1, "y": 2, "z": 3}, "numTraining": 2, "file_ending": ".nii.gz"}  # fmt: skip
    (path / "dataset.json").write_text(json.dumps(told))


def _coco_folder(path: Path) -> None:
    (path / "images").mkdir(parents=True)
    Image.fromarray(picture(1)).save(path / "images" / "a.png")
    (path / "annotations.json").write_text(json.dumps(_COCO))


def _labels_csv(path: Path) -> None:
    path.write_text("LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n1,liver,255,0,0,255\n2,spleen,0,255,0,255\n")


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Sample:
    """A format.

    Attributes:
        name: File or folder name.
        write: Makes a good one.
        probe: Reads all of it.
        covered: Byte ranges of a good file that a checksum covers: `all`, `none`, or a function of its bytes.
        exact: Whether the header fixes the file's length.
        only: Files of a folder that are damaged, by the end of their names; empty for all.
    """

    name: str
    write: Callable[[Path], None]
    probe: Callable[[Path], Probe] = scan
    covered: Callable[[bytes], list[tuple[int, int]]] = lambda data: []
    exact: bool = False
    only: tuple[str, ...] = ()

    def damages(self, inside: Path) -> bool:
        """Whether a file of the sample is to be damaged."""
        return not self.only or inside.name.endswith(self.only)

    def could_be_seen(self, good: Path, at: int, longer: bool) -> bool:
        """Whether a damage that begins at a byte could have been seen."""
        if self.exact and longer:
            return True
        return any(start <= at < stop for start, stop in self.covered(good.read_bytes()))


def everything(data: bytes) -> list[tuple[int, int]]:
    return [(0, len(data))]


def gzip_data(data: bytes) -> list[tuple[int, int]]:
    """The packed data and sums of a gzip file: time, system and name in its head are not covered."""
    start = 10
    if data[3] & 8:
        start = data.index(b"\0", 10) + 1
    return [(start, len(data))]


def after(mark: bytes) -> Callable[[bytes], list[tuple[int, int]]]:
    """What follows a mark."""
    return lambda data: [(data.index(mark) + len(mark), len(data))]


def nrrd_gzip(data: bytes) -> list[tuple[int, int]]:
    start = data.index(b"\n\n") + 2
    return [(start + 10, len(data))]


def png_chunks(data: bytes) -> list[tuple[int, int]]:
    """All but the length fields of what follows the pixels."""
    return [(8, len(data))]


def zip_members(data: bytes) -> list[tuple[int, int]]:
    """The packed members."""
    with zipfile.ZipFile(bytes_io.BytesIO(data)) as archive:
        found = []
        for part in archive.infolist():
            names = struct.unpack("<HH", data[part.header_offset + 26 : part.header_offset + 30])
            start = part.header_offset + 30 + sum(names)
            found.append((start, start + part.compress_size))
    return found


def mat_data(data: bytes) -> list[tuple[int, int]]:
    """Behind the text and the first tag."""
    return [(136, len(data))]


def chunk_files(data: bytes) -> list[tuple[int, int]]:
    return [] if data[:1] in b"{" else everything(data)


SAMPLES: Mapping[str, Sample] = {
    "nii": Sample("a.nii", _nifti, exact=True),
    "nii.gz": Sample("a.nii.gz", _nifti, covered=gzip_data),
    "nii.gz (NIfTI-2)": Sample("a.nii.gz", _nifti2, covered=gzip_data),
    "hdr/img": Sample("a.img", _pair, exact=True),
    "mgh": Sample("a.mgh", _mgh),
    "mgz": Sample("a.mgz", _mgh, covered=gzip_data),
    "nrrd": Sample("a.nrrd", _itk(False), exact=True),
    "nrrd (gzip)": Sample("a.nrrd", _itk(True), covered=nrrd_gzip),
    "nhdr": Sample("a.nhdr", _itk(True)),
    "mha": Sample("a.mha", _itk(False), exact=True),
    "mha (zlib)": Sample("a.mha", _itk(True), covered=after(b"LOCAL\n")),
    "mhd": Sample("a.mhd", _itk(False), exact=True),
    "gipl": Sample("a.gipl", _itk(False), exact=True),
    "gipl.gz": Sample("a.gipl.gz", _gipl, covered=gzip_data),
    "png": Sample("a.png", _picture(3), covered=png_chunks),
    "png (grey)": Sample("a.png", _picture(1), covered=png_chunks),
    "png (palette)": Sample("a.png", _palette, covered=png_chunks),
    "png (alpha)": Sample("a.png", _picture(4), covered=png_chunks),
    "jpeg": Sample("a.jpg", _picture(3, quality=90)),
    "bmp": Sample("a.bmp", _picture(3), exact=True),
    "gif": Sample("a.gif", _picture(1)),
    "webp": Sample("a.webp", _picture(3, lossless=True)),
    "tiff": Sample("a.tif", _tiff()),
    "tiff (deflate)": Sample("a.tif", _tiff(compression="zlib")),
    "tiff (LZW)": Sample("a.tif", _tiff(compression="lzw")),
    "tiff (OME)": Sample("a.ome.tif", _tiff(metadata={"axes": "ZYX"})),
    "tiff (ImageJ)": Sample("a.tif", _tiff(imagej=True, resolution=(1.0, 1.0), metadata={"unit": "mm", "spacing": 2.0, "axes": "ZYX"})),
    "npy": Sample("a.npy", lambda path: np.save(path, voxels()), exact=True),
    "npz": Sample("a.npz", _npz, covered=zip_members),
    "mat": Sample("a.mat", _mat(False)),
    "mat (packed)": Sample("a.mat", _mat(True), covered=mat_data),
    "hdf5": Sample("a.h5", _hdf5()),
    "hdf5 (gzip)": Sample("a.h5", _hdf5(compression="gzip")),
    "hdf5 (fletcher32)": Sample("a.h5", _hdf5(fletcher32=True)),
    "zarr 2": Sample("a.zarr", _zarr(2)),
    "zarr 3": Sample("a.zarr", _zarr(3)),
    "zarr 3 (crc32c)": Sample("a.zarr", _zarr(3, compressors=[zarr.codecs.ZstdCodec(level=1, checksum=True), zarr.codecs.Crc32cCodec()]), covered=chunk_files),
    "n5": Sample("a.n5", _n5("raw"), exact=True),
    "n5 (gzip)": Sample("a.n5", _n5("gzip")),
    "dicom": Sample("a.dcm", _dicom),
    "dicom (RLE)": Sample("a.dcm", _dicom_rle),
    "dicom series": Sample("series", _series),
    "sections": Sample("sections", _sections, covered=png_chunks),
    "labelme": Sample("a.json", _text(_LABELME), drawn("labelme")),
    "coco": Sample("a.json", _text(_COCO), drawn("coco")),
    "via": Sample("a.json", _text(_VIA), drawn("via")),
    "geojson": Sample("a.geojson", _text(_GEOJSON), drawn("geojson")),
    "cvat": Sample("a.xml", _text(_CVAT), drawn("cvat")),
    "yolo": Sample("a.txt", _text(_YOLO), drawn("yolo")),
    "run lengths": Sample("a.csv", _text(_RLE), drawn("rle")),
    "imagej roi": Sample("a.roi", _roi, drawn("imagej")),
    "imagej zip": Sample("a.zip", _rois, drawn("imagej"), covered=zip_members),
    "seg.nrrd": Sample("a.seg.nrrd", _segnrrd, drawn("segnrrd"), covered=nrrd_gzip),
    "dicom seg": Sample("a.dcm", _dicomseg, dicom_seg),
    "dataset.yaml": Sample("set", _described, folder, only=(".yaml",)),
    "dataset.yaml (short)": Sample("set", _short, folder, only=(".yaml",)),
    "table": Sample("set", _tabled, folder, only=(".csv",)),
    "dataset.json": Sample("set", _nnunet, folder, only=(".json",)),
    "coco folder": Sample("set", _coco_folder, folder, only=(".json",)),
    "pictures": Sample("set", _pairs, folder, covered=png_chunks),
    "recipe": Sample("recipe.yaml", _text("name: mine\nsteps: 100\nnet: unet\nwidth: 24\n"), document(Recipe)),
    "labels.csv": Sample("labels.csv", _labels_csv, label_table),
}  # fmt: skip


def make(name: str, place: Path) -> Path:
    """A good file or folder of a format, in a folder of its own."""
    sample = SAMPLES[name]
    place.mkdir(parents=True, exist_ok=True)
    path = place / sample.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample.write(path)
    return path
