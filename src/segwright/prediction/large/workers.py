"""Who does the blocks: this process, processes on this machine, or a cluster (the only door to dask.distributed)."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from segwright.core.errors import UsageError

#: Blocks handed out ahead of each worker, so that none waits and few are lost with a scheduler.
AHEAD = 4

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

    def map(self, function: Work, numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `Workers.map`; a block whose worker died is given to another one, three times."""
        from distributed import as_completed

        waiting = iter(list(numbers))
        asked: dict[Any, int] = {}

        def ask() -> Any:
            for number in waiting:
                future = self.client.submit(function, number, pure=False)
                asked[future.key] = number
                return future
            return None

        ahead = AHEAD * max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        done = as_completed([future for _ in range(ahead) if (future := ask()) is not None], loop=self.client.loop)
        for future in done:
            number = asked.pop(future.key)
            yield number, _answer(future)
            future.release()
            if (following := ask()) is not None:
                done.add(following)


def _answer(future: Any) -> dict[str, Any]:
    if future.status == "finished":
        told: dict[str, Any] = future.result()
        return told
    error = future.exception() if future.status == "error" else None
    return {"error": f"the worker died or was cancelled ({type(error).__name__}: {error})"}


@contextmanager
def hired(workers: int = 0, scheduler: str | None = None) -> Iterator[Workers]:
    """Workers for the time of a block of code.

    Args:
        workers: Processes to start on this machine; 0 works in this process.
        scheduler: Address of a running dask scheduler (`tcp://host:8786`) or its JSON file, used instead.

    Raises:
        UsageError: Both were asked for, or the scheduler does not answer.
    """
    if workers and scheduler:
        raise UsageError("Workers are started here or belong to a scheduler.", cure="Give --workers or --scheduler.")
    if workers < 0:
        raise UsageError("The number of workers is 0 or more.", came=workers, cure="Use --workers 2.")
    if not workers and not scheduler:
        yield Serial()
        return
    for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _client(workers, scheduler) as client:
        yield Cluster(client)


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            _knock(scheduler)
            given = {"scheduler_file": scheduler} if os.path.exists(scheduler) else {"address": scheduler}
            client = Client(**given, timeout="20s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(
                "The scheduler does not answer.",
                expected="the address of a running dask scheduler, e.g. tcp://host:8786",
                came=f"{scheduler} ({type(error).__name__})",
                cure="Start one with 'dask scheduler', or use --workers N.",
            ) from error
        with client:
            yield client
        return
    local = {"threads_per_worker": 1, "processes": True, "memory_limit": 0, "dashboard_address": None}
    with (
        LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **local) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _knock(scheduler: str) -> None:
    """Open and close a connection, since a client that finds no scheduler keeps trying beyond its timeout.

    Raises:
        OSError: Nobody answers.
        ValueError: It is no address.
    """
    if os.path.exists(scheduler):
        return
    parts = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if not parts.hostname or not parts.port:
        raise ValueError("no host and port")
    socket.create_connection((parts.hostname, parts.port), timeout=10).close()
