"""Folds on workers: the same result as one after the other, failures named, the others kept, and nothing forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import segwright
from segwright.api.executors import Serial, executor
from segwright.api.follow import Tail
from segwright.core.errors import TrainingError
from segwright.core.events import End, Note, Stage, to_record
from segwright.planning.machine import usable_cores

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2, "precision": "float32"}


@pytest.fixture
def one_share() -> Iterator[None]:
    """This process uses as many threads as each of two workers does: then results are equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 2))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with two workers that belongs to somebody else."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster.scheduler_address
        assert len(cluster.workers) == 2


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives(
    make_folder: Callable[..., Path], tmp_path: Path, scheduler: str, one_share
) -> None:
    folder, told = make_folder(), []
    alone = segwright.fit(folder, out=tmp_path / "alone", **QUICK)
    both = segwright.fit(folder, out=tmp_path / "both", scheduler=scheduler, listen=told.append, **QUICK)
    for fold in (0, 1):
        assert both.weights(fold)[0].read_bytes() == alone.weights(fold)[0].read_bytes()
    assert both.report.scores == alone.report.scores
    assert both.finished == (0, 1)
    assert {event.fold for event in told if isinstance(event, End)} == {0, 1}
    assert any(isinstance(event, Stage) and "2 folds on 2 workers" in event.name for event in told)


@pytest.mark.slow
def test_a_fold_that_fails_is_named_and_the_others_are_kept(
    make_folder: Callable[..., Path], tmp_path: Path, scheduler: str
) -> None:
    folder, out, told = make_folder(), tmp_path / "run", []
    (out / "fold-1").mkdir(parents=True)
    (out / "fold-1" / "tensorboard").write_text("in the way")
    with pytest.raises(TrainingError, match=r"1 fold.* could not be trained.*hold the others") as caught:
        segwright.fit(folder, out=out, scheduler=scheduler, listen=told.append, **QUICK)
    assert caught.value.exit_code == 1
    assert "fold 1" in str(caught.value)
    run = segwright.Run.open(out)
    assert run.finished == (0,)
    assert [member.fold for member in run.model.manifest.members] == [0]
    assert any("Fold 1 failed" in getattr(event, "text", "") for event in told)
    (out / "fold-1" / "tensorboard").unlink()
    before = run.weights(0)[0].read_bytes()
    whole = segwright.fit(folder, out=out, scheduler=scheduler, resume=True, **QUICK)
    assert whole.finished == (0, 1)
    assert whole.weights(0)[0].read_bytes() == before


def test_work_that_nobody_waits_for_any_more_ends(scheduler: str, tmp_path: Path) -> None:
    from distributed import Client

    def work(place: str) -> None:  # sent as it stands, so it imports for itself
        import time
        from pathlib import Path

        from segwright.prediction.large.workers import still_wanted

        Path(place, "begun").touch()
        while still_wanted():
            time.sleep(0.05)
        Path(place, "ended").touch()

    with Client(scheduler, set_as_default=False) as client:
        future = client.submit(work, str(tmp_path), pure=False)
        until(lambda: (tmp_path / "begun").exists())
        assert not (tmp_path / "ended").exists()
        future.release()
        until(lambda: (tmp_path / "ended").exists())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_folds_are_trained_here_without_a_wish() -> None:
    with executor(0, None) as found:
        assert isinstance(found, Serial) and found.at_once(5) == 1


def test_a_tail_reads_whole_lines_and_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    tail = Tail(log)
    assert list(tail.events()) == []
    line, other = (json.dumps(to_record(Note(text))) + "\n" for text in ("first", "other"))
    log.write_text(line + other[:5])
    assert list(tail.events()) == [Note("first")]
    with log.open("a") as file:
        file.write(other[5:])
    assert list(tail.events()) == [Note("other")]
    log.write_text(line)
    assert list(tail.events()) == [Note("first")]
    (tmp_path / "new").write_text(line + other + line)  # a longer log in place of the old one is read from its start
    (tmp_path / "new").replace(log)
    assert list(tail.events()) == [Note("first"), Note("other"), Note("first")]
