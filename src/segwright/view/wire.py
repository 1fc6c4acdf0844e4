"""What travels between server and page: slices as a small header and raw bytes, errors in the usual words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from segwright.core.errors import SegwrightError


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


def refusal(error: SegwrightError, status: int = 422) -> JSONResponse:
    """An error in words: what, expected, came, where, cure."""
    return JSONResponse({"error": {"what": error.what, **error.details()}}, status_code=status)
