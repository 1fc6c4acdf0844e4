"""Where the viewer listens, under which addresses others reach it, and how long it waits for a silent client."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from pathlib import Path

import h11
import psutil
from uvicorn.protocols.http.h11_impl import H11Protocol

from segwright.core.errors import UsageError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: Addresses that stand for all of a machine.
ANY = frozenset({"0.0.0.0", "::"})
#: A client that owes the server something, or takes nothing of what it asked for, is dropped after so many seconds.
SILENT_SECONDS = 20.0
#: Bytes that a client has to take in that time.
LEAST_TAKEN = 20_000


class Watched(H11Protocol):
    """One connection that ends where its client does nothing: half a request, a reply nobody reads, a refused body."""

    silent_seconds = SILENT_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._got = self._left = 0
        self._free = self.loop.time()
        self._later = self.loop.call_later(self.silent_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        """Count what comes as part of a body; a head has its time however it trickles in."""
        if self.conn.their_state is h11.SEND_BODY:
            self._got += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """From here on the client has to ask for something else."""
        self._free = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._later.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        owes = waiting > 0 or (self._expected() and not self.flow.read_paused)
        moved = self._got > 0 or self._left - waiting > LEAST_TAKEN or waiting > self._left
        if (owes and not moved) or self._refused():
            self.transport.abort()
            return
        self._got, self._left = 0, waiting
        self._later = self.loop.call_later(self.silent_seconds, self._look)

    def _expected(self) -> bool:
        """Whether the client has to send: the rest of a body, or, for long enough, of the head of a request."""
        if self.conn.their_state is h11.IDLE:
            return self.loop.time() - self._free >= self.silent_seconds
        return self.conn.their_state is h11.SEND_BODY

    def _refused(self) -> bool:
        """Whether the client goes on sending a body that was answered already."""
        answered = self.cycle is not None and self.cycle.response_complete
        return answered and self.conn.their_state is h11.SEND_BODY


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(64)  # from here on visitors wait, instead of being refused, until the server is up
    except (OSError, OverflowError) as error:
        found.close()
        raise UsageError(
            "The viewer cannot listen there.",
            got=f"{host}:{port}: {getattr(error, 'strerror', None) or error}",
            hint="Choose another --port, or leave it out for a free one.",
        ) from error
    return found


def reached_as(host: str) -> list[str]:
    """Names under which browsers reach the viewer, that of others first where there are any.

    Example:
        >>> reached_as("127.0.0.1"), reached_as("::1")
        (['127.0.0.1'], ['[::1]'])
    """
    if host not in ANY:
        return [_written(host)]
    kinds = {socket.AF_INET} if host == "0.0.0.0" else {socket.AF_INET, socket.AF_INET6}
    every = {a.address for found in psutil.net_if_addrs().values() for a in found if a.family in kinds}
    others = sorted(a for a in every if not _own(a))
    return [*(_written(a) for a in others), "127.0.0.1"]


def _own(address: str) -> bool:
    """Whether an address means something on this machine, or this cable, alone."""
    known = ipaddress.ip_address(address.partition("%")[0])
    return known.is_loopback or known.is_link_local


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def secured(tls: tuple[Path, Path]) -> dict[str, str]:
    """Options of the server for TLS, tried once so that a wrong file is told at once.

    Args:
        tls: Certificate (with its chain) and key, both PEM.

    Raises:
        UsageError: They cannot be read, or do not belong together.
    """
    certificate, key = tls
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "The certificate cannot be used.",
            expected="a certificate and its key, both PEM and without a password",
            got=getattr(error, "strerror", None) or str(error),
            where=f"{certificate} {key}",
            hint="Give --tls CERTIFICATE KEY.",
        ) from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
