"""What travels between server and page: the page itself, slices with a small header, JSON, and errors in words."""

from __future__ import annotations

import hashlib
import json
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from segwright.core.errors import SegwrightError

#: An absolute path in a sentence: what comes before its last part is nobody's business.
_PLACE = re.compile(r"""(?<![\w/.:<])/(?:[^/\s'",;()\\]+/)+""")


def packed(header: dict[str, Any], body: bytes) -> bytes:
    """Length of the header (uint32, little-endian), the header as JSON padded to 8 bytes, then the body.

    Example:
        >>> packed({"a": 1}, b"xyz")
        b'\\x0c\\x00\\x00\\x00{"a": 1}    xyz'
    """
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return len(text).to_bytes(4, "little") + text + body


def slice_response(request: Request, header: dict[str, Any], body: bytes) -> Response:
    """A slice, or 304 if the page has it already."""
    return tagged(request, packed(header, body), "application/octet-stream")


def tagged(request: Request, content: bytes, media_type: str) -> Response:
    """Content with an ETag; the page asks again each time, and is told in a few bytes that nothing changed."""
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


class PlainJSON(JSONResponse):
    """JSON in which no sentence tells where on this machine something lies."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return as_json(content).encode(errors="replace")


def as_json(content: Any) -> str:
    """JSON that browsers read, numbers that are none as null, without the server's folders.

    Example:
        >>> as_json({"a": float("inf"), "b": "/home/ann/x.nii"})
        '{"a":null,"b":"x.nii"}'
    """
    try:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return as_json(_finite(content))
    return strip_paths(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def strip_paths(text: str) -> str:
    """A sentence, or JSON, with the last parts of absolute paths alone.

    Example:
        >>> strip_paths("Where: /home/ann/scans/a.nii.gz. See http://127.0.0.1/x and/or images/b.png.")
        'Where: a.nii.gz. See http://127.0.0.1/x and/or images/b.png.'
    """
    return _PLACE.sub("", text)


def without_paths(error: SegwrightError) -> SegwrightError:
    """The same error without the server's folders.

    Example:
        >>> str(without_paths(SegwrightError("It is missing.", where="/home/ann smith/a.nii")))
        'It is missing. Where: a.nii.'
    """
    told = {key: strip_paths(text) for key, text in error.details().items()}
    if "where" in told:
        told["where"] = Path(str(error.where)).name if str(error.where).startswith("/") else told["where"]
    return SegwrightError(strip_paths(error.what), **told)


def refusal(error: SegwrightError, status: int = 422) -> PlainJSON:
    """An error in words: what, expected, came, where, hint."""
    plain = without_paths(error)
    return PlainJSON({"error": {"what": plain.what, **plain.details()}}, status_code=status)


def error_response(status: int, what: str, hint: str) -> PlainJSON:
    """A refusal in words."""
    return PlainJSON({"error": {"what": what, "hint": hint}}, status_code=status)


_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
#: Where the page's head takes in what is told.
_MARK = b"<!-- told -->"


def page_files() -> dict[str, tuple[bytes, str]]:
    """The page's files by name, read once; nothing else can be asked for."""
    folder = files("segwright.view").joinpath("static")
    found = [entry for entry in folder.iterdir() if Path(entry.name).suffix in _TYPES]
    return {entry.name: (entry.read_bytes(), _TYPES[Path(entry.name).suffix]) for entry in found}


def filled(html: bytes, scripts: list[str], told: dict[str, Any]) -> bytes:
    r"""The page with all scripts named in its head, so that they are fetched side by side, and data it starts from.

    Args:
        html: The page as it lies in the package.
        scripts: Names of its modules.
        told: Answers that the page would ask for next; text of a visitor's files cannot end the element it stands in.

    Example:
        >>> filled(b"<!-- told -->", ["a.js"], {"title": "</script>"}).decode().splitlines()[1]
        '<script type="application/json" id="told">{"title":"\\u003c/script>"}</script>'
    """
    links = [f'<link rel="modulepreload" href="/static/{name}">' for name in scripts]
    text = as_json(told).replace("<", "\\u003c")
    lines = [*links, f'<script type="application/json" id="told">{text}</script>']
    return html.replace(_MARK, "\n".join(lines).encode(errors="replace"), 1)
