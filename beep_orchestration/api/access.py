"""Who may use the API, and from where.

Nothing here is kept in a browser: there are no cookies, and other origins get no CORS headers. With tokens a request
speaks for the organization of its token. Without, the API listens on loopback only, and whoever reaches it speaks for
the configured organization; so that no web page does so through a visitor's browser, requests that another origin
makes are refused, and so are those for another host name than loopback's, to which a name server may have bound it (DNS
rebinding).
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beep_orchestration.api.problems import RefusedError, problem_response
from beep_orchestration.errors import ConfigurationError
from beep_orchestration.ids import OrganizationId
from beep_orchestration.settings import Settings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Whether a host, as in a URL, is this machine itself by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings) -> None:
    """Raise `ConfigurationError` if the API would listen beyond this machine and ask for no token."""
    if not settings.api_tokens and not is_loopback(settings.api_host):
        raise ConfigurationError(
            f"BEEP_API_HOST: {settings.api_host} is not loopback and BEEP_API_TOKENS is not set, so that everybody "
            "could use the API; set tokens, or leave BEEP_API_HOST as it is"
        )


class Tokens:
    """The bearer tokens of the organizations (RFC 6750)."""

    def __init__(self, tokens: Mapping[OrganizationId, tuple[SecretStr, ...]], default: OrganizationId) -> None:
        self._digests = [
            (_digest(token.get_secret_value()), organization)
            for organization, secrets in tokens.items()
            for token in secrets
        ]
        self.default = default
        """Who is meant where no token is asked for."""

    def organization_of(self, headers: Headers) -> OrganizationId:
        """Whose token it is; raises `RefusedError`. Takes as long for a wrong token as for a right one."""
        if not self._digests:
            return self.default
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given, found = _digest(token.strip()), None
        for digest, organization in self._digests:
            if hmac.compare_digest(digest, given):
                found = organization
        if found is None or scheme.lower() != "bearer":
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "Unauthorized",
                "the request has no token, or none that is known",
                field="Authorization",
                remedy="send 'Authorization: Bearer TOKEN' with a token of BEEP_API_TOKENS",
                headers={"WWW-Authenticate": 'Bearer realm="beep"'},
            )
        return found


def _digest(token: str) -> bytes:
    """Of equal length for all tokens, so that comparing takes equally long."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


class Doorkeeper:
    """Refuses what a browser was made to send, and sets the headers that all answers have."""

    def __init__(self, app: ASGIApp, *, asks_for_tokens: bool) -> None:
        self._app = app
        self._asks_for_tokens = asks_for_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in present)]
            await send(message)

        try:
            self._check(scope["method"], Headers(scope=scope))
        except RefusedError as refusal:
            await problem_response(refusal.problem)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._asks_for_tokens and not is_loopback(_host_name(host)):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "MisdirectedRequest",
                f"this server is not {host[:200]!r}",
                field="Host",
                remedy="ask for it as localhost or 127.0.0.1, or set BEEP_API_TOKENS",
            )
        if method not in _SAFE_METHODS and _is_cross_site(headers, host):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "CrossSiteRequest",
                "a page of another origin may not send this",
                field="Origin",
                remedy="send it from a program, or from the server's own pages",
            )


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_cross_site(headers: Headers, host: str) -> bool:
    """As browsers tell: by Sec-Fetch-Site (Fetch Metadata), and those that do not by Origin."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host
