"""What a structure is in medicine: coded terms that other programs understand, and where they come from."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: Where a term comes from: a person or file stated it, it was guessed from the name, or nothing better is known.
Basis = Literal["stated", "guessed", "general"]


class Code(NamedTuple):
    """A term of a coding scheme, such as SNOMED CT (`SCT`)."""

    scheme: str
    value: str
    meaning: str

    @classmethod
    def parse(cls, text: str) -> Code | None:
        """The code that `str` gave, `None` of an empty text or one that is no code.

        Example:
            >>> Code.parse("SCT:10200004:Liver"), Code.parse(""), Code.parse("liver")
            (Code(scheme='SCT', value='10200004', meaning='Liver'), None, None)
        """
        parts = text.split(":", 2)
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def __str__(self) -> str:
        return ":".join(self)


#: What is said where nothing better is known; honest of any structure, and known to every reader.
GENERAL_CATEGORY = Code("SCT", "91723000", "Anatomical Structure")
GENERAL_TYPE = Code("SCT", "85756007", "Tissue")
LEFT = Code("SCT", "7771000", "Left")
RIGHT = Code("SCT", "24028007", "Right")


class Terms(NamedTuple):
    """Category (what kind of thing), type (which thing) and modifier (which side) of a structure."""

    category: Code = GENERAL_CATEGORY
    type: Code = GENERAL_TYPE
    modifier: Code | None = None
    basis: Basis = "general"
