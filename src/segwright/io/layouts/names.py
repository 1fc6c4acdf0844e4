"""What the names of files and folders say: whether they hold images or labels, and which files belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

LABEL_WORDS = frozenset(
    """mask masks msk msks label labels labeled labelled lab lbl lbls seg segs segmentation segmentations segmented
    dseg gt gts truth groundtruth ground annotation annotations annotated annot manual manuals target targets
    contour contours roi rois reference references delineation delineations""".split()  # noqa: SIM905
)
IMAGE_WORDS = frozenset(
    """image images img imgs im ims raw scan scans data dataset input inputs volume volumes vol vols orig original
    originals picture pictures photo photos dicom dcm slices source sources xray xrays cxr radiograph
    radiographs""".split()  # noqa: SIM905
)
#: Words that name what a channel measured; they make a file an image, never a label.
CHANNEL_WORDS = frozenset(
    """ct cta pet mr mri t1 t2 t1w t2w t1c t1ce t1gd t1n t2f flair pd dwi adc swi bold us ultrasound em tem
    sem""".split()  # noqa: SIM905
)
#: Words that name a part of a data set, and the part they mean.
_SPLITS = {"tr": "train", "ts": "test", "va": "val", "training": "train", "testing": "test", "valid": "val",
           "validation": "val", "train": "train", "test": "test", "val": "val", "dev": "val"}  # fmt: skip
#: Bytes of a case id, so that names made of it stay below the 255 that file systems take.
LONGEST_ID = 180
_NUMBERED_CHANNEL = re.compile(r"_(\d{4})$")


def tokens(name: str) -> list[str]:
    """Lower-case words of a name, cut at signs and at changes of case.

    Example:
        >>> tokens("ManualMask_01"), tokens("imagesTr")
        (['manual', 'mask', '01'], ['images', 'tr'])
    """
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [part.lower() for part in re.split(r"[^A-Za-z0-9]+", parts) if part]


def role(name: str) -> str | None:
    """`label`, `image` or `None`, judged by the words of a file or folder name.

    Example:
        >>> role("train_masks"), role("imagesTr"), role("heart"), role("image_seg")
        ('label', 'image', None, 'label')
    """
    words = [re.sub(r"\d+$", "", word) or word for word in tokens(name)]
    if any(word in LABEL_WORDS for word in words):
        return "label"
    if any(word in IMAGE_WORDS for word in words) or any(word in CHANNEL_WORDS for word in tokens(name)):
        return "image"
    return None


def only_label_words(name: str) -> bool:
    """Whether a name speaks of labels and of nothing else.

    Example:
        >>> only_label_words("GT_masks"), only_label_words("masks_heart")
        (True, False)
    """
    return all(word in LABEL_WORDS for word in tokens(name))


def split_of(name: str, *, within: bool = False) -> str:
    """The part of a data set (`train`, `val`, `test`) that a folder is called after; empty for other names.

    Args:
        name: Of a folder.
        within: The word may stand among others.

    Example:
        >>> split_of("valid"), split_of("imagesTr"), split_of("imagesTr", within=True)
        ('val', '', 'train')
    """
    words = tokens(name)
    if len(words) != 1 and not within:
        return ""
    return next((_SPLITS[word] for word in words if word in _SPLITS), "")


def strip_roles(stem: str) -> str:
    """A stem without words such as `mask`, `image` or a channel number.

    Example:
        >>> strip_roles("liver_012_seg"), strip_roles("segmentation-7"), strip_roles("chaos_2_0000")
        ('liver_012', '7', 'chaos_2')
    """
    stem = _NUMBERED_CHANNEL.sub("", stem)
    words = [word for word in re.split(r"[_\-. ]+", stem) if word]
    kept = [word for word in words if role(word) is None or word.lower() in CHANNEL_WORDS]
    bare = [re.sub(r"(?i)^(image|img|im|mask|label|seg|gt)(?=\d)", "", word) for word in kept]
    return "_".join(word for word in bare if word)


def site_of(folder: str) -> str:
    """What a folder's name says besides that it holds images or labels: a site, a part, a scanner.

    Example:
        >>> site_of("siteA_images"), site_of("imgB"), site_of("masks2"), site_of("centre1-scans"), site_of("masks")
        ('siteA', 'B', '2', 'centre1', '')
    """
    cut = r"(?<=[a-z])(?=[A-Z\d])" if re.fullmatch(r"[A-Za-z]+\d*", folder) else r"(?<=[a-z])(?=\d+$)"
    words = re.sub(cut, "_", folder)
    return strip_roles(words) if strip_roles(words) != words else strip_roles(folder)


def numbers(stem: str) -> str:
    """All numbers of a stem without leading zeros, as one key.

    Example:
        >>> numbers("vol007-b2")
        '7.2'
    """
    return ".".join(str(int(n)) for n in re.findall(r"\d+", stem))


def structure_name(name: str) -> str:
    """A structure's name from a folder or file name, without words such as `mask`.

    Example:
        >>> structure_name("leftMask"), structure_name("heart_seg"), structure_name("masks")
        ('left', 'heart', 'masks')
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[_\-. ]+", text) if word]
    kept = [word for word in words if word.lower() not in LABEL_WORDS]
    return "_".join(kept) or name


def safe_id(name: str) -> str:
    """A case id that can be a file name anywhere; letters of any script and blanks stay, so that results keep names.

    Example:
        >>> safe_id("p 1/scan:2"), safe_id("Jörg (1)")
        ('p 1_scan_2', 'Jörg (1)')
    """
    text = re.sub(r"[^\w.+\-,() ]+", "_", unicodedata.normalize("NFC", name)).strip("._ ")
    while len(text.encode()) > LONGEST_ID:
        text = text[:-1]
    return text or "case"


def match(images: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Pair image stems with label stems, `{image: label}`, one to one.

    Ways are tried from strict to loose (equal stems, stems without role words, without affixes that all share,
    by numbers only, by prefix); the first that pairs the most wins. An image and a label that stand alone pair unless
    both have names of their own, which speak of two cases.

    Example:
        >>> match(["volume-1", "volume-2"], ["segmentation-2", "segmentation-1"])
        {'volume-1': 'segmentation-1', 'volume-2': 'segmentation-2'}
    """
    best: dict[str, str] = {}
    for way in _ways(images, labels):
        found = _join(images, labels, *way)
        if len(found) > len(best):
            best = found
    prefixed = _by_prefix(images, labels)
    if len(prefixed) > len(best):
        best = prefixed
    if not best and len(images) == len(labels) == 1 and not (strip_roles(images[0]) and strip_roles(labels[0])):
        return {images[0]: labels[0]}
    return best


def channel_sets(images: Sequence[str], labels: Sequence[str]) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Find several images a case: channel names, and `{case: {channel: image stem}}`.

    A case is a prefix that several images share and, where labels are given, that names a label. No channels come
    back where images do not fall into equal sets.

    Example:
        >>> channel_sets(["a_t1", "a_t2", "b_t1", "b_t2"], ["a_seg", "b_seg"])[0]
        ('t1', 't2')
    """
    label_keys = {strip_roles(label) for label in labels}
    cases: dict[str, dict[str, str]] = {}
    for stem in images:
        head, sign, tail = stem.rpartition("_")
        if not sign or (label_keys and head not in label_keys and strip_roles(head) not in label_keys):
            return (), {}
        cases.setdefault(head, {})[tail] = stem
    sets = {tuple(sorted(case)) for case in cases.values()}
    names = max(sets, key=len, default=())
    share = sum(tuple(sorted(case)) == names for case in cases.values()) / max(1, len(cases))
    channel_like = all(re.fullmatch(r"\d{4}", name) or role(name) == "image" for name in names)
    if len(cases) < 1 or share < 0.5 or len(names) < 2 or not (channel_like or label_keys):
        return (), {}
    return names, cases


Key = Callable[[str], str]


def _ways(images: Sequence[str], labels: Sequence[str]) -> list[tuple[Key, Key]]:
    """Pairs of functions that turn an image stem and a label stem into comparable keys."""
    ways: list[tuple[Key, Key]] = [(str, str), (str.lower, str.lower), (strip_roles, strip_roles)]
    ways.append((lambda s: s.rpartition("/")[2], lambda s: s.rpartition("/")[2]))
    ways.append((_without_affixes(images), _without_affixes(labels)))
    bare_images, bare_labels = [strip_roles(s) for s in images], [strip_roles(s) for s in labels]
    cut_images, cut_labels = _without_affixes(bare_images), _without_affixes(bare_labels)
    ways.append((lambda s: cut_images(strip_roles(s)), lambda s: cut_labels(strip_roles(s))))
    ways.append((lambda s: numbers(strip_roles(s)), lambda s: numbers(strip_roles(s))))
    return ways


def _join(images: Sequence[str], labels: Sequence[str], image_key: Key, label_key: Key) -> dict[str, str]:
    left, right = _unique(images, image_key), _unique(labels, label_key)
    return {stem: right[key] for key, stem in left.items() if key and key in right}


def _unique(stems: Iterable[str], key: Key) -> dict[str, str]:
    """Key to stem; keys that two stems share are dropped, because they would pair at random."""
    table: dict[str, list[str]] = {}
    for stem in stems:
        table.setdefault(key(stem), []).append(stem)
    return {key: found[0] for key, found in table.items() if len(found) == 1}


def _by_prefix(images: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """A label whose stem goes on after the whole image stem; refused where more than one does."""
    if len(images) * len(labels) > 4_000_000:
        return {}
    found: dict[str, str] = {}
    for stem in images:
        longer = [label for label in labels if label.startswith(stem) and not label[len(stem) :][:1].isdigit()]
        if len(longer) == 1:
            found[stem] = longer[0]
    return found if len(set(found.values())) == len(found) else {}


def shared_start(stems: Sequence[str]) -> str:
    """The letters that all stems begin with."""
    columns = zip(*stems, strict=False)
    return "".join(column[0] for column in takewhile(lambda letters: len(set(letters)) == 1, columns))


def _without_affixes(stems: Sequence[str]) -> Key:
    """A function that cuts what all stems begin and end with; numbers are never cut apart."""
    if len(stems) < 2:
        return str
    head = re.sub(r"\d+$", "", shared_start(stems))
    tail = shared_start([stem[::-1] for stem in stems])[::-1]
    cut = re.search(r"[_\-. ].*$|^[A-Za-z]+\d?$", tail)
    tail = cut.group(0) if cut else ""

    def key(stem: str) -> str:
        rest = stem.removeprefix(head)
        return rest[: -len(tail)] if tail and rest.endswith(tail) and len(rest) > len(tail) else rest

    return key
