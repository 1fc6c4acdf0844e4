"""Which sections of a stack are spoiled, and how, by robust statistics over the whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segwright.ops.sections import SectionFacts

Kind = Literal["missing", "noisy", "blurred", "dark", "bright", "shifted"]

#: Robust deviations from the stack's median beyond which a section stands out.
OUTLYING = 6.0
#: Spread assumed at least, as a share of the median: a handful of even sections would otherwise condemn each other.
LEAST_SPREAD = 0.06
#: A section is blank below this share of the usual contrast.
BLANK = 0.1
#: Fine detail by which noise exceeds, or blur falls below, what is usual.
NOISY, BLURRED = 1.4, 0.6
#: Share of the usual contrast by which a section's mean strays when it counts as dark or bright.
STRAYING = 1.0
#: Pixels of a shift that count, and the gain in correlation that makes it credible.
SHIFTED, CREDIBLE = 3.0, 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """A spoiled section.

    Attributes:
        section: Number in the stack, from 0.
        kind: What is wrong with it.
        score: Robust deviations from the stack's median; for shifts, pixels.
        shift: Rows and columns that move a shifted section back.
        noise: Mean size of what noise adds to a grey value of a noisy section.
    """

    section: int
    kind: Kind
    score: float
    shift: tuple[int, int] = (0, 0)
    noise: float = 0.0


def faults(facts: SectionFacts) -> tuple[Fault, ...]:
    """Spoiled sections in order, one entry each, the gravest kind first asked.

    Fewer than five sections with content have no usual look, so only blank ones are found among them; a stack that is
    mostly blank has no faults.
    """
    usual = float(np.median(facts.deviation))
    if usual < 1e-9:
        return ()
    blank = facts.deviation < BLANK * usual
    found = {int(z): Fault(int(z), "missing", 0.0) for z in np.flatnonzero(blank)}
    if np.count_nonzero(~blank) >= 5:
        for fault in (*_unlike(facts, blank), *_shifted(facts, blank)):
            found.setdefault(fault.section, fault)
    return tuple(found[z] for z in sorted(found))


def _unlike(facts: SectionFacts, blank: NDArray[np.bool_]) -> Iterator[Fault]:
    """Sections whose detail or brightness strays."""
    contrast = float(np.median(facts.deviation[~blank]))
    detail = facts.detail / np.maximum(facts.deviation, 1e-9)  # a darker section has less of both
    usual = float(np.median(detail[~blank]))
    strange = _robust(detail, blank, LEAST_SPREAD * usual)
    stray = (facts.mean - _running_median(facts.mean, blank)) / contrast
    astray = _robust(stray, blank, LEAST_SPREAD)
    for z in np.flatnonzero(~blank):
        score, tone = float(strange[z]), float(astray[z])
        if score > OUTLYING and detail[z] > NOISY * usual:
            yield Fault(int(z), "noisy", score, noise=_noise(float(facts.detail[z]), usual * float(facts.deviation[z])))
        elif score < -OUTLYING and detail[z] < BLURRED * usual:
            yield Fault(int(z), "blurred", score)
        elif abs(tone) > OUTLYING and abs(stray[z]) > STRAYING:
            yield Fault(int(z), "dark" if tone < 0 else "bright", tone)


def _noise(detail: float, usual: float) -> float:
    """Mean absolute noise of a section with that much more detail than usual.

    Independent noise of deviation s adds s^2 (1 + 1/4) to the variance of a pixel minus the mean of four, and is
    s sqrt(2 / pi) large on average.

    Example:
        >>> round(_noise(np.sqrt(3**2 + 10**2 * 1.25), 3.0), 3)
        7.979
    """
    return float(np.sqrt(max(detail**2 - usual**2, 0.0) / 1.25) * np.sqrt(2 / np.pi))


def _shifted(facts: SectionFacts, blank: NDArray[np.bool_]) -> Iterator[Fault]:
    """Sections off both neighbours by the same shift, while the neighbours lie over one another."""
    for z in range(1, len(facts.mean) - 1):
        if blank[z - 1 : z + 2].any():
            continue
        back, on = facts.shift[z - 1], -facts.shift[z]
        gain = min(facts.moved[z - 1] - facts.likeness[z - 1], facts.moved[z] - facts.likeness[z])
        size = float(np.abs(back).max())
        agree = float(np.abs(back - on).max()) <= max(2.0, 0.2 * size)
        steady = float(np.abs(facts.leap[z - 1]).max()) <= 0.5 * size
        if size >= SHIFTED and agree and steady and gain > CREDIBLE:
            mean = np.round((back + on) / 2).astype(int)
            yield Fault(z, "shifted", size, (int(mean[0]), int(mean[1])))


def _robust(values: NDArray[np.float64], blank: NDArray[np.bool_], least: float) -> NDArray[np.float64]:
    """Deviations from the median in units of the median absolute deviation, made comparable to a standard deviation."""
    centre = np.median(values[~blank])
    spread = 1.4826 * float(np.median(np.abs(values[~blank] - centre)))
    return (values - centre) / max(spread, least, 1e-12)


def _running_median(values: NDArray[np.float64], blank: NDArray[np.bool_], reach: int = 4) -> NDArray[np.float64]:
    """Median of the sections around each, itself left out, so that slow drifts of brightness are no fault."""
    result = np.empty(len(values))
    for z in range(len(values)):
        near = [i for i in range(max(z - reach, 0), min(z + reach + 1, len(values))) if i != z and not blank[i]]
        result[z] = np.median(values[near]) if near else values[z]
    return result
