"""An RTMP encoder without media: what it does passes through the stage manager by the facts of a real encoder."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from stagebook.testing.codes import ErrorCodeText, RecordingErrorText
from stagebook.testing.reported_event import EventsAnswer, ReportedEvent
from stagebook.testing.testing_calls import ControlCalls, path_of


class EncoderAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the testing API says about an encoder, after an action also the events that it has made."""

    id: str
    participant_id: str
    stage_arn: str
    stream_key: str
    ingest_configuration_arn: str
    is_publishing: bool
    session_id: str | None = None
    left_cause: str | None = None
    events: tuple[ReportedEvent, ...] = ()


class StageEncoder:
    """One encoder with a stream key. Every action returns the events that it made, oldest first."""

    def __init__(self, calls: ControlCalls, described: EncoderAnswer) -> None:
        self._calls = calls
        self._handle = described.id
        self.participant_id = described.participant_id
        self.stage_arn = described.stage_arn
        self.stream_key = described.stream_key

    def __repr__(self) -> str:
        return f"StageEncoder({self.participant_id!r} on {self.stage_arn!r})"

    @property
    def now(self) -> EncoderAnswer:
        """What the encoder is doing."""
        return self._calls.get(path_of("encoders", self._handle), EncoderAnswer)

    @property
    def session_id(self) -> str | None:
        """The stage session of the encoder's newest event; None before it has one."""
        return self.now.session_id

    @property
    def events(self) -> Sequence[ReportedEvent]:
        """The events of the encoder in its session, oldest first, at most the newest 1,000."""
        return self._calls.get(path_of("encoders", self._handle, "events"), EventsAnswer).events

    def publish(self) -> Sequence[ReportedEvent]:
        """Connect and publish: JOINED and PUBLISH_STARTED."""
        return self._act("publish")

    def fail_publish(self, error_code: ErrorCodeText) -> Sequence[ReportedEvent]:
        """Send what the server refuses with this code: PUBLISH_ERROR."""
        return self._act("fail-publish", errorCode=error_code)

    def fail_recording(
        self, error_code: RecordingErrorText, *, at: Literal["start", "end"] | None = None
    ) -> Sequence[ReportedEvent]:
        """Let its recording fail: RECORDING_END_FAILED of one that runs, or else RECORDING_START_FAILED.

        `at` says which of the two; `at="end"` publishes first, if necessary. The stage must be one that records.
        """
        return self._act("fail-recording", errorCode=error_code, at=at)

    def lose_connection(self) -> Sequence[ReportedEvent]:
        """Vanish from the network."""
        return self._act("lose-connection")

    def stop(self) -> Sequence[ReportedEvent]:
        """Stop publishing: PUBLISH_STOPPED and LEFT."""
        return self._act("stop")

    def _act(self, action: str, **members: object) -> Sequence[ReportedEvent]:
        return self._calls.post(path_of("encoders", self._handle, action), EncoderAnswer, **members).events
