"""Delivery to an HTTP endpoint: a POST signed by the scheme of Standard Webhooks 1.0.

Each status from 200 to 299 is a success. Everything else fails: redirects are not followed, because the operator has
chosen where events go. 410 means that the receiver wants no more (Standard Webhooks, "Responding to webhooks"). 429 and
503 may ask for a pause (RFC 9110, section 10.2.3).

A target has a connection pool of its own. One for several targets could use a connection to an address for another name
than the one whose certificate was checked.
"""

import asyncio
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from stagebook.webhooks.delivery_outcome import Delivered, Failed, Outcome
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.targets.target import OutgoingMessage
from stagebook.webhooks.targets.target_addresses import CheckedTransport, Network
from stagebook.webhooks.webhook_signature import signed_headers

USER_AGENT = "Stagebook-Webhooks/1"
MAXIMUM_RESPONSE_SIZE_BYTES = 65_536
"""How much of a response is read, so that its connection can be used again. After a longer one it is closed."""
SHOWN_RESPONSE_LENGTH = 200
_PAUSING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class HttpTarget:
    """Implements `Target`."""

    batch_size = 1

    def __init__(
        self,
        destination: Destination,
        *,
        denied: Sequence[Network],
        timeout_seconds: float,
        connections: int,
    ) -> None:
        """`timeout_seconds` bounds one request as a whole, and `connections` the requests at a time."""
        self._url = destination.target
        self._secrets = destination.signing_secrets
        self._timeout_seconds = timeout_seconds
        self._free = asyncio.Semaphore(connections)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # The transport takes SSL_CERT_FILE and SSL_CERT_DIR of the environment, for a private authority.
        transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=True)
        self._client = httpx.AsyncClient(
            transport=CheckedTransport(transport, denied=denied),
            timeout=httpx.Timeout(timeout_seconds),
            follow_redirects=False,
            # No proxy of the environment: the addresses behind it could not be checked.
            trust_env=False,
        )

    async def deliver(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Deliver each message with a request of its own."""
        outcomes = []
        for message in messages:
            # Live deliveries and replays share the connections. The timeout does not count the wait for one.
            async with self._free:
                outcomes.append(await self._deliver(message))
        return outcomes

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _deliver(self, message: OutgoingMessage) -> Outcome:
        headers = signed_headers(
            message.body,
            message_id=message.event_id,
            time_s=message.time_s,
            secrets=self._secrets(message.time_s * 1_000),
        ) | {"content-type": message.content_type, "user-agent": USER_AGENT}
        try:
            # The timeouts of httpx bound each read. This one bounds a receiver that sends one byte after the other.
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream("POST", self._url, content=message.body, headers=headers) as response,
            ):
                text = await _read_bounded(response)
        except (TimeoutError, httpx.TimeoutException):
            return Failed(reason=f"no response within {self._timeout_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Failed(reason=f"{type(error).__name__}: {error}")
        return _outcome(response, text, now_s=message.time_s)


async def _read_bounded(response: httpx.Response) -> str:
    """Read a response up to its bound; return its beginning, for the delivery history."""
    content = b""
    size = 0
    # The raw bytes: a compressed response could be far larger than what is read.
    async for part in response.aiter_raw():
        size += len(part)
        content = (content + part)[:SHOWN_RESPONSE_LENGTH]
        if size > MAXIMUM_RESPONSE_SIZE_BYTES:
            break
    text = content.decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _outcome(response: httpx.Response, text: str, *, now_s: int) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Delivered(status=status)
    reason = f"the endpoint answered {status}" + (f": {text}" if text else "")
    pause_ms = _retry_after_ms(response.headers.get("retry-after"), now_s=now_s) if status in _PAUSING else None
    return Failed(reason=reason, status=status, retry_after_ms=pause_ms, is_gone=status == HTTPStatus.GONE)


def _retry_after_ms(value: str | None, *, now_s: int) -> int | None:
    """Return the pause that a Retry-After field asks for: seconds or a date. One that is malformed asks for none."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return int(value[:9]) * 1_000
    try:
        return max(int(parsedate_to_datetime(value).timestamp()) - now_s, 0) * 1_000
    except (ValueError, OverflowError):
        return None
