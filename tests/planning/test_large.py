"""Large images: when a tile sees its surroundings, and what is given up for memory, in which order."""

from __future__ import annotations

import pytest

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec
from segwright.core.recipe import Recipe
from segwright.planning.machine import Machine
from segwright.planning.memory import training_bytes
from segwright.planning.rules import network

NET = NetSpec(
    in_channels=1, out_channels=29, slab=1, widths=(32, 64, 128), strides=((1, 1, 1), (1, 2, 2), (1, 2, 2)),
    kernels=((1, 3, 3),) * 3, encoder_blocks=(2, 2, 2), decoder_blocks=(1, 1), norm="batch",
)  # fmt: skip


def test_tiles_of_a_large_radiograph_see_four_times_their_edges() -> None:
    (sides, factor), reason = network.surround(Recipe(), (1, 320, 320), (1, 2048, 2048), 1)
    assert factor == 4 and sides == (0, 480, 480)
    assert "2048 x 2048" in reason


def test_whole_images_and_volumes_have_none() -> None:
    assert network.surround(Recipe(), (1, 512, 512), (1, 512, 480), 1)[0] == ((0, 0, 0), 1)
    assert network.surround(Recipe(), (64, 64, 64), (200, 300, 300), 0)[0] == ((0, 0, 0), 1)


def test_it_can_be_asked_for_and_switched_off() -> None:
    assert network.surround(Recipe(surround=1), (1, 320, 320), (1, 2048, 2048), 1)[0] == ((0, 0, 0), 1)
    assert network.surround(Recipe(surround=2), (16, 64, 64), (16, 300, 300), 0)[0] == ((0, 32, 32), 2)
    with pytest.raises(PlanError, match="neighbouring slices"):
        network.surround(Recipe(surround=2), (1, 64, 64), (16, 300, 300), 5)


def test_memory_is_saved_in_the_order_of_what_it_costs() -> None:
    needs = training_bytes
    patch = (1, 1024, 1024)
    whole = needs(NET, patch, 8)
    same = network.thrift(NET, patch, 8, budget=10 * whole, needs=needs)
    assert same[:3] == (NET, 8, 1)
    net, batch, times, _ = network.thrift(NET, patch, 8, budget=0.56 * whole, needs=needs)
    assert (batch, times, net.checkpointing) == (4, 2, False)
    net, batch, times, reason = network.thrift(NET, patch, 8, budget=0.16 * whole, needs=needs)
    assert batch * times == 8 and net.checkpointing and "recomputed" in reason
    assert needs(net, patch, batch) <= 0.8 * 0.2 * whole


def test_a_single_patch_has_no_batch_norm() -> None:
    net, batch, times, _ = network.thrift(NET, (1, 512, 512), 2, budget=1.0, needs=training_bytes)
    assert (batch, times, net.norm, net.checkpointing) == (1, 2, "group", True)


@pytest.mark.parametrize("zooms", [((0.5, 1),), ((0.5, 2), (0.4, 4)), ((1.0, 2),)])
def test_zooms_that_make_no_sense_are_refused(zooms: tuple[tuple[float, int], ...]) -> None:
    with pytest.raises(PlanError, match="rising shares"):
        network.zooms(Recipe(zooms=zooms), surrounded=False)
    with pytest.raises(PlanError, match="surrounds"):
        network.zooms(Recipe(zooms=((0.5, 2),)), surrounded=True)


def test_memory_may_be_limited() -> None:
    machine = Machine(cores=2, memory=24 * 2**30)
    assert machine.within(8).memory == 8 * 2**30
    assert machine.within(None) == machine
    assert machine.within(100).memory == 24 * 2**30
    assert machine.model_copy(update={"gpu_memory": 40 * 2**30}).within(16).gpu_memory == 16 * 2**30
