"""The cache under damage, kills and neighbours; what it gives back is what was put in."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segwright.core.box import Box
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import WriteError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.plan import Normalisation, PreparePlan
from segwright.core.trail import Cropped, Resampled, Trail, Turned
from segwright.prepare import cache as cache_module
from segwright.prepare.cache import Cache, foreground_of
from segwright.prepare.pipeline import Prepared

SPACE = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])
PLAN = PreparePlan(normalise=(Normalisation(),))


def case_data(seed: int = 0, labelled: bool = True) -> tuple[Prepared, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    source = Geometry.from_spacing((9, 6, 7), (1.0, 0.1, 1 / 3))
    steps = (
        (Turned((1, 0, 2), (0, 2)), source),
        (Cropped(Box((0, 1, 1), (4, 6, 7))), source),
        (Resampled((4, 5, 6)), source.permute((1, 0, 2))),
    )
    trail = Trail(source, Geometry.from_spacing((4, 5, 6), (2.0, 1.0, None)), steps)
    image = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    label = rng.integers(-1, 3, (1, 4, 5, 6)).astype(np.int16)
    return Prepared(image, trail, repaired=3), label if labelled else None


def fresh(folder: Path, **options) -> Cache:
    return Cache(folder, space=SPACE, **options)


@pytest.mark.parametrize("labelled", [True, False])
def test_gives_back_what_was_put_in(tmp_path: Path, labelled: bool) -> None:
    prepared, label = case_data(labelled=labelled)
    calls = []
    for _ in range(2):
        got = fresh(tmp_path).get("one", lambda: (calls.append(1), case_data(labelled=labelled))[1])
        np.testing.assert_array_equal(got.image, prepared.array)
        assert isinstance(got.image, np.memmap) and not got.image.flags.writeable
        assert (got.trail, got.repaired, got.spacing) == (prepared.trail, 3, (2.0, 1.0, None))
        if labelled:
            np.testing.assert_array_equal(got.label, label)
            for index, positions in enumerate(got.foreground):
                np.testing.assert_array_equal(positions, np.argwhere(label[0] == index + 1))
        else:
            assert got.label is None and got.foreground == ()
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_half_precision_and_pickle(tmp_path: Path) -> None:
    got = fresh(tmp_path, dtype="float16").get("one", case_data)
    assert got.image.dtype == np.float16
    text = pickle.dumps(got)
    assert len(text) < 1000, "workers get a path, not voxels"
    np.testing.assert_array_equal(pickle.loads(text).image, got.image)


def test_foreground_is_bounded_and_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MOST_POSITIONS", 50)
    label = np.zeros((1, 10, 10, 10), np.int16)
    label[0, :5] = 1
    first, none = foreground_of(label, SPACE)
    assert first.shape == (50, 3) and none.shape == (0, 3) and first.dtype == np.int32
    assert (label[0][tuple(first.T)] == 1).all() and len(np.unique(first, axis=0)) == 50
    np.testing.assert_array_equal(first, foreground_of(label, SPACE)[0])


def damage_cut(entry: Path) -> None:
    path = entry / "image.npy"
    path.write_bytes(path.read_bytes()[:-100])


def damage_header(entry: Path) -> None:
    (entry / "label.npy").write_bytes(b"not an array")


def damage_empty(entry: Path) -> None:
    (entry / "foreground.npy").write_bytes(b"")


def damage_record(entry: Path) -> None:
    (entry / "case.json").write_text('{"shape": [1')


def damage_missing(entry: Path) -> None:
    (entry / "image.npy").unlink()


def damage_swapped(entry: Path) -> None:
    np.save(entry / "image.npy", np.zeros((2, 1, 1, 1), np.float32))


def damage_list(entry: Path) -> None:
    (entry / "case.json").write_text("[]")


def damage_whole(entry: Path) -> None:
    for path in entry.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_header,
        damage_empty,
        damage_record,
        damage_missing,
        damage_swapped,
        damage_list,
        damage_whole,
    ],
)
def test_damaged_entries_are_rebuilt(tmp_path: Path, damage) -> None:
    cache = fresh(tmp_path)
    cache.get("one", case_data)
    damage(tmp_path / "one")
    assert cache.find("one") is None
    np.testing.assert_array_equal(cache.get("one", case_data).image, case_data()[0].array)


def test_an_error_while_making_leaves_nothing(tmp_path: Path) -> None:
    def fail():
        raise RuntimeError("unreadable")

    with pytest.raises(RuntimeError):
        fresh(tmp_path).get("one", fail)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(WriteError, match="Free disk space"):
        fresh(tmp_path).get("one", case_data)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
import numpy as np
from test_cache import case_data, fresh
from pathlib import Path
real = np.save
def slow(path, array):
    real(path, array)
    if Path(path).name == "label.npy":
        print("half", flush=True)
        time.sleep(60)
np.save = slow
fresh(Path(sys.argv[1])).get("one", case_data)
"""


def test_killed_writer_leaves_no_entry(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    left = list(tmp_path.iterdir())
    assert [path.name.startswith(".partial-") for path in left] == [True]
    cache = fresh(tmp_path)
    assert cache.find("one") is None and left[0].exists(), "a young leftover may belong to a living writer"
    np.testing.assert_array_equal(cache.get("one", case_data).image, case_data()[0].array)
    long_ago = time.time() - 2 * cache_module.STALE_SECONDS
    os.utime(left[0], (long_ago, long_ago))
    fresh(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


NEIGHBOUR = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np
from test_cache import case_data, fresh
from pathlib import Path
cache = fresh(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    key = f"case-{number}"
    assert np.array_equal(cache.get(key, case_data).image, case_data()[0].array)
    if number % 2 == 0:
        cache._store(key, *case_data())  # replaces an entry that others may be opening
"""


def test_concurrent_writers_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NEIGHBOUR, str(tmp_path), str(Path(__file__).parent)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    writers = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"case-{n}" for n in range(40))


def test_unusable_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="another folder"):
        fresh(tmp_path / "file" / "cache")


def test_key_follows_everything_it_depends_on(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    for name in ("a.nii", "l.nii", "series/1.dcm"):
        (tmp_path / name).write_text("x")
    images = (Source(path="a.nii"), Source(path="series"))
    case = Case(id="c1", images=images, label=(LabelSource(path="l.nii"),), group="g")
    dataset = Dataset(root=str(tmp_path), layout="x", channels=("a", "b"), labels=SPACE, cases=(case,))
    cache = fresh(tmp_path / "cache")
    keys = {cache.key(dataset, case, PLAN)}
    assert cache.key(dataset, case, PLAN) in keys and next(iter(keys)).startswith("c1-")
    keys.add(cache.key(dataset, case, PLAN.model_copy(update={"crop": True})))
    keys.add(cache.key(dataset, case.model_copy(update={"label": ()}), PLAN))
    keys.add(cache.key(dataset, case.model_copy(update={"images": images[::-1]}), PLAN))
    keys.add(fresh(tmp_path / "cache", dtype="float16").key(dataset, case, PLAN))
    other = LabelSpace(structures=[{"name": "a", "values": [2]}, {"name": "b", "values": [1]}])
    keys.add(Cache(tmp_path / "cache", space=other).key(dataset, case, PLAN))
    (tmp_path / "series/1.dcm").write_text("xy")
    keys.add(cache.key(dataset, case, PLAN))
    (tmp_path / "l.nii").write_text("y")
    keys.add(cache.key(dataset, case, PLAN))
    keys.add(cache.key(dataset.model_copy(update={"image_axes": "yx"}), case, PLAN))
    assert len(keys) == 9
    os.utime(tmp_path / "l.nii", (1, 1))
    assert cache.key(dataset, case, PLAN) in keys, "touched, but the same"


def test_one_flipped_byte_is_seen_and_what_a_case_was_before_goes(tmp_path: Path) -> None:
    cache = fresh(tmp_path)
    first, second = (f"one-{digit * 16}" for digit in "ab")
    cache.get(first, case_data)
    image = tmp_path / first / "image.npy"
    content = bytearray(image.read_bytes())
    content[-3] ^= 1
    image.write_bytes(bytes(content))
    assert cache.find(first) is None
    cache.get(first, case_data)
    cache.get(f"one-more-{'a' * 16}", case_data)
    cache.get(second, case_data)
    assert sorted(path.name for path in tmp_path.iterdir()) == [second, f"one-more-{'a' * 16}"]
