"""Plans of typical data sets on typical machines, kept so that no rule changes unseen.

    python tests/planning/golden_plans.py            prints what differs from the kept plans
    python tests/planning/golden_plans.py --write    keeps the plans as they are now, and prints what changed

The data sets lie on either side of the planner's limits: slices a little thinner and a little thicker than what counts
as very thick, scans that fill a little more and a little less of their grid, and so on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segwright.api.planning import make_plan
from segwright.core.labels import LabelSpace
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine
from segwright.planning.recipe_book import load_recipe

KEPT = Path(__file__).with_name("golden_plans.json")
GIGABYTE = 2**30
MACHINES = {
    "laptop": Machine(cores=2, memory=24 * GIGABYTE, bfloat16=True),
    "old workstation": Machine(cores=4, memory=6 * GIGABYTE),
    "gpu": Machine(cores=16, memory=64 * GIGABYTE, gpu_memory=24 * GIGABYTE),
}


def _space(count: int, kind: str = "exclusive") -> LabelSpace:
    return LabelSpace.model_validate({"structures": [{"name": f"s{i + 1}"} for i in range(count)], "kind": kind})


def _facts(count: int, share: float, *, kind: str = "exclusive", **facts: Any) -> Fingerprint:
    """A fingerprint of `count` structures, each of that share of the voxels."""
    space = _space(count, kind)
    channels = facts.pop("channels", ("grey",))
    cases = facts.setdefault("cases", 60)
    spacing = facts["spacing"]
    usual = {
        "groups": cases,
        "labels": space,
        "orientation": None if facts["dims"] == 2 else "SAR",
        "fine_spacing": spacing,
        "spacing_range": [None if step is None else (step, step) for step in spacing],
        "spacing_spread": 0.0,
        "zero_share": 0.0,
        "content_share": 1.0,
        "foreground": ((100.0, 20.0, 60.0, 150.0),) * len(channels),
        "presence": dict.fromkeys(space.names, cases),
        "share": dict.fromkeys(space.names, share),
    }
    return Fingerprint.model_validate({**usual, "channels": channels, **facts})


def _row(count: int, axis: int) -> dict[str, Any]:
    """An order of look-alikes along an axis."""
    usual = {"axis": axis, "shown": [0.9] * count, "places": [(0.1 + 0.8 * i / count, 0.05) for i in range(count)]}
    return {
        "cases": 50, "in_row": 1.0, "same_way": 1.0, "size_ratio": 1.2, "shared": 0.0, "covered": 0.0, "axis": axis,
        "usual": usual,
    }  # fmt: skip


FLAT: dict[str, Any] = {"dims": 2, "spacing": (None, None, None)}
VOLUME: dict[str, Any] = {"dims": 3, "modality": "mr"}


def _sized(median: tuple[float, ...], large: tuple[float, ...]) -> dict[str, Any]:
    return {"shape_median": median, "shape_large": large}


#: Data sets by name.
DATA: dict[str, Fingerprint] = {
    "hippocampus": _facts(
        2, 0.03, cases=200, spacing=(1.0, 1.0, 1.0), **VOLUME, **_sized((36, 50, 35), (42, 55, 39))
    ),
    "films without spacing": _facts(1, 0.05, modality="xray", **FLAT, **_sized((1, 2000, 800), (1, 2700, 1100))),
    "films with spacing": _facts(
        6, 0.01, kind="overlapping", modality="xray", dims=2, spacing=(None, 0.14, 0.14), spacing_spread=0.3,
        spacing_range=[None, (0.1, 0.2), (0.1, 0.2)], **_sized((1, 1100, 400), (1, 1490, 600)),
    ),
    "rows of vertebrae in films": _facts(
        17, 0.004, modality="xray", order=_row(17, 1), **FLAT, **_sized((1, 2000, 800), (1, 2700, 1100))
    ),
    "chest": _facts(
        5, 0.1, kind="overlapping", modality="xray", cases=120, **FLAT, **_sized((1, 512, 512), (1, 512, 512))
    ),
    "small photographs": _facts(
        2, 0.2, modality="other", channels=("red", "green", "blue"), cases=400, **FLAT,
        **_sized((1, 200, 240), (1, 220, 256)),
    ),
    "huge photographs": _facts(
        3, 0.01, modality="other", channels=("red", "green", "blue"), **FLAT, **_sized((1, 4000, 4000), (1, 5000, 5000))
    ),
    "nuclei": _facts(
        1, 0.2, kind="instances", modality="other", cases=80, **FLAT, **_sized((1, 512, 512), (1, 1024, 1024))
    ),
    "slices a little less than very thick": _facts(
        4, 0.02, spacing=(7.0, 1.25, 1.25), cases=9, **VOLUME, **_sized((36, 256, 256), (46, 256, 256))
    ),
    "very thick slices": _facts(
        4, 0.02, spacing=(8.0, 1.25, 1.25), cases=9, spacing_spread=0.1,
        **VOLUME, **_sized((36, 256, 256), (46, 256, 256)),
    ),
    "abdomen in ct": _facts(
        10, 0.005, dims=3, modality="ct", spacing=(3.0, 0.8, 0.8), fine_spacing=(2.0, 0.7, 0.7), spacing_spread=0.5,
        spacing_range=[(1.0, 5.0), (0.6, 0.9), (0.6, 0.9)], **_sized((120, 512, 512), (200, 512, 512)),
    ),
    "tumour in four channels": _facts(
        3, 0.002, channels=("t1", "t1c", "t2", "flair"), cases=300, spacing=(1.0, 1.0, 1.0), zero_share=0.7,
        content_share=0.4, **VOLUME, **_sized((155, 240, 240), (155, 240, 240)),
    ),
    "scans with a border": _facts(
        1, 0.05, spacing=(1.0, 1.0, 1.0), content_share=0.7, zero_share=0.28, **VOLUME,
        **_sized((120, 160, 160), (140, 180, 180)),
    ),
    "scans with hardly a border": _facts(
        1, 0.05, spacing=(1.0, 1.0, 1.0), content_share=0.8, zero_share=0.32, **VOLUME,
        **_sized((120, 160, 160), (140, 180, 180)),
    ),
    "sections of tissue": _facts(
        1, 0.05, kind="instances", dims=3, modality="em", cases=5, spacing=(3e-5, 8e-6, 8e-6),
        **_sized((80, 1000, 1000), (100, 1024, 1024)),
    ),
    "three patients": _facts(
        1, 0.03, cases=3, spacing=(2.0, 1.0, 1.0), spacing_spread=0.2,
        spacing_range=[(1.0, 3.0), (0.9, 1.1), (0.9, 1.1)],
        **VOLUME, **_sized((64, 128, 128), (80, 160, 160)),
    ),
}  # fmt: skip


def plans() -> dict[str, dict[str, dict[str, Any]]]:
    """Every plan, by data set and machine, without its reasons in words; numbers to six digits."""
    recipe = load_recipe("default", {})
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, facts in DATA.items():
        for machine, offers in MACHINES.items():
            made = make_plan(recipe, facts, machine=offers)
            told = made.model_dump(
                mode="json", exclude={"why", "labels", "schema_number", "version", "warnings", "asked", "made"}
            )
            found.setdefault(name, {})[machine] = _rounded(told)
    return found


def _rounded(value: Any) -> Any:
    """The same with floats of six significant digits, so that another machine's rounding does not matter."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def fields(plan: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a plan by its path."""
    if isinstance(plan, dict) and plan:
        for key, value in plan.items():
            yield from fields(value, f"{path}.{key}" if path else key)
    else:
        yield path, json.dumps(plan)


def differences(kept: Any, made: Any) -> list[str]:
    """What differs between two tables of plans, a line a field."""
    before, after = dict(fields(kept)), dict(fields(made))
    return [
        f"{path}: {before.get(path, 'absent')} -> {after.get(path, 'absent')}"
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def kept() -> Any:
    """The plans as they were kept; empty before the first time."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def _stored(made: dict[str, dict[str, dict[str, Any]]]) -> str:
    """A line a section of a plan, so that a changed rule is seen at a glance in the history."""
    lines = []
    for name, machines in made.items():
        rows = []
        for machine, plan in machines.items():
            parts = ",\n".join(f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in plan.items())
            rows.append(f"  {json.dumps(machine)}: {{\n{parts}\n  }}")
        lines.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(words: list[str]) -> int:
    """Show what differs, and keep it where that is asked."""
    made = plans()
    found = differences(kept(), made)
    sys.stdout.write("\n".join([*found, f"{len(found)} fields differ"]) + "\n")
    if words == ["--write"]:
        KEPT.write_text(_stored(made), encoding="utf-8")
        return 0
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
