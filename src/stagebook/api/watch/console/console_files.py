"""The ASGI application that serves the files of the console, and the header fields that protect it.

    GET /console        308 to /console/
    GET /console/       index.html
    GET /console/<path> a file of the folder `assets`

All files are read once, when the server starts. A request is a lookup of its path among their names, so no path leads
out of the folder. The files contain no secret: a user of the page signs in through the watch API.

The Content-Security-Policy permits no inline script or style, no other host, and no frame around the page. Browsers ask
with `If-None-Match` on each load, so that a page never mixes files of two versions.
"""

import hashlib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

import msgspec

from stagebook.api.asgi import Header, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response

CONSOLE_PATH = "/console"
_PREFIX = f"{CONSOLE_PATH}/"
_INDEX = "index.html"
_METHODS = {"GET", "HEAD"}
_CONTENT_TYPES = {
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
}


class ConsoleFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is served. `etag` is a strong validator (RFC 9110 section 8.8.3)."""

    content_type: bytes
    etag: bytes
    body: bytes


class ConsoleFiles:
    """The ASGI application of the console. `public_url` is the server's base URL, which the page may connect to."""

    def __init__(self, *, public_url: str) -> None:
        self._files = read_assets()
        self._headers: tuple[Header, ...] = (
            (b"content-security-policy", content_security_policy(public_url).encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(self), microphone=(self), display-capture=(self)"),
            (b"x-frame-options", b"DENY"),
        )

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Return whether a request belongs to the console."""
        path: str = scope["path"]
        return scope["type"] == "http" and (path == CONSOLE_PATH or path.startswith(_PREFIX))

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        is_head = scope["method"] == "HEAD"
        await send_response(send, self._respond(scope), extra_headers=self._headers, is_head=is_head)

    def _respond(self, scope: Scope) -> HttpResponse:
        if scope["method"] not in _METHODS:
            return _text(405, b"use GET\n", (b"allow", b"GET, HEAD"))
        if scope["path"] == CONSOLE_PATH:
            return _text(308, b"the console is at /console/\n", (b"location", _PREFIX.encode("ascii")))
        file = self._files.get(scope["path"].removeprefix(_PREFIX) or _INDEX)
        if file is None:
            return _text(404, b"no such file\n")
        headers = ((b"etag", file.etag), (b"cache-control", b"no-cache"))
        if _matches(scope, file.etag):
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(status=200, headers=(*headers, (b"content-type", file.content_type)), body=file.body)


def content_security_policy(public_url: str) -> str:
    """Return the Content-Security-Policy of the page.

    Tokens name the server by its public URL, which may be another origin than the one the page was loaded from.
    """
    parts = urlsplit(public_url)
    secure = "s" if parts.scheme == "https" else ""
    connect = f"'self' http{secure}://{parts.netloc} ws{secure}://{parts.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            f"connect-src {connect}",
            "media-src 'self' blob: mediastream:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


def read_assets() -> Mapping[str, ConsoleFile]:
    """Return the files of the folder `assets` by their path below it."""
    folder = resources.files("stagebook.api.watch.console") / "assets"
    return dict(_read_folder(folder, prefix=""))


def _read_folder(folder: Traversable, *, prefix: str) -> list[tuple[str, ConsoleFile]]:
    found: list[tuple[str, ConsoleFile]] = []
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _read_folder(entry, prefix=f"{path}/")
        elif content_type := _CONTENT_TYPES.get(entry.name.rpartition(".")[2]):
            body = entry.read_bytes()
            etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode("ascii")
            found.append((path, ConsoleFile(content_type=content_type, etag=etag, body=body)))
    return found


def _matches(scope: Scope, etag: bytes) -> bool:
    """Return whether If-None-Match names the file (RFC 9110 section 13.1.2). Weak and strong tags compare equal."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            return any(tag.strip().removeprefix(b"W/") in {etag, b"*"} for tag in value.split(b","))
    return False


def _text(status: int, body: bytes, *headers: Header) -> HttpResponse:
    return HttpResponse(
        status=status,
        headers=((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-cache"), *headers),
        body=body,
    )
