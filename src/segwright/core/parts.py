"""What the rows of tables say of themselves: all that others must know of a part without loading its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Part:
    """A row of a table.

    Attributes:
        code: `"module:attribute"` of what the row stands for; imported only when the part is used.
    """

    code: str


@dataclass(frozen=True)
class TargetInfo(Part):
    """What a network can be trained on.

    Attributes:
        kinds: Kinds of labels that it suits; none for a target that must be asked for in another way.
        loss: Row of the losses table that it usually takes.
        beside: Channels beside one a structure.
        directed: Axes (0 z, 1 y, 2 x) along which channels have a direction: mirrored copies cannot be averaged.
        per_structure: Each structure has a score that is its probability: runs may be mixed, and scores may start at
            the share of a scan that a structure takes.
        background: Scores are read off a softmax over structures and background.
        ordered: Structures are named by their order in a row, over the whole scan.
        probable: A structure's score is how likely a voxel belongs to it, so that it can be calibrated.
        decoders: Rows of the decoders table that find objects in its channels, the usual one first.
    """

    kinds: tuple[Literal["exclusive", "overlapping", "instances"], ...] = ()
    loss: str = ""
    beside: int = 0
    directed: tuple[int, ...] = ()
    per_structure: bool = False
    background: bool = False
    ordered: bool = False
    probable: bool = True
    decoders: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossInfo(Part):
    """What a loss trains.

    Attributes:
        activation: What it reads scores off; `any` is a parameter of its own, `None` unknown, and its author's affair.
        ordered: It fits structures in a row, and nothing else.
        parts: Names of parameters that are losses themselves.
    """

    activation: Activation | Literal["any"] | None = None
    ordered: bool = False
    parts: tuple[str, ...] = ()
