"""One participant's signalling with LiveKit, without I/O: messages go in, messages come out.

LiveKit's clients speak protobuf messages on a websocket at `/rtc/v1`, in the mode with a single peer connection. A
participant joins with the websocket's URL, sends SDP offers, and gets answers whose ICE candidates follow one by one.
Stagebook's peers have one offer and want one answer, by WHIP. An exchange makes the one from the other:

    JOINING -> TRACKS -> SECTIONS -> OFFERED -> ANSWERED        a viewer (`viewer_exchange`)
    JOINING --------------------->  OFFERED -> ANSWERED         a publisher (`publisher_exchange`)

Any state before ANSWERED may go to FAILED. A time-out and the loss of the websocket are inputs. `restart` goes back to
OFFERED, for an ICE restart. Messages that an exchange does not know are ignored: servers of later versions send more.

Sources: livekit_rtc.proto and livekit_models.proto of LiveKit's protocol; pkg/rtc/participant.go of its server.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from livekit.protocol import models, rtc

from stagebook.media.livekit.disconnect_causes import close_cause
from stagebook.media.port import CloseCause, MediaRefusedError, RefusalReason

MAX_CANDIDATES: Final = 64
"""LiveKit has one for each address and protocol. Further ones are ignored."""
MAX_CANDIDATE_CHARACTERS: Final = 512
MAX_PING_SECONDS: Final = 60.0
CLIENT_PROTOCOL: Final = 16
"""The version of the client protocol that the exchange speaks."""
_DEFAULT_PING_SECONDS: Final = 5


class ExchangeState(StrEnum):
    """What an exchange waits for."""

    JOINING = "joining"
    TRACKS = "tracks"
    """The tracks of the publisher."""
    SECTIONS = "sections"
    """LiveKit asks for the media sections of the tracks that were subscribed to."""
    OFFERED = "offered"
    ANSWERED = "answered"
    FAILED = "failed"


_TIMEOUT_DETAILS: Final = {
    ExchangeState.JOINING: "LiveKit did not let the peer join in time",
    ExchangeState.TRACKS: "the publisher's media did not reach LiveKit in time",
    ExchangeState.SECTIONS: "LiveKit did not make the publisher's media ready in time",
    ExchangeState.OFFERED: "LiveKit did not answer the offer in time",
}


class _CandidateInit(msgspec.Struct, frozen=True):
    """RTCIceCandidateInit of the WebRTC API; the other members are not needed."""

    candidate: str = ""


class SignallingExchange:
    """What publishers and viewers have in common: joining, the answer, and what follows it."""

    def __init__(self, *, offer: str) -> None:
        """`offer` is the peer's SDP offer as LiveKit gets it."""
        self.state = ExchangeState.JOINING
        self.failure: MediaRefusedError | None = None
        """Why it is FAILED, or why the last restart failed."""
        self.end_cause: CloseCause | None = None
        """Why LiveKit ended the connection after it was answered; None while it has not said so."""
        self.participant_sid = ""
        """LiveKit's id of the participant, by which the websocket is opened again."""
        self.server_version = ""
        self.ping_interval_seconds: float = _DEFAULT_PING_SECONDS
        self._offer = offer
        self._offer_id = 1
        self._answer = ""
        self._candidates: list[str] = []
        self._former_candidates: list[str] = []
        self._has_all_candidates = False

    # The result

    @property
    def answer(self) -> str:
        """The SDP answer of the last offer, without the candidates that followed it."""
        return self._answer

    @property
    def candidates(self) -> Sequence[str]:
        """The candidates of the answer, as values of `a=` lines. After a restart without new ones, the former ones."""
        return tuple(self._candidates or self._former_candidates)

    @property
    def is_complete(self) -> bool:
        """Whether the answer and all of its candidates are here."""
        return self.state is ExchangeState.ANSWERED and self._has_all_candidates

    # Inputs

    def join_request(self) -> rtc.JoinRequest:
        """Return the message for the URL of the websocket."""
        return rtc.JoinRequest(
            client_info=models.ClientInfo(
                sdk=models.ClientInfo.SDK.UNKNOWN, protocol=CLIENT_PROTOCOL, version="stagebook"
            ),
            connection_settings=rtc.ConnectionSettings(auto_subscribe=False, adaptive_stream=False),
        )

    def rejoin_request(self) -> rtc.JoinRequest:
        """Return the message for the URL of a websocket that takes the place of a lost one."""
        request = SignallingExchange.join_request(self)
        request.reconnect = True
        request.participant_sid = self.participant_sid
        return request

    def receive(self, message: rtc.SignalResponse) -> list[rtc.SignalRequest]:
        """Take a message of LiveKit; return the messages to send."""
        return [] if self.state is ExchangeState.FAILED else self._take(message)

    def time_out(self) -> None:
        """The time for the current state is over. An answer is complete then; whatever else is missing is a failure."""
        if self.state is ExchangeState.ANSWERED:
            self._has_all_candidates = True
        elif self.state in _TIMEOUT_DETAILS:
            self._fail(RefusalReason.BUSY, _TIMEOUT_DETAILS[self.state])

    def lose_socket(self) -> None:
        """The websocket has ended. After the answer this has no effect: media continues."""
        if self.state is ExchangeState.ANSWERED:
            self._has_all_candidates = True
        elif self.state is not ExchangeState.FAILED:
            self._fail(RefusalReason.ENGINE_LOST, "LiveKit closed the signalling connection")

    def restart(self, offer: str) -> list[rtc.SignalRequest]:
        """Return the messages that send another offer of the same peer, with new ICE credentials."""
        self._offer = offer
        self._offer_id += 1
        self._former_candidates, self._candidates = list(self.candidates), []
        self._has_all_candidates = False
        self.failure = None
        return self._send_offer()

    def trickle(self, candidate: str) -> rtc.SignalRequest:
        """Return the message with a candidate of the peer. `candidate` is the value of its `a=` line."""
        init = json.dumps({"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})
        return rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit=init, target=rtc.SignalTarget.PUBLISHER))

    # Parts

    def _take(self, message: rtc.SignalResponse) -> list[rtc.SignalRequest]:
        """Take a message of an exchange that has not failed."""
        match message.WhichOneof("message"):
            case "join":
                return self._take_join(message.join)
            case "update":
                return self._updated(message.update.participants)
            case "answer":
                self._take_answer(message.answer)
            case "trickle":
                self._take_trickle(message.trickle)
            case "leave":
                self._take_leave(message.leave)
        return []

    def _send_offer(self) -> list[rtc.SignalRequest]:
        self.state = ExchangeState.OFFERED
        offer = rtc.SessionDescription(type="offer", sdp=self._offer, id=self._offer_id)
        return [rtc.SignalRequest(offer=offer)]

    def _fail(self, reason: RefusalReason, detail: str) -> None:
        # After a restart that fails, the former answer is still in force.
        self.state = ExchangeState.ANSWERED if self._answer else ExchangeState.FAILED
        self.failure = MediaRefusedError(reason=reason, detail=detail)

    def _joined(self, _join: rtc.JoinResponse) -> list[rtc.SignalRequest]:
        """Return the messages to send after joining, and set the next state."""
        raise NotImplementedError

    def _updated(self, _participants: Sequence[models.ParticipantInfo]) -> list[rtc.SignalRequest]:
        """Take what is known of participants; return the messages to send."""
        return []

    def _take_join(self, join: rtc.JoinResponse) -> list[rtc.SignalRequest]:
        self.participant_sid = join.participant.sid
        self.server_version = join.server_info.version or join.server_version
        wanted_seconds = join.ping_interval if join.ping_interval > 0 else _DEFAULT_PING_SECONDS
        self.ping_interval_seconds = min(wanted_seconds, MAX_PING_SECONDS)
        return self._joined(join) if self.state is ExchangeState.JOINING else []

    def _take_answer(self, answer: rtc.SessionDescription) -> None:
        if self.state is ExchangeState.OFFERED and answer.id in (0, self._offer_id):
            self._answer = answer.sdp
            self.state = ExchangeState.ANSWERED

    def _take_trickle(self, trickle: rtc.TrickleRequest) -> None:
        try:
            candidate = msgspec.json.decode(trickle.candidateInit or "{}", type=_CandidateInit).candidate
        except (msgspec.DecodeError, RecursionError):
            candidate = ""
        is_usable = 0 < len(candidate) <= MAX_CANDIDATE_CHARACTERS and candidate.isprintable()
        if is_usable and candidate not in self._candidates and len(self._candidates) < MAX_CANDIDATES:
            self._candidates.append(candidate)
        self._has_all_candidates = self._has_all_candidates or trickle.final

    def _take_leave(self, leave: rtc.LeaveRequest) -> None:
        if self.state is not ExchangeState.ANSWERED:
            # A later version may have reasons without a name here.
            names = {number: name for name, number in models.DisconnectReason.items()}
            reason = names.get(leave.reason, str(leave.reason))
            self._fail(RefusalReason.ENGINE_LOST, f"LiveKit ended the connection: {reason}")
        elif leave.action != rtc.LeaveRequest.Action.RESUME:
            self.end_cause = close_cause(leave.reason)
