"""A piece of work begins only if one as long as the longest before it would end in time."""

from __future__ import annotations

import pytest

from segwright.core.deadline import Deadline


@pytest.mark.parametrize(("until", "admitted"), [(None, 5), (100.0, 5), (31.0, 4), (29.0, 3), (20.0, 2), (-1.0, 0)])
def test_pieces_of_ten_seconds(until: float | None, admitted: int) -> None:
    now = [0.0]
    deadline = Deadline(until, clock=lambda: now[0])
    count = 0
    while count < 5 and deadline.admits():
        count += 1
        now[0] += 10.0 if count < 2 else 5.0  # a shorter piece later does not make the next one look shorter
    assert count == admitted
