"""Starts the viewer: one process, one port, the browser opened once it listens."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from segwright.core.errors import UsageError
from segwright.view.desk import Desk
from segwright.view.guard import LOOPBACK, new_token
from segwright.view.server import build_app
from segwright.view.subject import open_subject


@dataclass(frozen=True)
class Viewer:
    """A server that is ready to run.

    Attributes:
        url: Address to open; holds the token if one is asked for.
        server: The server; `run()` blocks until it is stopped.
        sockets: What it listens on.
        desk: What is open.
    """

    url: str
    server: uvicorn.Server
    sockets: list[socket.socket]
    desk: Desk

    def run(self, *, browser: bool = False) -> None:
        """Serve until interrupted."""
        if browser:
            threading.Timer(0.3, partial_open(self.url)).start()
        threading.Thread(target=self.desk.warm, daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _leave)
        self.server.run(sockets=self.sockets)


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
    host: str = "127.0.0.1",
    port: int = 0,
) -> Viewer:
    """Open a dataset, run or scan and bind a port.

    Args:
        source: Folder of a dataset or run, `dataset.yaml`, CSV table, or a scan.
        labels: Label files of a single scan.
        results: Folders, run-length tables, label files or runs to compare with the labels.
        host: Other than loopback, a token is made and asked for.
        port: 0 takes a free one.

    Raises:
        SegwrightError: The source cannot be understood, or the port is taken.
    """
    desk = Desk(open_subject(source, labels), results)
    token = "" if host in LOOPBACK else new_token()
    bound = _bind(host, port)
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host
    url = f"http://{shown}:{bound.getsockname()[1]}/" + (f"?token={token}" if token else "")
    config = uvicorn.Config(
        build_app(desk, token=token),
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return Viewer(url, uvicorn.Server(config), [bound], desk)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(64)  # from here on visitors wait, instead of being refused, until the server is up
    except (OSError, OverflowError) as error:
        bound.close()
        raise UsageError(
            "The viewer cannot listen there.",
            came=f"{host}:{port}: {getattr(error, 'strerror', None) or error}",
            cure="Choose another --port, or leave it out for a free one.",
        ) from error
    return bound
