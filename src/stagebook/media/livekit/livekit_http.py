"""HTTP calls to LiveKit whose cost has bounds, whatever answers: LiveKit, a proxy in front of it, or something else.

* An answer is read in parts, up to a size. Compressed answers are refused: a small one can be huge when it is read.
* A time limit covers a call as a whole. The limits of `httpx` are for single reads, and bytes can come one by one.
* Redirects are not followed and cookies are not kept: a token goes to the configured URL and nowhere else.
* Each purpose has a client of its own (`livekit_client`), so that one kind of call does not use up the connections
  of another.
"""

import asyncio
import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Final

import httpx
import msgspec

MAX_PATH_CHARACTERS: Final = 2_048


class LiveKitCallError(Exception):
    """LiveKit did not answer, or its answer cannot be read. The message has no secrets.

    `is_answered` tells whether the begin of an answer has arrived.
    """

    def __init__(self, detail: str, *, is_answered: bool) -> None:
        super().__init__(detail)
        self.is_answered = is_answered


class LiveKitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is complete and within its bound."""

    status: int
    headers: Mapping[str, str]
    """The names are compared without regard to case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8. Bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")


def is_livekit_path(location: str) -> bool:
    """Return whether the value of a Location header is a path, and not the URL of another host."""
    is_path = location.startswith("/") and not location.startswith("//")
    return is_path and len(location) <= MAX_PATH_CHARACTERS and location.isascii() and location.isprintable()


def livekit_client(*, max_connections: int, tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Return a client for calls to LiveKit. Further calls wait for a free connection.

    `tls` is the context that verifies LiveKit's certificate; None stands for the default one.
    """
    client = httpx.AsyncClient(
        verify=True if tls is None else tls,
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_connections=max_connections),
        headers={"Accept-Encoding": "identity"},
    )
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


async def call_livekit(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    content: bytes,
    headers: Mapping[str, str],
    timeout_seconds: float,
    max_size_bytes: int,
) -> LiveKitAnswer:
    """Return the answer to a request, whatever its status. Raises LiveKitCallError.

    `timeout_seconds` includes the wait for a free connection, and `max_size_bytes` is for the body of the answer.
    """
    is_answered = False
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            client.stream(
                method, url, content=content, headers=headers, timeout=timeout_seconds, follow_redirects=False
            ) as response,
        ):
            is_answered = True
            body = await _body(response, max_size_bytes)
            return LiveKitAnswer(status=response.status_code, headers=response.headers, body=body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        detail = f"LiveKit did not answer: {type(error).__name__}"
        raise LiveKitCallError(detail, is_answered=is_answered) from error


async def _body(response: httpx.Response, max_size_bytes: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise LiveKitCallError("LiveKit's answer is compressed, and was not asked to be", is_answered=True)
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > max_size_bytes:
            raise LiveKitCallError(f"LiveKit's answer has more than {max_size_bytes} bytes", is_answered=True)
    return bytes(body)
