"""A publisher at LiveKit's WHIP endpoint."""

import asyncio
from collections.abc import Callable

from stagebook.media.livekit.livekit_sdp import ice_session, require_answer
from stagebook.media.livekit.offers.whip_client import WhipClient, WhipSession
from stagebook.media.port import PatchAnswer
from stagebook.media.rtc.sdp.trickle_fragment import IceFragment


class WhipPublisher:
    """One publisher without simulcast."""

    def __init__(self, client: WhipClient, *, offer: str, token: Callable[[], str]) -> None:
        """`token` makes the participant's access token."""
        self._client = client
        self._offer = offer
        self._token = token
        self._session = WhipSession(answer="", resource="", etag="")
        self._posting: asyncio.Task[WhipSession] | None = None
        self.ice_session = ""

    async def open(self) -> str:
        """Return LiveKit's answer. Raises MediaRefusedError."""
        # Not cancelled with the caller: LiveKit continues with a request that it has read.
        self._posting = asyncio.create_task(self._client.publish(self._offer, token=self._token()))
        self._session = await asyncio.shield(self._posting)
        answer = require_answer(self._session.answer)
        self.ice_session = ice_session(answer)
        return answer

    async def trickle(self, fragment: str) -> None:
        """Send the peer's candidates. Raises MediaRefusedError."""
        session = self._session
        await self._client.patch(session.resource, fragment, token=self._token(), etag=session.etag)

    async def restart(self, fragment: str, parsed: IceFragment) -> PatchAnswer:  # noqa: ARG002 - as SignallingPeer
        """Restart ICE. Raises MediaRefusedError."""
        answered = await self._client.patch(self._session.resource, fragment, token=self._token(), etag="*")
        self._session = WhipSession(answer="", resource=self._session.resource, etag=answered.etag)
        if answered.fragment is not None:
            self.ice_session = ice_session(answered.fragment)
        return PatchAnswer(fragment=answered.fragment, ice_session=self.ice_session)

    async def close(self) -> None:
        """End the session at LiveKit. An offer in progress is answered first: before, LiveKit may not know the session.

        This ends the participant also if LiveKit's Redis has lost its data. The room service finds none then.
        """
        if self._posting is None:
            return
        (session,) = await asyncio.gather(self._posting, return_exceptions=True)
        if isinstance(session, WhipSession):
            await self._client.end(session.resource, token=self._token())
