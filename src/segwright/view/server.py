"""The viewer's routes: numbers in, never paths; slices, scores and words out."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from segwright.core.errors import SegwrightError, UsageError
from segwright.view import serializers
from segwright.view.auth import Auth
from segwright.view.label_codes import LabelCodes, pack_runs
from segwright.view.protocol import PlainJSON, error_response, filled, page_files, refusal, slice_response, tagged
from segwright.view.results import open_result, why
from segwright.view.scan import AT_ONCE_BYTES, Region, clipped
from segwright.view.session import Session
from segwright.view.slices import as_levels, views
from segwright.view.thumbnail import thumbnail
from segwright.view.uploads import (
    BusyError,
    Inbox,
    Limits,
    TooLargeError,
    TooSlowError,
    clean_name,
    refuse_detached,
    safe_name,
    too_large,
)

#: A case of more bytes gets no thumbnail: reading it would take the disk from the slice being looked at.
THUMB_BYTES = 1_500_000_000
#: Most pixels an edge that are averaged to one: a slice of two million pixels an edge then fits a screen.
MOST_STEP = 1024

#: A report's own scripts run apart from the viewer and its cookie; a click may lead to the viewer.
_WALLED = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-top-navigation-by-user-activation"
)
#: Refusals that are no fault of what was sent.
_STATUS = {TooLargeError: 413, TooSlowError: 408, BusyError: 503}


class _Count(IntegerConvertor):
    """A whole number of a length that things here can have; a longer one leads nowhere."""

    regex = "[0-9]{1,9}"


def build_app(session: Session, *, token: str = "", link: str = "/", limits: Limits | None = None) -> Starlette:
    """The application for what is on the session.

    Args:
        session: What is open.
        token: Asked of every visitor if not empty.
        link: Address under which others reach the page.
        limits: What uploads may take.
    """
    register_url_convertor("count", _Count())
    objects = "/api/cases/{case:count}/objects/{source:count}/{structure:count}"
    routes = Routes(session, link, Inbox(limits or Limits()))
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/static/{name}", routes.static),
            Route("/api/state", routes.state),
            Route("/api/data", routes.data),
            Route("/api/runs", routes.runs),
            Route("/report/{run:count}", routes.report),
            Route("/api/cases/{case:count}", routes.case),
            Route("/api/cases/{case:count}/thumb.png", routes.thumb),
            Route("/api/cases/{case:count}/image/{axis:count}/{at:count}", routes.image),
            Route("/api/cases/{case:count}/labels/{source:count}/{axis:count}/{at:count}", routes.labels),
            Route("/api/cases/{case:count}/extents/{source:count}", routes.extents),
            Route(objects, routes.objects),
            Route(objects + "/{axis:count}/{at:count}", routes.ids),
            Route("/api/results", routes.upload, methods=["POST"]),
            Route("/api/results/{number:count}", routes.remove, methods=["DELETE"]),
            Route("/api/results/{number:count}/scores", routes.scores),
            Route("/api/compare/{first:count}/{second:count}", routes.compare),
        ],
        middleware=[Middleware(Auth, token=token)],
        exception_handlers={
            SegwrightError: _told,
            HTTPException: _absent,
            ClientDisconnect: _left,
            Exception: _fault,
        },
    )
    app.state.inbox = routes.inbox
    return app


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, SegwrightError)
    return refusal(error, next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 422))


async def _left(request: Request, error: Exception) -> Response:
    """Nobody reads this: the visitor went away in the middle of sending."""
    return error_response(400, "The upload was broken off.", "Send it again.")


async def _absent(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 405:
        return error_response(405, f"{request.method} does nothing at this address.", "Start from the first page, '/'.")
    return error_response(status, "There is nothing at this address.", "Start from the first page, '/'.")


async def _fault(request: Request, error: Exception) -> Response:
    if isinstance(error, OSError):
        return error_response(
            422, f"A file cannot be read: {error.strerror or error}.", "Check that it is still there."
        )
    return error_response(
        500, f"This is a fault of segwright: {type(error).__name__}: {error}.", "The viewer goes on; report it."
    )


class Routes:
    """One method a route; plain ones run in a thread each, so that reading never blocks the others."""

    def __init__(self, session: Session, link: str, inbox: Inbox) -> None:
        self.session = session
        self.link = link
        self.inbox = inbox
        self.files = page_files()

    def page(self, request: Request) -> Response:
        """The page itself, with the state and, once it is read, the first case: what it would ask for next."""
        content, kind = self.files["index.html"]
        scripts = sorted(name for name in self.files if name.endswith(".js"))
        return tagged(request, filled(content, scripts, {"state": self._state(), "first": self._first()}), kind)

    def _first(self) -> dict[str, Any] | None:
        """The first case, if it is read already; whatever is wrong with it is told when the page asks."""
        try:
            if not self.session.warmed:
                return None
            self.session.refresh(0)
            return serializers.case(self.session, 0)
        except (SegwrightError, OSError):
            return None

    async def static(self, request: Request) -> Response:
        """A script or style of the page; from memory, so that no thread is needed."""
        name = request.path_params["name"]
        if name not in self.files:
            raise HTTPException(404)
        content, kind = self.files[name]
        return tagged(request, content, kind)

    def state(self, request: Request) -> Response:
        """Everything open."""
        return PlainJSON(self._state())

    def _state(self) -> dict[str, Any]:
        told = {**serializers.state(self.session), "upload_limit": self.inbox.limits.each, "link": self.link}
        for row in told["results"]:
            row["dropped"] = self.inbox.has(row["number"])
        return told

    def data(self, request: Request) -> Response:
        """The dataset in numbers."""
        return PlainJSON(serializers.data(self.session))

    def runs(self, request: Request) -> Response:
        """Curves of all runs."""
        return PlainJSON(serializers.runs(self.session))

    def report(self, request: Request) -> Response:
        """The page of a run, walled off from this one; its links lead to cases."""
        number = request.path_params["run"]
        if number >= len(self.session.runs) or not self.session.runs[number].page.exists():
            raise HTTPException(404)
        answer = tagged(request, self.session.runs[number].page.read_bytes(), "text/html")
        answer.headers["content-security-policy"] = _WALLED
        return answer

    def case(self, request: Request) -> Response:
        """One case."""
        index = self._case(request)
        self.session.refresh(index)
        return PlainJSON(serializers.case(self.session, index))

    def thumb(self, request: Request) -> Response:
        """A small picture of a case."""
        index = self._case(request)
        scan = self.session.store.scan(index)
        if scan.nbytes > THUMB_BYTES:
            raise HTTPException(404)
        coded: LabelCodes | None = None
        if self.session.cases[index].label and scan.nbytes <= AT_ONCE_BYTES:
            try:
                coded = self.session.store.codes(index, 0)
            except SegwrightError:
                coded = None  # the scan alone is still worth showing; opening the case tells what is wrong
        picture = thumbnail(scan, coded, serializers.colours(self.session.space), views(scan.volume)[0])
        return tagged(request, picture, "image/png")

    def image(self, request: Request) -> Response:
        """A slice of a scan; `c` channel, `step` pixels averaged, `box` a part of it."""
        scan = self.session.store.scan(self._case(request))
        axis, at = request.path_params["axis"], request.path_params["at"]
        step, region = _step(request), _region(request)
        channels = [_number(request, "c", 0)] if request.query_params.get("c") != "all" else [0, 1, 2]
        read = partial(scan.plane, axis, at, step=step, region=region)
        parts = [as_levels(read(channel=c)) for c in channels]
        header = {**parts[0][1], "step": step, "channels": len(channels)}
        return slice_response(request, header, b"".join(body for body, _ in parts))

    def labels(self, request: Request) -> Response:
        """A slice of labels as runs of codes, with the structures of each code."""
        index, axis, at = self._place(request)
        source, step, region = request.path_params["source"], _step(request), _region(request)
        coded = self.session.store.code_plane(index, source, axis, at)
        plane = _thinned(coded.codes[0], step, region)
        header = {"rows": plane.shape[0], "columns": plane.shape[1], "step": step, "members": coded.members}
        return slice_response(request, header, pack_runs(plane))

    def extents(self, request: Request) -> Response:
        """Where structures lie."""
        return PlainJSON(serializers.extents(self.session, self._case(request), request.path_params["source"]))

    def objects(self, request: Request) -> Response:
        """The table of single objects of a structure."""
        found = self.session.store.objects(self._case(request), *self._structure(request))
        return PlainJSON({"total": found.total, "rows": found.rows})

    def ids(self, request: Request) -> Response:
        """A slice of object numbers as runs."""
        index, axis, at = self._place(request)
        found = self.session.store.objects(index, *self._structure(request))
        step = _step(request)
        plane = _thinned(np.take(found.ids, at, axis=axis), step, _region(request))
        header = {"rows": plane.shape[0], "columns": plane.shape[1], "step": step}
        return slice_response(request, header, pack_runs(plane))

    def scores(self, request: Request) -> Response:
        """Scores of a result."""
        return PlainJSON(serializers.scores(self.session, self._result(request)))

    def compare(self, request: Request) -> Response:
        """Paired differences of two results."""
        first, second = (self._result(request, name) for name in ("first", "second"))
        return PlainJSON(serializers.comparison(self.session, first, second))

    async def upload(self, request: Request) -> Response:
        """Take a result in: the body is a file called `name`, or a form with the files of a folder of that name."""
        kind = request.headers.get("content-type", "")
        whole = kind.startswith("multipart/form-data")
        name = request.query_params.get("name", "")
        name = clean_name(name) if whole else safe_name(name)
        declared = request.headers.get("content-length", "")
        with self.inbox.folder() as folder:
            if declared.isdecimal() and int(declared[:18]) > self.inbox.left(folder):
                raise too_large(self.inbox.limits)
            if whole:
                place = await self.inbox.receive_folder(kind, request.stream(), folder)
            else:
                place = folder / name
                await self.inbox.receive(request.stream(), place)
            number = await run_in_threadpool(self._take, place, name if whole else Path(name).stem)
            self.inbox.keep(folder, number)
        return PlainJSON(serializers.result(self.session, number))

    def _take(self, path: Path, name: str) -> int:
        try:
            place = self.inbox.unpack(path) if path.suffix.lower() == ".zip" and path.is_file() else path
            refuse_detached(place)
            return self.session.add(open_result(place, self.session.dataset, name=name, folder_only=True))
        except SegwrightError:
            raise
        except Exception as error:
            raise UsageError("The file cannot be read as a result.", got=why(error), where=path.name) from error

    def remove(self, request: Request) -> Response:
        """Forget a result that was dropped onto the page."""
        number = self._result(request)
        if not self.inbox.has(number):
            raise UsageError("Only results that were dropped onto the page can be removed.")
        self.session.remove(number)
        self.inbox.remove(number)
        return PlainJSON({"removed": number})

    def _case(self, request: Request) -> int:
        index: int = request.path_params["case"]
        if index >= len(self.session.cases):
            raise HTTPException(404)
        return index

    def _place(self, request: Request) -> tuple[int, int, int]:
        index, axis, at = self._case(request), request.path_params["axis"], request.path_params["at"]
        if axis > 2 or at >= self.session.store.scan(index).volume.geometry.shape[axis]:
            raise HTTPException(404)
        return index, axis, at

    def _structure(self, request: Request) -> tuple[int, int]:
        source, structure = request.path_params["source"], request.path_params["structure"]
        if structure >= len(self.session.space.structures):
            raise HTTPException(404)
        return source, structure

    def _result(self, request: Request, name: str = "number") -> int:
        number: int = request.path_params[name]
        if number not in self.session.results:
            raise HTTPException(404)
        return number


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"'{name}' must be a whole number.", got=text[:40])
    return int(text)


def _step(request: Request) -> int:
    """Edge of the square of pixels that becomes one."""
    step = _number(request, "step", 1)
    if not 1 <= step <= MOST_STEP:
        raise UsageError("'step' is out of range.", expected=f"1 to {MOST_STEP}", got=step)
    return step


def _region(request: Request) -> Region | None:
    text = request.query_params.get("box")
    if text is None:
        return None
    try:
        top, bottom, left, right = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError("'box' must be four whole numbers.", expected="top,bottom,left,right", got=text[:80]) from None
    return top, bottom, left, right


def _thinned(plane: Any, step: int, region: Region | None) -> Any:
    """Every `step`-th pixel, at the middle of the square the image averages."""
    if region is not None:
        top, bottom, left, right = clipped(region, *plane.shape)
        plane = plane[top:bottom, left:right]
    if step == 1:
        return plane
    rows, columns = -(-plane.shape[0] // step), -(-plane.shape[1] // step)
    at_rows = np.minimum(np.arange(rows) * step + step // 2, plane.shape[0] - 1)
    at_columns = np.minimum(np.arange(columns) * step + step // 2, plane.shape[1] - 1)
    return plane[np.ix_(at_rows, at_columns)]
