"""A publisher at LiveKit's WHIP endpoint."""

from collections.abc import Callable

from stagebook.media.livekit.livekit_sdp import ice_session, require_answer
from stagebook.media.livekit.whip_client import WhipClient, WhipSession
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
        self.ice_session = ""

    async def open(self) -> str:
        """Return LiveKit's answer. Raises MediaRefusedError."""
        self._session = await self._client.publish(self._offer, token=self._token())
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
        """Nothing: the participant is removed by the room service."""
