"""Who may talk to the viewer: this machine alone, or whoever knows the token it printed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "segwright-token"
#: A page of ours sends this header; other pages in the same browser cannot without being asked first.
OWN_HEADER = "x-segwright"
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(18)


@dataclass
class Guard:
    """ASGI middleware: refuses foreign names of this machine, foreign pages, and visitors without the token.

    Attributes:
        app: What is guarded.
        token: Asked for if not empty; else only loopback names are answered.
    """

    app: ASGIApp
    token: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._refuse(Request(scope))
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def guarded(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                headers += [  # type: ignore[operator]
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, guarded)  # type: ignore[arg-type]

    def _refuse(self, request: Request) -> Response | None:
        if self.token:
            return self._ask(request)
        host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
        if host not in LOOPBACK:
            return said(403, "This viewer answers this machine only.", "Open it as http://127.0.0.1.")
        return self._own(request)

    def _own(self, request: Request) -> Response | None:
        if request.method not in {"GET", "HEAD"} and OWN_HEADER not in request.headers:
            return said(403, "Only the viewer's own page may change anything.", f"Send the header {OWN_HEADER}.")
        return None

    def _ask(self, request: Request) -> Response | None:
        given = request.query_params.get("token", "")
        known = given or request.cookies.get(COOKIE, "") or request.headers.get("authorization", "")[len("Bearer ") :]
        if not secrets.compare_digest(known.encode(), self.token.encode()):
            return said(401, "This viewer asks for a token.", "Open the address it printed, token included.")
        if given and request.url.path == "/":
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        return self._own(request)


def said(status: int, what: str, cure: str) -> JSONResponse:
    """A refusal in words."""
    return JSONResponse({"error": {"what": what, "cure": cure}}, status_code=status)
