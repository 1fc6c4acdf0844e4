"""Points on lines and arches come out in order, whichever way they were shuffled."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.seed import derive
from segwright.ops.row_instances import along


def either_way(order, truth):
    return order.tolist() in (truth.tolist(), truth[::-1].tolist())


@pytest.mark.parametrize("arc", [0.1, 1.0, 4.5], ids=["line", "bow", "arch"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("count", [2, 6, 30])
def test_order_on_a_curve(arc, dims, count):
    angle = np.linspace(0, arc, count)
    points = np.zeros((count, dims))
    points[:, 0], points[:, 1] = 100 * np.sin(angle), 100 * np.cos(angle)
    if count > 2:
        points += derive(3, "noise").normal(0, 0.05 * 100 * arc / count, points.shape)
    shuffle = derive(count, "shuffle").permutation(count)
    order, places = along(points[shuffle])
    assert either_way(shuffle[order], np.arange(count))
    assert np.all(np.diff(places) > 0)
    assert np.median(np.diff(places)) == pytest.approx(1)


def test_a_missing_one_leaves_a_double_gap():
    _, places = along(np.array([[0.0, 0], [10, 0], [20, 0], [40, 0], [50, 0]]))
    assert sorted(np.diff(places).round(6).tolist()) == [1, 1, 1, 2]


def test_a_point_beside_the_line_takes_its_foot():
    points = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0], [14, 6]])
    order, _ = along(points)
    assert either_way(order, np.array([0, 1, 4, 2, 3]))


def test_few_points():
    assert along(np.zeros((0, 3)))[0].tolist() == []
    assert along(np.ones((1, 3)))[1].tolist() == [0]
    assert len(along(np.ones((2, 3)))[0]) == 2
