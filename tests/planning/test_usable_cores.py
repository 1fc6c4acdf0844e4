"""A process kept to some cores plans for those, not for the whole machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from segwright.planning.machine import usable_cores


def test_at_least_one_core_is_usable() -> None:
    assert usable_cores() >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_a_process_bound_to_one_core_counts_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from segwright.planning.machine import usable_cores; print(usable_cores())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"
