"""Who may talk to the viewer: whoever knows the token it printed, from its own page alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segwright.view.listen import LOOPBACK
from segwright.view.protocol import error_response

#: A page of ours sends this header; other pages in the same browser cannot without being asked first.
OWN_HEADER = "x-segwright"
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(18)


def cookie_name(request: Request) -> str:
    """The cookie's name holds the port, as browsers give a host's cookies to all of its ports."""
    return f"segwright-{_asked(request)[1] or request.url.scheme}"


def _asked(request: Request) -> tuple[str, int | None]:
    """Host and port of the address as the visitor wrote it; of one that is none, an empty host."""
    try:
        written = urlsplit("//" + request.headers.get("host", ""))
        return written.hostname or "", written.port
    except ValueError:
        return "", None


@dataclass
class Auth:
    """ASGI middleware: refuses visitors without the token, foreign names of this machine, and foreign pages.

    Attributes:
        app: What is guarded.
        token: Asked for if not empty; else whoever uses a loopback name is answered.
    """

    app: ASGIApp
    token: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            return  # no WebSockets: the server then refuses
        request = Request(scope)
        cookies: list[tuple[bytes, bytes]] = []

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                usual = [pair for pair in _HEADERS if pair[0] not in {name for name, _ in own}]
                message["headers"] = [*own, *usual, *cookies]
            await send(message)

        answer = self._refuse(request)
        if answer is None and self.token and "token" in request.query_params:
            cookies.append((b"set-cookie", self._cookie(request).encode()))
        await (answer or self.app)(scope, receive, guarded)

    def _cookie(self, request: Request) -> str:
        """Lax: a link in a mail or chat opens the page; other sites' requests that change something never carry it."""
        jar: SimpleCookie = SimpleCookie()
        name = cookie_name(request)
        jar[name] = self.token
        jar[name]["path"], jar[name]["samesite"] = "/", "Lax"
        jar[name]["httponly"], jar[name]["secure"] = True, request.url.scheme == "https"
        return jar[name].OutputString()

    def _refuse(self, request: Request) -> Response | None:
        if self.token:
            if not self._known(request):
                return error_response(
                    401, "This viewer asks for a token.", "Open the address it printed, token included."
                )
        elif _asked(request)[0] not in LOOPBACK:
            return error_response(403, "This viewer answers this machine only.", "Open it as http://127.0.0.1.")
        if request.method not in {"GET", "HEAD"} and OWN_HEADER not in request.headers:
            return error_response(
                403, "Only the viewer's own page may change anything.", f"Send the header {OWN_HEADER}."
            )
        return None

    def _known(self, request: Request) -> bool:
        """Whether the token is right: the address comes before the cookie, so that an old cookie locks nobody out."""
        given = (
            request.query_params.get("token")
            or request.headers.get("authorization", "")[len("Bearer ") :]
            or request.cookies.get(cookie_name(request), "")
        )
        return secrets.compare_digest(given.encode(errors="replace"), self.token.encode())
