"""The client of LiveKit's WHIP endpoint, `/whip/v1` (RFC 9725): publishers without simulcast.

The resource of a session stays within the server: a peer speaks to Stagebook's own WHIP resource.
"""

import contextlib
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from stagebook.media.livekit.livekit_http import LiveKitAnswer, LiveKitCallError, call_livekit, is_livekit_path
from stagebook.media.port import MediaRefusedError, RefusalReason

EXCHANGE_TIMEOUT_SECONDS: Final = 8.0
MAX_ANSWER_SIZE_BYTES: Final = 256 * 1_024
_MAX_DETAIL_CHARACTERS: Final = 200


class WhipSession(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher's session at LiveKit."""

    answer: str
    resource: str
    """The path of the resource."""
    etag: str
    """LiveKit's entity tag of the ICE session."""


class WhipFragment(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an SDP fragment; `fragment` is None for trickled candidates."""

    fragment: str | None
    etag: str


class WhipClient:
    """WHIP requests to one LiveKit deployment. All raise MediaRefusedError (MALFORMED, BUSY, ENGINE_LOST)."""

    def __init__(self, client: httpx.AsyncClient, *, url: str) -> None:
        """`url` is the deployment's HTTP URL, without a slash at the end. The caller closes `client`."""
        self._client = client
        self._url = url

    async def publish(self, offer: str, *, token: str) -> WhipSession:
        """Post an offer."""
        response = await self._request(
            "POST", "/whip/v1", offer, {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
        )
        resource = response.headers.get("Location", "")
        if response.status != httpx.codes.CREATED:
            raise _refusal(response)
        if not is_livekit_path(resource):
            detail = "LiveKit's answer has no resource of a WHIP session"
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=detail)
        return WhipSession(answer=response.text, resource=resource, etag=response.headers.get("ETag", ""))

    async def patch(self, resource: str, fragment: str, *, token: str, etag: str) -> WhipFragment:
        """Send a fragment with candidates, or with `etag` "*" one that restarts ICE."""
        headers = {
            "Content-Type": "application/trickle-ice-sdpfrag",
            "If-Match": etag,
            "Authorization": f"Bearer {token}",
        }
        response = await self._request("PATCH", resource, fragment, headers)
        tag = response.headers.get("ETag", etag)
        if response.status == httpx.codes.NO_CONTENT:
            return WhipFragment(fragment=None, etag=tag)
        if response.status != httpx.codes.OK:
            raise _refusal(response)
        return WhipFragment(fragment=response.text, etag=tag)

    async def end(self, resource: str, *, token: str) -> None:
        """End a session. A failure is ignored: the room service removes the participant as well."""
        with contextlib.suppress(MediaRefusedError):
            await self._request("DELETE", resource, "", {"Authorization": f"Bearer {token}"})

    async def _request(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> LiveKitAnswer:
        try:
            return await call_livekit(
                self._client,
                method,
                self._url + path,
                content=body.encode(),
                headers=headers,
                timeout_seconds=EXCHANGE_TIMEOUT_SECONDS,
                max_size_bytes=MAX_ANSWER_SIZE_BYTES,
            )
        except LiveKitCallError as error:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=str(error)) from error


def _refusal(response: LiveKitAnswer) -> MediaRefusedError:
    """Return the error for a status: LiveKit's own state, or the peer's offer."""
    status = response.status
    detail = f"LiveKit refused the offer with status {status}: {response.text[:_MAX_DETAIL_CHARACTERS]}"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return MediaRefusedError(reason=RefusalReason.BUSY, detail=detail)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=detail)
    return MediaRefusedError(reason=RefusalReason.MALFORMED, detail=detail)
