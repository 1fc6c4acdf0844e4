"""How counts, sizes, times and lists are said, so that every message says them alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

#: Names told in one sentence; of more, how many more there are.
LISTED = 8

Shape = Sequence[int]


def amount(number: int, noun: str) -> str:
    """A number and what it counts, in the singular for one.

    The word before the first "of" takes the plural, or else the last word.

    Example:
        >>> amount(1, "case"), amount(1200, "labelled case"), amount(0, "pair of case and structure")
        ('1 case', '1,200 labelled cases', '0 pairs of case and structure')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun, or of a phrase such as "pair of cases".

    Example:
        >>> plural("box"), plural("body"), plural("array"), plural("piece of it")
        ('boxes', 'bodies', 'arrays', 'pieces of it')
    """
    head, of, rest = noun.partition(" of ")
    if re.search(r"[^aeiou]y$", head):
        return f"{head[:-1]}ies{of}{rest}"
    return head + ("es" if re.search(r"(s|x|ch|sh)$", head) else "s") + of + rest


def agree(number: int, one: str, many: str) -> str:
    """The form of a verb (or another word) that goes with a number.

    Example:
        >>> agree(1, "has", "have"), agree(0, "has", "have")
        ('has', 'have')
    """
    return one if number == 1 else many


def size(shape: Shape) -> str:
    """The size of a scan `(z, y, x)`: a plane has pixels, a volume voxels.

    Example:
        >>> size((1, 512, 400)), size((31, 256, 256))
        ('512 x 400 pixels (height x width)', '31 x 256 x 256 voxels (z, y, x)')
    """
    return sizes([shape])


def sizes(shapes: Iterable[Shape]) -> str:
    """The range of sizes of several scans `(z, y, x)`; as pixels if all of them are single planes.

    Example:
        >>> sizes([(1, 512, 400), (1, 640, 400)]), sizes([(20, 64, 64), (31, 64, 64)])
        ('512-640 x 400 pixels (height x width)', '20-31 x 64 x 64 voxels (z, y, x)')
    """
    axes = list(zip(*shapes, strict=True))
    lengths = [str(min(axis)) if min(axis) == max(axis) else f"{min(axis)}-{max(axis)}" for axis in axes]
    if len(axes) == 3 and max(axes[0]) == 1:
        return f"{' x '.join(lengths[1:])} pixels (height x width)"
    return f"{' x '.join(lengths)} voxels ({', '.join('zyx'[-len(axes) :])})"


def listed(names: Iterable[object], most: int = LISTED) -> str:
    """Names in one line; of many the first, and how many more there are.

    Example:
        >>> listed(["a", "b"]), listed("abcdefghij", most=2)
        ('a, b', 'a, b and 8 more')
    """
    found = [str(name) for name in names]
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(4.2), duration(125), duration(7300)
        ('4.2 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def byte_size(count: float) -> str:
    """Bytes in binary units.

    Example:
        >>> byte_size(512), byte_size(3 * 2**30)
        ('512 B', '3.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    power = min(int(math.log2(count) // 10), 3)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"
