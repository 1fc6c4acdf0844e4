"""What segwright does with what it dreads: damaged files, broken runs, hostile requests.

    python benchmarks/faults.py            every part, one after the other
    python benchmarks/faults.py PART ...   one of them, with its own options

A part is a file `faults_PART.py` beside this one with `main(words) -> int`, 0 where nothing crashed, hung or was
silently wrong; it prints its counts and keeps them in `results/faults_PART.json`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Parts in the order in which they run.
PARTS = [name for name in ("files", "bombs", "runs", "server") if (HERE / f"faults_{name}.py").exists()]


def main(words: list[str]) -> int:
    """Run one part, or all; 1 where any of them failed."""
    if words and words[0] not in PARTS:
        print(__doc__, f"Parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in words[:1] or PARTS:
        print(f"\n{name}", flush=True)
        failed |= importlib.import_module(f"faults_{name}").main(words[1:])
    return failed


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main(sys.argv[1:]))
