"""Guesses the coded terms of a structure from its name, among the terms that DICOM lists for segments."""

from __future__ import annotations

import re
from functools import cache

from pydicom.sr.codedict import codes

from segwright.core.labels import GENERAL_CATEGORY, LEFT, RIGHT, Code, Structure, Terms

#: Context groups of segment types in DICOM's part 16, and the category each is of.
_GROUPS = {
    "CID7194": codes.SCT.MorphologicallyAbnormalStructure,
    "CID7191": codes.SCT.Tissue,
    "CID7197": codes.SCT.BodySubstance,
    "CID7192": codes.SCT.AnatomicalStructure,
    "CID4031": codes.SCT.AnatomicalStructure,
    "CID4030": codes.SCT.AnatomicalStructure,
    "CID8134": codes.SCT.AnatomicalStructure,
}
_SIDES = {**dict.fromkeys(("left", "l", "lt", "lh"), LEFT), **dict.fromkeys(("right", "r", "rt", "rh"), RIGHT)}
#: Everyday words for terms of the groups, and words that say nothing.
_OTHER = {**dict.fromkeys(("tumour", "tumor", "cancer"), "neoplasm"), "oedema": "edema", "haemorrhage": "hemorrhage"}
_IDLE = frozenset({"of", "the", "and"})


def terms_of(structure: Structure) -> Terms:
    """What a structure states of itself; what it leaves out is guessed from its name.

    Example:
        >>> terms_of(Structure(name="left kidney")).type, terms_of(Structure(name="left kidney")).modifier
        (Code(scheme='SCT', value='64033007', meaning='Kidney'), Code(scheme='SCT', value='7771000', meaning='Left'))
        >>> terms_of(Structure(name="structure_1")).type.meaning
        'Tissue'
    """
    stated = Code.parse(structure.type)
    if stated is None:
        return guess(structure.name)
    category = Code.parse(structure.category) or GENERAL_CATEGORY
    return Terms(category, stated, Code.parse(structure.modifier), "stated")


def guess(name: str) -> Terms:
    """The terms a name seems to mean: the whole name, then without its side, without numbers, then its last word."""
    words = _words(name)
    side = next((_SIDES[word] for word in words if word in _SIDES), None)
    rest = [word for word in words if word not in _SIDES]
    plain = [word for word in rest if not word.isdigit()]
    if found := _known().get(frozenset(words)):
        return Terms(*found, None if side and side.meaning in found[1].meaning.split() else side, "guessed")
    for attempt in (rest, [*rest, "vertebra"] if rest else [], plain, plain[-1:]):
        if found := _known().get(frozenset(attempt)):
            return Terms(*found, side, "guessed")
    return Terms(modifier=side)


def _words(name: str) -> list[str]:
    """Lower-case words of a name, in the singular, in the field's spelling.

    Example:
        >>> _words("Left_Lungs"), _words("liverTumour")
        (['left', 'lung'], ['liver', 'neoplasm'])
    """
    parts = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    return [word for word in (_word(part.lower()) for part in parts) if word not in _IDLE]


def _word(word: str) -> str:
    single = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    return _OTHER.get(single, single)


@cache
def _known() -> dict[frozenset[str], tuple[Code, Code]]:
    """Category and type by the words of the type's meaning; the first group that has a term keeps it."""
    found: dict[frozenset[str], tuple[Code, Code]] = {}
    for group, category in _GROUPS.items():
        for keyword in getattr(codes, group).dir():
            term = getattr(codes.SCT, keyword, None)  # other schemes have few terms, and some keywords twice
            if term is None:
                continue
            found.setdefault(frozenset(_words(term.meaning)), (_code(category), _code(term)))
    return found


def _code(term: object) -> Code:
    return Code(*(str(getattr(term, name)) for name in ("scheme_designator", "value", "meaning")))
