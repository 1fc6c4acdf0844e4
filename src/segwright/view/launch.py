"""Starts the viewer: one process, one port, the browser opened once it listens."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from segwright.core.errors import UnknownNameError, UsageError
from segwright.view.auth import new_token
from segwright.view.listen import LOOPBACK, Watched, bound, reached_as, secured
from segwright.view.server import build_app
from segwright.view.session import Session
from segwright.view.source import open_source


@dataclass(frozen=True)
class Address:
    """Where and to whom the viewer answers.

    Attributes:
        host: What to listen on; other than loopback opens it to the network.
        port: 0 takes a free one.
        token: Whether a token is asked for; without one, any account of this machine reads the scans.
        tls: Certificate and key, both PEM.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: bool = True
    tls: tuple[Path, Path] | None = None

    def __post_init__(self) -> None:
        if not self.token and self.host not in LOOPBACK:
            raise UsageError(
                "Without a token, everybody on the network would read these scans.",
                got=f"--no-token --host {self.host}",
                hint="Leave out --no-token, or --host.",
            )


@dataclass(frozen=True)
class Viewer:
    """A server that is ready to run.

    Attributes:
        url: Address to open on this machine; holds the token if one is asked for.
        server: The server; `run()` blocks until it is stopped.
        sockets: What it listens on.
        session: What is open.
        urls: Addresses that others can open, then that of this machine.
    """

    url: str
    server: uvicorn.Server
    sockets: list[socket.socket]
    session: Session
    urls: tuple[str, ...] = field(default=())

    def run(self, *, browser: bool = False) -> None:
        """Serve until interrupted."""
        if browser:
            threading.Timer(0.3, partial_open(self.url)).start()
        threading.Thread(target=self.session.warm, daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _leave)
        self.server.run(sockets=self.sockets)

    @contextmanager
    def in_background(self) -> Iterator[str]:
        """Serve in a thread, for notebooks and tests; gives the address, and stops the server at the end."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            self.server.should_exit = True
            thread.join(timeout=10)


def _place(session: Session, case: str) -> str:
    """The part of the address that opens a case."""
    ids = [known.id for known in session.cases]
    if case and case not in ids:
        raise UnknownNameError.among("case", case, ids)
    return f"#{urlencode({'case': case})}" if case else ""


def _leave(number: int, frame: object) -> None:
    """End in the usual way, as the server raises a signal again once it has shut down: uploads are then removed."""
    raise SystemExit(128 + number)


def partial_open(url: str) -> Callable[[], None]:
    """A function that opens the browser and never fails."""

    def show() -> None:
        try:
            webbrowser.open(url)
        except Exception:  # a machine without a browser still serves
            return

    return show


def make_viewer(
    source: str | Path,
    *,
    labels: Sequence[str | Path] = (),
    results: Sequence[str | Path] = (),
    address: Address | None = None,
    case: str = "",
) -> Viewer:
    """Open a dataset, run or scan and bind a port.

    Args:
        source: Folder of a dataset or run, `dataset.yaml`, CSV table, or a scan.
        labels: Label files of a single scan.
        results: Folders, run-length tables, label files or runs to compare with the labels.
        address: Where to listen; by default a free port of this machine alone.
        case: Opened first; by default the first of the list.

    Raises:
        SegwrightError: The source cannot be understood, the port is taken, or the certificate cannot be used.
    """
    address = address or Address()
    tls = secured(address.tls) if address.tls else {}
    session = Session(open_source(source, labels), results)
    place = _place(session, case)
    socket_ = bound(address.host, address.port)
    token = new_token() if address.token else ""
    scheme, port = "https" if tls else "http", socket_.getsockname()[1]
    tail = f":{port}/" + (f"?token={token}" if token else "") + place
    urls = tuple(f"{scheme}://{name}{tail}" for name in reached_as(address.host))
    config = uvicorn.Config(
        build_app(session, token=token, link=urls[0].partition("#")[0]),
        http=Watched,
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=tls.get("ssl_certfile"),
        ssl_keyfile=tls.get("ssl_keyfile"),
    )
    return Viewer(urls[-1], uvicorn.Server(config), [socket_], session, urls)
