"""A participant that is connected by a signalling exchange: a viewer, or a publisher with simulcast."""

from livekit.protocol import rtc

from stagebook.media.livekit.livekit_sdp import (
    fragment_candidates,
    ice_session,
    require_answer,
    restart_fragment,
    restarted_offer,
    with_candidates,
)
from stagebook.media.livekit.signalling.signalling_socket import SignallingSocket
from stagebook.media.port import PatchAnswer
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, ViewerPlan
from stagebook.media.rtc.sdp.trickle_fragment import IceFragment


class SignallingPeer:
    """One participant with its websocket."""

    def __init__(self, socket: SignallingSocket, *, offer: str, plan: PublisherPlan | ViewerPlan) -> None:
        """`offer` is the offer of the socket's exchange, and `plan` what it was negotiated to."""
        self._socket = socket
        self._offer = offer
        self._plan = plan
        self.ice_session = ""

    async def open(self) -> str:
        """Return LiveKit's answer with all candidates. Raises MediaRefusedError."""
        await self._socket.open()
        exchange = self._socket.exchange
        answer = require_answer(exchange.answer)
        self.ice_session = ice_session(answer)
        return with_candidates(answer, exchange.candidates)

    async def trickle(self, fragment: str) -> None:
        """Send the peer's candidates. Raises MediaRefusedError."""
        candidates = fragment_candidates(fragment)
        await self._socket.send(*(self._socket.exchange.trickle(candidate) for candidate in candidates))

    async def restart(self, fragment: str, parsed: IceFragment) -> PatchAnswer:
        """Restart ICE: LiveKit gets the peer's offer again with other credentials. Raises MediaRefusedError."""
        offer = restarted_offer(self._offer, parsed, fragment_candidates(fragment))
        await self._socket.restart(offer)
        self._offer = offer
        exchange = self._socket.exchange
        self.ice_session = ice_session(require_answer(exchange.answer))
        first = self._plan.tracks[0]
        answer = restart_fragment(exchange.answer, exchange.candidates, mid=first.mid, kind=first.kind)
        return PatchAnswer(fragment=answer, ice_session=self.ice_session)

    async def send(self, *messages: rtc.SignalRequest) -> None:
        """Send messages to LiveKit. Raises MediaRefusedError (BUSY)."""
        await self._socket.send(*messages)

    async def close(self) -> None:
        """Leave the room, and close the websocket. Nothing is reported after this."""
        await self._socket.close()
