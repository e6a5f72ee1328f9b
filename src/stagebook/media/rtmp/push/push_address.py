"""The address of a stream on an RTMP server, read from a URL.

    rtmps://ingest.example.com:443/app/stream-key?parameter=value
            host               port app name

As encoders do it, what follows the last slash of the path, with the query, is the name of the stream, and what comes
before it is the application. The name is usually a key: neither it nor the URL is ever logged.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443}
MAX_URL_CHARACTERS: Final = 2_048


class PushAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where to push a stream to."""

    host: str
    port: int
    is_secure: bool
    app: str
    stream_name: str

    def __repr__(self) -> str:
        return f"PushAddress(host={self.host!r}, port={self.port}, is_secure={self.is_secure})"

    @property
    def tc_url(self) -> str:
        """The URL of the application, which `connect` names (section 7.2.1.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rtmps' if self.is_secure else 'rtmp'}://{host}:{self.port}/{self.app}"


def parse_push_url(url: str) -> PushAddress:
    """Parse an RTMP or RTMPS URL. Raises ValueError, whose message says what is wrong and does not contain the URL."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"a URL has at most {MAX_URL_CHARACTERS} visible ASCII characters")
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not have a user name or a password")
    if parts.fragment:
        raise ValueError("a URL must not have a fragment")
    app, _, name = parts.path.lstrip("/").rpartition("/")
    if not app or not name:
        raise ValueError("a URL must have an application and a stream name: rtmp://HOST/APPLICATION/STREAM_NAME")
    return PushAddress(
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        is_secure=parts.scheme == "rtmps",
        app=app,
        stream_name=f"{name}?{parts.query}" if parts.query else name,
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in DEFAULT_PORTS:
        raise ValueError("a URL must begin with rtmp://HOST or rtmps://HOST")
    return parts
