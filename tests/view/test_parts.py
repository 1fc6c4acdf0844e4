"""The parts below the routes: codes, runs, slices, turning, the pool, uploads, objects."""

from __future__ import annotations

import threading
import zipfile
import zlib
from itertools import product

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright import io
from segwright.core.box import Box
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import LabelError, ReadError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import IGNORE, LabelSpace
from segwright.core.volume import LazyArray, Volume
from segwright.io.load import load_label
from segwright.io.omezarr import Pyramid, create, write_box
from segwright.ops.resample import shrink_scores
from segwright.view.chunk_cache import ArrayCache, ChunkedArray
from segwright.view.label_codes import code_labels, in_turn, overlaps, pack_runs, places, read_codes
from segwright.view.launch import make_viewer
from segwright.view.objects import find_objects, numbered_objects
from segwright.view.scan import Scan
from segwright.view.serializers import colours
from segwright.view.slices import as_levels, percentiles, reduced, views
from segwright.view.source import open_source
from segwright.view.uploads import BusyError, Inbox, Limits, TooLargeError, TooSlowError, safe_name


def space_of(count: int, kind: str) -> LabelSpace:
    return LabelSpace(structures=[{"name": f"s{i}", "values": [i + 1]} for i in range(count)], kind=kind)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from(["exclusive", "overlapping"]))
def test_codes_keep_every_structure_of_every_voxel(seed, count, kind):
    rng = np.random.default_rng(seed)
    space = space_of(count, kind)
    if kind == "exclusive":
        labels = rng.integers(-1, count + 1, (1, 2, 5, 6)).astype(np.int16)
    else:
        labels = (rng.random((count, 2, 5, 6)) < 0.3).astype(np.int8)
        labels[:, 0, 0, :2] = IGNORE
    coded = code_labels(labels, space)
    for index in range(count):
        inside = np.isin(coded.codes, [c for c, members in enumerate(coded.members) if index in members])
        np.testing.assert_array_equal(inside, space.mask(labels, index))
        np.testing.assert_array_equal(coded.mask(index), inside)
    ignored = np.isin(coded.codes, [c for c, members in enumerate(coded.members) if IGNORE in members])
    np.testing.assert_array_equal(ignored, space.ignored(labels))
    pairs = {
        (a, b): sum(n for x, y, n in overlaps(coded) if (x, y) == (a, b)) for a, b in product(range(count), repeat=2)
    }
    for (a, b), shared in pairs.items():
        if a < b:
            assert shared == np.count_nonzero(space.mask(labels, a) & space.mask(labels, b))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 7))
def test_runs_spell_the_plane_again(values, columns):
    plane = np.resize(np.array(values, np.uint16), (len(values) // columns + 1, columns))
    runs = np.frombuffer(pack_runs(plane), "<u4").reshape(-1, 2)
    np.testing.assert_array_equal(np.repeat(runs[:, 0], runs[:, 1]), plane.reshape(-1))


def test_places_name_the_largest_section():
    labels = np.zeros((1, 4, 5, 6), np.int16)
    labels[0, 1, 2, 3] = labels[0, 2, 1:4, 2:5] = 1
    first, second = places(code_labels(labels, space_of(2, "exclusive")), 2)
    assert first == {"voxels": 10, "box": [[1, 3], [1, 4], [2, 5]], "at": [2, 2, 3]}
    assert second is None


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 999), st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(["exclusive", "overlapping"]), st.sampled_from([1, 7, 1 << 22]),
)  # fmt: skip
def test_places_are_those_of_the_masks(seed, count, shape, kind, slab):
    rng, space = np.random.default_rng(seed), space_of(count, kind)
    if kind == "exclusive":
        labels = rng.integers(-1, count + 1, (1, *shape)).astype(np.int16)
    else:
        labels = rng.integers(-1, 2, (count, *shape)).astype(np.int8)
    coded = code_labels(labels, space)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("segwright.view.label_codes.SLAB_VOXELS", slab)
        found = places(coded, count)
    for index, place in enumerate(found):
        mask = space.mask(labels, index)
        if not mask.any():
            assert place is None
            continue
        sums = [mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        assert place["voxels"] == mask.sum() and place["at"] == [int(line.argmax()) for line in sums]
        assert place["box"] == [[np.flatnonzero(line)[0], np.flatnonzero(line)[-1] + 1] for line in sums]


def test_masks_read_one_by_one_are_the_label(tmp_path):
    """Overlapping masks in files of their own, one structure in two files; and all of them planes of one file."""
    rng, shape = np.random.default_rng(0), (2, 30, 40)
    grid, space = Geometry.from_spacing(shape), space_of(3, "overlapping")
    masks = rng.random((4, *shape)) < 0.3
    for i, mask in enumerate(masks):
        io.write(Volume.of(mask.astype(np.uint8), grid), tmp_path / f"m{i}.nii.gz")
    io.write(Volume.of(masks.astype(np.uint8), grid), tmp_path / "all.nii.gz")
    names = ("s2", "s0", "s1", "s0")
    apart = [LabelSource(path=f"m{i}.nii.gz", structure=name) for i, name in enumerate(names)]
    planes = [LabelSource(path="all.nii.gz", structure=name, plane=i) for i, name in enumerate(names)]
    for sources in (apart, planes):
        case = Case(id="a", images=(Source(path="m0.nii.gz"),), label=tuple(sources), group="a")
        dataset = Dataset(root=str(tmp_path), layout="t", channels=("x",), labels=space, cases=(case,))
        coded, whole = read_codes(dataset, case, grid), load_label(dataset, case, grid)
        for index in range(3):
            np.testing.assert_array_equal(coded.mask(index), whole[index] == 1)
        assert len(set(coded.members)) == len(coded.members) == 8
    wrong = case.model_copy(update={"label": (LabelSource(path="m0.nii.gz", structure="tail"),) * 2})
    with pytest.raises(LabelError, match="lacks"):
        read_codes(dataset, wrong, grid)


def test_results_come_in_turn_and_few_wait():
    running, most, lock = 0, 0, threading.Lock()

    def call(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        return number

    taken = []
    for number in in_turn(((lambda n=n: call(n)) for n in range(20)), 2):
        taken.append(number)
        with lock:
            running -= 1
    assert taken == list(range(20)) and most <= 4
    with pytest.raises(ZeroDivisionError):
        list(in_turn([lambda: 1, lambda: 1 // 0, lambda: 2], 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, bool])
def test_levels_give_the_values_back(dtype):
    rng = np.random.default_rng(1)
    plane = (
        rng.random((7, 9)) * (2 if dtype is bool else 200) - (0 if dtype in (np.uint8, np.uint16, bool) else 90)
    ).astype(dtype)
    body, meaning = as_levels(plane)
    levels = np.frombuffer(body, "u1" if meaning["bits"] == 8 else "<u2").reshape(plane.shape)
    values = meaning["low"] + meaning["scale"] * levels
    np.testing.assert_allclose(values, plane, atol=0 if plane.dtype.kind in "biu" else 0.005)


def test_levels_of_what_is_no_number_are_the_lowest():
    body, meaning = as_levels(np.array([[np.nan, 2.0], [np.inf, 4.0]], np.float32))
    levels = np.frombuffer(body, "<u2")
    assert levels[0] == levels[2] == levels[1] == 0 and levels[3] == 65_535
    assert meaning["low"] == 2.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5))
def test_reducing_averages_squares(rows, columns, step):
    plane = np.random.default_rng(rows * columns).random((rows, columns)).astype(np.float32)
    small = reduced(plane, step)
    assert small.shape == (-(-rows // step), -(-columns // step))
    if rows >= step and columns >= step:
        assert small[0, 0] == pytest.approx(plane[:step, :step].mean(), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]), st.integers(0, 99)
)
def test_reducing_rounds_whole_numbers_to_the_nearest(down, across, kind, seed):
    limits = np.iinfo(kind)
    plane = np.random.default_rng(seed).integers(limits.min, limits.max, (3 * down, 2 * across), kind, endpoint=True)
    means = plane.astype(np.float64).reshape(3, down, 2, across).mean(axis=(1, 3))
    small = reduced(plane, (down, across))
    assert small.dtype == kind and np.abs(small - means).max() <= 0.5


def scan_of(array, tmp_path) -> Scan:
    dataset = Dataset(root=str(tmp_path), layout="t", channels=("a",), cases=())
    scan = Scan(dataset, Case(id="c", images=(Source(path="c"),), group="c"), ArrayCache(10_000_000))
    scan.__dict__["volume"] = (
        array if isinstance(array, Volume) else Volume.of(array, Geometry.from_spacing(array.shape[1:]))
    )
    return scan


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_the_array_cut_across_its_axis(axis, tmp_path):
    array = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    plane = scan_of(array, tmp_path).plane(axis, 2, channel=1)
    np.testing.assert_array_equal(plane, np.take(array[1], 2, axis=axis))


def test_a_large_volume_is_read_slice_by_slice(tmp_path, monkeypatch):
    array = np.arange(4 * 50 * 60, dtype=np.uint16).reshape(1, 4, 50, 60)
    asked = []

    def read(index):
        asked.append(index)
        return array[index]

    monkeypatch.setattr("segwright.view.scan.WHOLE_BYTES", 100)
    monkeypatch.setattr("segwright.view.scan.AT_ONCE_BYTES", 100)
    monkeypatch.setattr("segwright.view.scan.BAND_BYTES", 2000)
    monkeypatch.setattr("segwright.view.chunk_cache.MOST_BYTES", 100)
    volume = Volume(LazyArray(array.shape, array.dtype, read), Geometry.from_spacing(array.shape[1:]))
    scan = scan_of(volume, tmp_path)
    np.testing.assert_array_equal(scan.plane(0, 1, channel=0, step=1, region=(10, 30, 5, 25)), array[0, 1, 10:30, 5:25])
    np.testing.assert_array_equal(scan.plane(0, 3, channel=0, step=10), reduced(array[0, 3], 10))
    sizes = [np.prod([part.stop - part.start for part in index]) * 2 for index in asked]
    assert max(sizes) <= 2000 and not scan.pool.used
    with pytest.raises(UsageError, match="no such slice"):
        scan.plane(0, 4, channel=0)


def chunked(array, chunk, asked: list) -> Volume:
    def read(index):
        asked.append(tuple((part.start, part.stop) for part in index))
        return array[index]

    geometry = Geometry.from_spacing(array.shape[1:])
    return Volume(LazyArray(array.shape, array.dtype, read), geometry, (), {"chunks": chunk})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bricks_give_the_array_and_decode_each_chunk_once(data):
    shape = data.draw(st.tuples(*[st.integers(1, 12)] * 3))
    chunk = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    array = np.random.default_rng(0).integers(0, 99, (2, *shape)).astype(np.uint8)
    asked: list = []
    chunks = ChunkedArray("a", chunked(array, chunk, asked), ArrayCache(100_000))
    for _ in range(4):
        ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
        part = tuple(slice(min(a, n - 1), max(b, min(a, n - 1) + 1)) for (a, b), n in zip(ends, shape, strict=True))
        channel = data.draw(st.integers(0, 1))
        np.testing.assert_array_equal(chunks.read(channel, part), array[channel][part])
    assert len(set(asked)) == len(asked)


def test_parts_are_whole_chunks_and_what_follows_is_read_ahead(monkeypatch):
    monkeypatch.setattr("segwright.view.chunk_cache.CHUNK_BYTES", 400)
    array, asked = np.arange(12 * 20 * 30, dtype=np.uint16).reshape(1, 12, 20, 30), []
    chunks = ChunkedArray("a", chunked(array, (4, 5, 6), asked), ArrayCache(100_000))
    assert chunks.lengths == (4, 5, 6)  # two of them would be 480 bytes
    chunks.read(0, (slice(5, 6), slice(0, 10), slice(0, 30)))
    assert len(asked) == 10 and {part[1] for part in asked} == {(4, 8)}
    for part in chunks.ahead((slice(5, 6), slice(0, 10), slice(0, 30)), 1):
        chunks.read(0, part)
    assert len(asked) == 20 and {part[1] for part in asked[10:]} == {(8, 12)}
    chunks.read(0, (slice(9, 10), slice(0, 10), slice(0, 30)))
    assert len(asked) == 20
    assert not list(chunks.ahead((slice(9, 10), slice(0, 10), slice(0, 30)), 1))
    small = ChunkedArray("a", chunks.volume, ArrayCache(1000))
    assert not list(small.ahead((slice(5, 6), slice(0, 10), slice(0, 30)), -1))  # no room to keep it


@pytest.mark.parametrize("chunk", [(2, 8, 8), (3, 7, 5)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_pyramid_serves_slices_seen_from_afar(tmp_path, monkeypatch, axis, chunk):
    monkeypatch.setattr("segwright.view.scan.WHOLE_BYTES", 100)
    monkeypatch.setattr("segwright.view.scan.AT_ONCE_BYTES", 100)
    array = np.random.default_rng(0).integers(0, 250, (10, 40, 50)).astype(np.uint8)
    path = tmp_path / "em.zarr"
    pyramid = Pyramid(
        1, np.dtype(np.uint8), Geometry.from_spacing(array.shape), chunk, ((1, 1, 1), (1, 2, 2), (2, 4, 4))
    )
    create(path, pyramid)
    write_box(path, array[None], Box((0, 0, 0), array.shape))
    write_box(path, shrink_scores(array[None], (1, 2, 2)), Box((0, 0, 0), (10, 20, 25)), level=1)
    write_box(path, shrink_scores(array[None], (2, 4, 4)), Box((0, 0, 0), (5, 10, 13)), level=2)
    case = Case(id="c", images=(Source(path="em.zarr"),), group="c")
    scan = Scan(Dataset(root=str(tmp_path), layout="t", channels=("a",), cases=(case,)), case, ArrayCache(10_000_000))
    assert [level.factors for level in scan.levels] == [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    middle = array.shape[axis] // 2
    full = np.take(array, middle, axis=axis)
    np.testing.assert_array_equal(scan.plane(axis, middle, channel=0), full)
    np.testing.assert_array_equal(scan.plane(axis, middle, channel=0, region=(4, 9, 8, 20)), full[4:9, 8:20])
    for step in (2, 4):
        seen = scan.plane(axis, middle, channel=0, step=step)
        assert seen.shape == tuple(-(-n // step) for n in full.shape)
        assert abs(seen.astype(float).mean() - full.mean()) < 12
    if axis == 0:
        np.testing.assert_allclose(scan.plane(0, 5, channel=0, step=2), reduced(array[5], 2), atol=1)
        part = scan.plane(0, 5, channel=0, step=2, region=(8, 24, 12, 40))
        np.testing.assert_allclose(part, reduced(array[5, 8:24, 12:40], 2), atol=1)


@pytest.mark.parametrize("orientation", ["SAR", "SPL", "RAS", "IAL", "ASL"])
def test_slices_hang_as_radiologists_hang_them(orientation):
    """Whatever the storage: left of the screen is the patient's right (or front), top is front (or head)."""
    geometry = Geometry.from_spacing((6, 7, 8), (3.0, 2.0, 1.0))
    order, flips = geometry.path_to(orientation)
    turned = geometry.permute(order).flip(flips)
    volume = Volume(LazyArray.of(np.zeros((1, *turned.shape))), turned, (), {"format": "nifti"})
    letters = {view["name"]: view["letters"] for view in views(volume)}
    assert letters == {"axial": list("ALPR"), "coronal": list("SLIR"), "sagittal": list("SPIA")}
    for view in views(volume):
        middle = [n // 2 for n in turned.shape]
        step = list(middle)
        axis, flip = view["column_axis"], view["flip_columns"]
        step[axis] += -1 if flip else 1
        right = turned.to_world(step) - turned.to_world(middle)
        wanted = {"axial": (-1, 0, 0), "coronal": (-1, 0, 0), "sagittal": (0, -1, 0)}[view["name"]]
        assert np.sign(np.round(right, 6)).tolist() == list(wanted)
        assert view["column_size"] == pytest.approx(turned.lengths[axis])
        assert view["transposed"] == (view["row_axis"] > view["column_axis"])


def test_pictures_hang_as_stored():
    volume = Volume(
        LazyArray.of(np.zeros((1, 1, 7, 8))),
        Geometry.from_spacing((1, 7, 8), (None, 0.2, 0.1)),
        (),
        {"format": "image"},
    )
    view = views(volume)[0]
    assert not (view["transposed"] or view["flip_rows"] or view["flip_columns"]) and view["letters"] is None
    assert (view["row_size"], view["column_size"], view["in_mm"]) == (0.2, 0.1, True)


def test_colours_of_many_structures_differ():
    found = colours(space_of(36, "exclusive"))
    assert len(set(found)) == 36 and all(len(c) == 7 for c in found)


def test_the_pool_keeps_its_ceiling_and_makes_each_value_once():
    pool, made, start = ArrayCache(1000), [], threading.Barrier(4)

    def make():
        made.append(1)
        return np.zeros(400, np.uint8)

    def ask():
        start.wait()
        pool.get("same", make)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    for name in range(20):
        pool.get(name, lambda: np.zeros(300, np.uint8))
        assert pool.used <= 1000
    pool.get("huge", lambda: np.zeros(5000, np.uint8))
    assert not pool.has("huge") and pool.used <= 1000
    with pytest.raises(ZeroDivisionError):
        pool.get("bad", lambda: 1 / 0)
    assert pool.get("bad", lambda: np.zeros(3, np.uint8)).size == 3


def test_objects_are_numbered_measured_and_found():
    mask = np.zeros((1, 8, 12), bool)
    mask[0, 1:3, 1:4] = mask[0, 5:7, 6:11] = True
    other = np.zeros_like(mask)
    other[0, 5, 6:11] = True
    found = find_objects(mask, Geometry.from_spacing((1, 8, 12), (None, 2.0, 1.0)), lambda: other)
    assert [(row["voxels"], row["size"], row["found"]) for row in found.rows] == [(10, 20.0, 0.5), (6, 12.0, 0.0)]
    for row in found.rows:
        assert found.ids[tuple(row["at"])] == row["id"]
    ids = np.array([[[0, 70_000, 70_000, -1, 4]]])
    assert [(r["id"], r["voxels"]) for r in numbered_objects(ids, Geometry.from_spacing((1, 1, 5))).rows] == [
        (70_000, 2),
        (4, 1),
    ]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a.exe", "", "..", "notes.txt", "/"])
def test_names_that_hold_no_result_are_refused(name):
    with pytest.raises(UsageError, match="not taken"):
        safe_name(name)


def test_names_lose_their_folders():
    assert safe_name("..\\..\\x/sub 1.csv") == "sub 1.csv"
    assert safe_name(".hidden.nii.gz") == "hidden.nii.gz"


async def _parts(*parts):
    for part in parts:
        yield part


def test_uploads_stop_at_the_limit_and_leave_nothing():
    inbox = Inbox(Limits(each=100))

    def take(*parts) -> None:
        with inbox.folder() as folder:
            anyio.run(lambda: inbox.receive(_parts(*parts), folder / "a.csv"))

    with pytest.raises(TooLargeError, match="too large"):
        take(b"x" * 60, b"x" * 60)
    with pytest.raises(UsageError, match="empty"):
        take()
    take(b"ab", b"c")
    assert not list(inbox.place.iterdir())


def test_all_uploads_together_have_a_limit_and_removing_one_makes_room():
    inbox = Inbox(Limits(each=100, every=150))
    with inbox.folder() as first:
        anyio.run(lambda: inbox.receive(_parts(b"x" * 90), first / "a.csv"))
        inbox.keep(first, 1)
    for _ in range(2):
        with pytest.raises(TooLargeError), inbox.folder() as second:
            anyio.run(lambda: inbox.receive(_parts(b"x" * 61), second / "b.csv"))
        assert inbox.has(1) and [path.name for path in inbox.place.rglob("*.csv")] == ["a.csv"]
    inbox.remove(1)
    assert not inbox.has(1) and not list(inbox.place.iterdir())
    with inbox.folder() as third:
        anyio.run(lambda: inbox.receive(_parts(b"x" * 61), third / "b.csv"))


def test_an_upload_that_trickles_is_given_up_and_few_are_taken_at_once():
    inbox = Inbox(Limits(at_once=1, patience=0.2, rate=1_000_000))

    async def trickle():
        while True:
            await anyio.sleep(0.01)
            yield b"x"

    with inbox.folder() as folder:
        with pytest.raises(TooSlowError, match="too slowly"):
            anyio.run(lambda: inbox.receive(trickle(), folder / "a.csv"))
        with pytest.raises(BusyError, match="at once"), inbox.folder():
            pass
    with inbox.folder():
        pass


def test_time_for_an_upload_grows_with_what_came_up_to_a_limit():
    limits = Limits(seconds=100, patience=10, rate=1000)
    assert (limits.allowed(0), limits.allowed(20_000), limits.allowed(10**9)) == (10, 30, 100)


def test_zips_with_names_that_lead_outside_or_grow_are_refused():
    inbox = Inbox(Limits(each=50_000))
    with inbox.folder() as folder:
        bad, bomb, broken = folder / "bad.zip", folder / "bomb.zip", folder / "broken.zip"
        with zipfile.ZipFile(bad, "w") as file:
            file.writestr("../outside.png", b"x")
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.png", bytes(100_000))
        broken.write_bytes(zlib.compress(b"no zip"))
        with pytest.raises(ReadError, match="leads outside"):
            inbox.unpack(bad)
        with pytest.raises(TooLargeError):
            inbox.unpack(bomb)
        with pytest.raises(ReadError, match="cannot be unpacked"):
            inbox.unpack(broken)
        assert not (folder / "outside.png").exists()


def test_the_address_of_a_case_and_a_wrong_one(volumes):
    viewer = make_viewer(volumes, case="m001")
    viewer.sockets[0].close()
    assert viewer.url.endswith("#case=m001")
    with pytest.raises(UsageError, match="Unknown case"):
        make_viewer(volumes, case="m00x")


def test_a_window_leaves_out_the_air_around_what_was_standardised():
    rng = np.random.default_rng(0)
    brain = np.full((20, 30, 30), -9.0, np.float32)
    brain[5:15, 8:22, 8:22] = rng.normal(0, 1, (10, 14, 14))
    told = percentiles(brain)
    assert told[0] == -9 and -3.5 < told[1] < -2 and 2 < told[5] < 3.5
    brain[brain == -9] = 0  # set to the mean instead
    assert abs(percentiles(brain)[3]) < 0.2 and percentiles(brain)[1] < -2
    plain = rng.normal(100, 9, 5000)
    assert percentiles(plain)[1] == pytest.approx(np.percentile(plain, 0.5))
    assert percentiles(np.zeros(9)) == [0.0] * 7


def test_numbered_objects_open_as_objects(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for k, name in enumerate(("a", "b", "c")):
        label = np.zeros((1, 200, 200), np.uint16)
        for i in range(60):
            y, x = divmod(i, 10)
            label[0, 20 * y + 4 : 20 * y + 16, 20 * x + 4 : 20 * x + 16] = 60 * k + i + 1
        grid = Geometry.from_spacing(label.shape, (None, None, None))
        io.write(
            Volume.of(rng.integers(0, 255, label.shape).astype(np.uint8), grid), tmp_path / "images" / f"{name}.tif"
        )
        io.write(Volume.of(label, grid), tmp_path / "labels" / f"{name}.tif")
    opened = open_source(tmp_path)
    assert opened.dataset.labels.instances and any("is an object of" in note for note in opened.notes)
