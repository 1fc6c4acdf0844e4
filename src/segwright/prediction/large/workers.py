"""Who does the work: this process, processes on this machine, or a cluster (the only door to dask.distributed)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from urllib.parse import urlsplit

from segwright.core.errors import SegwrightError, UsageError
from segwright.core.words import amount
from segwright.planning.machine import usable_cores

#: Blocks handed out ahead of each worker, so that none waits and few are lost with a scheduler.
AHEAD = 4
#: Seconds until a scheduler must have answered, and between looks at the cluster while nothing is finished.
ANSWER, LOOK = 20.0, 2.0
#: What processes on this machine find in their environment beside this one's. Dask would have them give memory back to
#: the system at once (MALLOC_TRIM_THRESHOLD_), so that each tensor is a new page fault: half of a small network's time.
ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
#: Seconds to wait for the first worker of a scheduler, and for others once all have gone.
FIRST_WORKER, NEXT_WORKER = 60.0, 120.0

Work = Callable[[int], dict[str, Any]]


class Workers(Protocol):
    """Calls a function for many numbers; answers come in any order."""

    def map(self, function: Work, numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each number with what the function returned; a worker that died for good gives `{"error": reason}`."""
        ...


class Serial:
    """This process, one block after the other.

    Example:
        >>> list(Serial().map(lambda n: {"twice": 2 * n}, [3]))
        [(3, {'twice': 6})]
    """

    def map(self, function: Work, numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `Workers.map`."""
        for number in numbers:
            yield number, function(number)


class Cluster:
    """Workers of a dask scheduler.

    Args:
        client: Connection to the scheduler.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self._deserted: float | None = None

    @property
    def addresses(self) -> list[str]:
        """Addresses of the workers that are there."""
        return list(self._workers())

    @property
    def neighbours(self) -> int:
        """Most workers that share a machine."""
        return max(Counter(one["host"] for one in self._workers().values()).values(), default=1)

    @property
    def hands(self) -> int:
        """Tasks that are done at once."""
        return sum(int(one["nthreads"]) for one in self._workers().values())

    @property
    def memory(self) -> float | None:
        """Bytes that all workers together may use before they are stopped; `None` where that is not limited."""
        limits = [one["memory_limit"] for one in self._workers().values()]
        return float(sum(limits)) if limits and all(limits) else None

    def _workers(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def map(
        self,
        function: Work,
        numbers: Iterable[int],
        *,
        ahead: int = AHEAD,
        at: list[str] | None = None,
        idle: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `Workers.map`; a block whose worker died is given to another one, three times.

        Args:
            function: What to do.
            numbers: With which numbers.
            ahead: Numbers handed out to each worker at once.
            at: Address for each number; another worker takes its place only if that one is gone.
            idle: Called every other second while nothing is finished.

        Raises:
            SegwrightError: The scheduler or all of its workers went away and did not come back.
        """
        waiting = iter(list(numbers))
        asked: dict[Any, tuple[Any, int]] = {}
        done: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            for number in waiting:
                place = {"workers": [at[number]], "allow_other_workers": True} if at else {}
                future = self._submit(function, number, place)
                asked[future.key] = future, number
                future.add_done_callback(done.put)
                return

        for _ in range(ahead * max(1, len(self.addresses))):
            ask()
        while asked:
            try:
                future = done.get(timeout=LOOK)
            except Empty:
                idle()
                for _ in range(ahead * self._present() - len(asked)):  # for workers that came later
                    ask()
                continue
            _, number = asked.pop(future.key)
            yield number, self._answer(future)
            future.release()
            ask()

    def each(self, function: Work, most: int) -> list[dict[str, Any]]:
        """What the function returns on as many workers as there are, or `most`, at the same time."""
        places = sorted(self.addresses)[: max(1, most)]
        return [
            answer for _, answer in sorted(self.map(function, range(len(places)), at=places), key=lambda one: one[0])
        ]

    def refuse_unseen(self, folder: Path) -> None:
        """Workers and this process must see the same files.

        Raises:
            UsageError: A worker does not.
        """
        seen = self.client.run(os.path.isdir, str(folder.resolve()), on_error="return")
        blind = [address for address, answer in seen.items() if answer is not True]
        if blind:
            raise UsageError(
                "A worker of the cluster does not see the folder of the results.",
                expected="one file system for this process and all workers",
                got=f"not there on {len(blind)} of {amount(len(seen), 'worker')}, the first being {blind[0]}",
                where=folder,
                hint="Give a folder on a shared disk with -o, and keep the scans on one too.",
            )

    def _submit(self, function: Work, number: int, place: dict[str, Any]) -> Any:
        try:
            return self.client.submit(function, number, pure=False, **place)
        except Exception as error:
            raise self._lost(f"{type(error).__name__}: {error}") from error

    def _answer(self, future: Any) -> dict[str, Any]:
        if future.status == "finished":
            told: dict[str, Any] = future.result()
            return told
        if self.client.status != "running":
            raise self._lost("the connection is closed")
        error = future.exception() if future.status == "error" else None
        return {"error": f"the worker died or was cancelled ({type(error).__name__}: {error})"}

    def _present(self) -> int:
        """How many workers are there; work without one would wait for ever, and is given up after a while."""
        try:
            there = len(self._workers()) if self.client.status == "running" else 0
        except Exception:  # whatever the connection raises, nobody is there
            there = 0
        if there:
            self._deserted = None
            return there
        self._deserted = self._deserted or time.monotonic()
        if self.client.status == "closed" or time.monotonic() - self._deserted > NEXT_WORKER:
            raise self._lost("no worker is left")
        return 0

    def _lost(self, got: str) -> SegwrightError:
        return SegwrightError(
            "The cluster went away; what was finished is kept.",
            got=got,
            hint="Start scheduler and workers again and run the same command with --resume: it goes on.",
        )


def still_wanted() -> bool:
    """Whether somebody waits for the task that runs here; always true outside of a worker."""
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except (ValueError, AttributeError):
        return True
    return task is not None and task.state != "cancelled"


def share_of_cores(neighbours: int) -> int:
    """Cores for a task on this worker: its threads where it has several, else its part of the machine's cores.

    Example:
        >>> share_of_cores(10**6)
        1
    """
    from distributed import get_worker

    try:
        threads = int(get_worker().state.nthreads)
    except ValueError:
        threads = 1
    return threads if threads > 1 else max(1, usable_cores() // max(1, neighbours))


def place() -> int:
    """Number of this worker among those started together on a machine; 0 where it has a name of its own."""
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:
        return 0
    return name if isinstance(name, int) else 0


@contextmanager
def hired(workers: int = 0, scheduler: str | None = None) -> Iterator[Serial | Cluster]:
    """Workers for the time of a block of code.

    Args:
        workers: Processes to start on this machine; 0 works in this process.
        scheduler: Address of a running dask scheduler (`tcp://host:8786`) or its JSON file, used instead; it and its
            workers stay when the block of code is left.

    Raises:
        UsageError: Both were asked for, the scheduler does not answer or has no worker, or a worker has other
            versions.
    """
    if workers and scheduler:
        raise UsageError("Workers are started here or belong to a scheduler.", hint="Give --workers or --scheduler.")
    if workers < 0:
        raise UsageError("The number of workers is 0 or more.", got=workers, hint="Use --workers 2.")
    if not workers and not scheduler:
        yield Serial()
        return
    for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _connected(scheduler) if scheduler else _started(workers) as client:
        yield Cluster(client)


@contextmanager
def _started(workers: int) -> Iterator[Any]:
    """Processes on this machine, which end with the block of code."""
    import dask
    from distributed import Client, LocalCluster

    local = {"threads_per_worker": 1, "processes": True, "memory_limit": 0, "dashboard_address": None}
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}),
        LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **local) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """A scheduler that somebody else started, with workers that fit this program."""
    from distributed import Client

    try:
        address = _address(scheduler)
        with ThreadPoolExecutor(1) as aside:  # a notebook has a loop of its own in this thread
            aside.submit(lambda: asyncio.run(_knock(address))).result()
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except Exception as error:  # of the network, of another protocol, of another version of it
        raise UsageError(
            "The scheduler does not answer.",
            expected="the address of a running dask scheduler, e.g. tcp://host:8786",
            got=f"{scheduler} ({type(error).__name__})",
            hint="Start one with 'dask scheduler', or use --workers N.",
        ) from error
    with client:
        _refuse_unfit(client, scheduler)
        yield client


def _refuse_unfit(client: Any, scheduler: str) -> None:
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER)
    except TimeoutError as error:
        raise UsageError(
            "The scheduler has no worker.",
            expected=f"at least one within {FIRST_WORKER:.0f} seconds",
            where=scheduler,
            hint=f"Start some with 'dask worker {scheduler} --nthreads 1', wait until they are there, and run again.",
        ) from error
    for name, here, ask in _versions():
        for address, told in client.run(*ask, on_error="return").items():
            there = told if isinstance(told, str) else f"none ({type(told).__name__})"
            if _alike(name, there) != _alike(name, here):
                raise UsageError(
                    f"A worker of the cluster has another {name} than this program.",
                    expected=f"{name} {here}",
                    got=f"{name} {there} on {address}",
                    hint="Start the workers from the environment that segwright is installed in.",
                )


def _versions() -> list[tuple[str, str, tuple[Any, ...]]]:
    """What must be alike, which is here, and how a worker is asked without needing anything of ours."""
    packages = [(name, version(name), (version, name)) for name in ("segwright", "torch")]
    return [("Python", platform.python_version(), (platform.python_version,)), *packages]


def _alike(name: str, number: str) -> str:
    """The part of a version that matters: patches of Python and builds of torch may differ.

    Example:
        >>> _alike("Python", "3.11.4"), _alike("torch", "2.9.1+cpu")
        ('3.11', '2.9.1')
    """
    return number.rpartition(".")[0] if name == "Python" else number.partition("+")[0]


def _address(scheduler: str) -> str:
    """The address itself, or the one in a scheduler's JSON file.

    Raises:
        ValueError: It is none.

    Example:
        >>> _address("head:8786")
        'tcp://head:8786'
    """
    file = Path(scheduler)
    if file.is_file():
        scheduler = str(json.loads(file.read_text(encoding="utf-8"))["address"])
    parts = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if not parts.hostname or not parts.port:
        raise ValueError("no host and port")
    return parts.geturl()


async def _knock(address: str) -> None:
    """Shake hands and leave, since a client that finds no scheduler keeps trying beyond its timeout.

    Raises:
        OSError: Nobody answers, or not as a scheduler does.
        TimeoutError: Not in time.
    """
    from distributed.comm.core import connect

    parts = urlsplit(address)
    socket.create_connection((parts.hostname or "", parts.port or 0), timeout=ANSWER).close()  # dask would try again
    comm = await asyncio.wait_for(connect(address, timeout=ANSWER), ANSWER)
    await comm.close()
