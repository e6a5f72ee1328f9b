"""A participant without media: what it does passes through the stage manager by the facts of a real participant.

So events, lists, webhooks and websockets are the real thing; only the packets are missing.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from stagebook.testing.codes import ErrorCodeText, RecordingErrorText
from stagebook.testing.reported_event import EventsAnswer, ReportedEvent
from stagebook.testing.stage_encoder import StageEncoder
from stagebook.testing.testing_calls import ControlCalls, path_of


class ParticipantAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the testing API says about a participant, after an action also the events that it has made."""

    id: str
    participant_id: str
    stage_arn: str
    user_id: str
    attributes: dict[str, str]
    capabilities: tuple[str, ...]
    token: str
    is_publishing: bool
    has_joined: bool
    subscribed_to: tuple[str, ...] = ()
    session_id: str | None = None
    left_cause: str | None = None
    events: tuple[ReportedEvent, ...] = ()


class StageParticipant:
    """One participant. Every action returns the events that it made, oldest first, once they are in the book.

    An action that the server refuses raises CallRefusedError. `participant_id` and `stage_arn` are those of its token.
    """

    def __init__(self, calls: ControlCalls, described: ParticipantAnswer) -> None:
        self._calls = calls
        self._handle = described.id
        self.participant_id = described.participant_id
        self.stage_arn = described.stage_arn

    def __repr__(self) -> str:
        return f"StageParticipant({self.participant_id!r} on {self.stage_arn!r})"

    @property
    def now(self) -> ParticipantAnswer:
        """What the participant is doing: `now.token`, `now.is_publishing`, `now.subscribed_to`, `now.left_cause` ..."""
        return self._calls.get(path_of("participants", self._handle), ParticipantAnswer)

    @property
    def token(self) -> str:
        """The token in effect, with which a real client could join as this participant."""
        return self.now.token

    @property
    def session_id(self) -> str | None:
        """The stage session of the participant's newest event; None before it has one."""
        return self.now.session_id

    @property
    def events(self) -> Sequence[ReportedEvent]:
        """The events of the participant in its session, oldest first, at most the newest 1,000."""
        return self._calls.get(path_of("participants", self._handle, "events"), EventsAnswer).events

    def join(self) -> Sequence[ReportedEvent]:
        """Join the stage: JOINED. Publishing or subscribing joins as well."""
        return self._act("join")

    def publish(self) -> Sequence[ReportedEvent]:
        """Start to publish: PUBLISH_STARTED."""
        return self._act("publish")

    def unpublish(self) -> Sequence[ReportedEvent]:
        """Stop publishing: PUBLISH_STOPPED. Each viewer has a SUBSCRIBE_STOPPED, which is not in the result."""
        return self._act("unpublish")

    def subscribe(self, to: "Peer") -> Sequence[ReportedEvent]:
        """Start to watch a publisher: SUBSCRIBE_STARTED. `to` is a participant, an encoder, or an id of one."""
        return self._act("subscribe", to=peer_id(to))

    def unsubscribe(self, to: "Peer") -> Sequence[ReportedEvent]:
        """Stop watching a publisher: SUBSCRIBE_STOPPED."""
        return self._act("unsubscribe", to=peer_id(to))

    def fail_publish(self, error_code: ErrorCodeText) -> Sequence[ReportedEvent]:
        """Fail to publish, or be stopped while publishing: PUBLISH_ERROR with this code."""
        return self._act("fail-publish", errorCode=error_code)

    def fail_subscribe(self, error_code: ErrorCodeText, to: "Peer | None" = None) -> Sequence[ReportedEvent]:
        """Fail to watch a publisher: SUBSCRIBE_ERROR with this code."""
        return self._act("fail-subscribe", errorCode=error_code, to=None if to is None else peer_id(to))

    def fail_join(self, error_code: ErrorCodeText) -> Sequence[ReportedEvent]:
        """Fail to join: JOIN_ERROR with this code."""
        return self._act("fail-join", errorCode=error_code)

    def fail_recording(
        self, error_code: RecordingErrorText, *, at: Literal["start", "end"] | None = None
    ) -> Sequence[ReportedEvent]:
        """Let its recording fail: RECORDING_END_FAILED of one that runs, or else RECORDING_START_FAILED.

        `at` says which of the two; `at="end"` publishes first, if necessary. The stage must be one that records.
        """
        return self._act("fail-recording", errorCode=error_code, at=at)

    def lose_connection(self) -> Sequence[ReportedEvent]:
        """Vanish from the network: what was open stops, and LEFT follows, with the cause of a lost peer."""
        return self._act("lose-connection")

    def exchange_token(
        self,
        token: str | None = None,
        *,
        user_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        capabilities: Sequence[str] | None = None,
        duration_minutes: int | None = None,
    ) -> Sequence[ReportedEvent]:
        """Replace the token: TOKEN_EXCHANGED. Give the new token, or what shall be different in it.

        A token that was made by CreateParticipantToken cannot be exchanged, as with AWS.
        """
        return self._act(
            "exchange-token",
            token=token,
            userId=user_id,
            attributes=None if attributes is None else dict(attributes),
            capabilities=None if capabilities is None else list(capabilities),
            durationMinutes=duration_minutes,
        )

    def mute(self, *, audio: bool | None = None, video: bool | None = None) -> Sequence[ReportedEvent]:
        """Say that the audio is muted or the video stopped, or no longer. Watchers are shown it; it makes no event."""
        return self._act("mute", audioMuted=audio, videoStopped=video)

    def leave(self) -> Sequence[ReportedEvent]:
        """Leave the stage: what was open stops, then LEFT."""
        return self._act("leave")

    def _act(self, action: str, **members: object) -> Sequence[ReportedEvent]:
        return self._calls.post(path_of("participants", self._handle, action), ParticipantAnswer, **members).events


Peer: TypeAlias = StageParticipant | StageEncoder | str
"""A publisher: one of this package, or a participant id."""


def peer_id(peer: Peer) -> str:
    """Return the participant id of a publisher."""
    return peer if isinstance(peer, str) else peer.participant_id
