"""The taps of the recordings in the recorder process: at most one of each recording, read to its end.

When the publisher of a recording stops, what its engine has received may still be on its way to this process. So a tap
is drained before its part ends (`tap_receiver`): `finish` calls back once everything is handed on. A publisher that has
returned meanwhile gets its tap after that, because the frames of a recording must come in their order.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from stagebook.media.port import RefusalReason
from stagebook.media.recording.processes.recorder_messages import AcceptTapRequest, TapAccepted
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.media.worker.worker_messages import RequestRefused


class TappedRecordings(Protocol):
    """What the frames are recorded by."""

    def takes_media(self, recording_id: str) -> bool:
        """Whether a recording takes frames."""

    def record(self, recording_id: str, frame: TappedFrame) -> None:
        """Record the next frame of a recording."""

    def fill_until(self, recording_id: str, source_us: int) -> None:
        """The source has sent media up to this time (`TapListener.tap_ended`)."""

    def tap_lost(self, recording_id: str) -> None:
        """The tap of a recording has ended, although its part has not."""


class RecordingTaps:
    """All taps of the process. It is their listener."""

    def __init__(
        self,
        receiver: TapReceiver,
        *,
        recordings: TappedRecordings,
        reply: Callable[[TapAccepted | RequestRefused], None],
    ) -> None:
        """`reply` sends the answer to an AcceptTapRequest."""
        self._receiver = receiver
        self._recordings = recordings
        self._reply = reply
        self._last_tap = 0
        self._tap_ids: dict[str, str] = {}
        """The open tap of a recording."""
        self._recording_ids: dict[str, str] = {}
        """The recording of an open tap."""
        self._finishing: dict[str, Callable[[], None]] = {}
        """What follows the end of a tap that is drained, by recording."""
        self._postponed: dict[str, AcceptTapRequest] = {}
        """Requests for recordings whose last tap is drained."""
        self._is_drained = asyncio.Event()

    def accept(self, request: AcceptTapRequest) -> None:
        """Accept a tap for the recording that the request names, and close the one that it has."""
        recording_id = request.connection_id
        if recording_id in self._finishing:
            self._refuse_postponed(recording_id)
            self._postponed[recording_id] = request
            return
        self.close(recording_id)
        if not self._recordings.takes_media(recording_id):
            self._reply(_refusal(request))
            return
        self._last_tap += 1
        tap_id = str(self._last_tap)
        ticket = self._receiver.accept(tap_id, request.description, self)
        self._tap_ids[recording_id], self._recording_ids[tap_id] = tap_id, recording_id
        self._reply(TapAccepted(request_id=request.request_id, ticket=ticket))

    def finish(self, recording_id: str, then: Callable[[], None]) -> None:
        """Read the tap of a recording to its end, close it, and call `then`. A `then` of a former call that was not
        called yet is replaced."""
        self._refuse_postponed(recording_id)
        tap_id = self._tap_ids.get(recording_id)
        if tap_id is None:
            then()
            return
        self._finishing[recording_id] = then
        self._receiver.drain(tap_id)

    async def drained(self) -> None:
        """Wait until every tap has ended for which `finish` was called. `tap_receiver` bounds the time."""
        while self._finishing:
            self._is_drained.clear()
            await self._is_drained.wait()

    def close(self, recording_id: str) -> None:
        """Close the tap of a recording at once. What `finish` was to call is not called."""
        self._refuse_postponed(recording_id)
        tap_id = self._tap_ids.pop(recording_id, None)
        if tap_id is not None:
            del self._recording_ids[tap_id]
            self._receiver.close(tap_id)
        if self._finishing.pop(recording_id, None) is not None:
            self._is_drained.set()

    def request_keyframe(self, recording_id: str) -> None:
        """Request a keyframe of what is recorded."""
        tap_id = self._tap_ids.get(recording_id)
        if tap_id is not None:
            self._receiver.request_keyframe(tap_id)

    # TapListener

    def frame_received(self, tap_id: str, frame: TappedFrame) -> None:
        """As TapListener.frame_received."""
        self._recordings.record(self._recording_ids[tap_id], frame)

    def tap_ended(self, tap_id: str, end_us: int | None) -> None:
        """As TapListener.tap_ended."""
        recording_id = self._recording_ids.pop(tap_id)
        del self._tap_ids[recording_id]
        if end_us is not None:
            self._recordings.fill_until(recording_id, end_us)
        then = self._finishing.pop(recording_id, None)
        if then is None:
            self._recordings.tap_lost(recording_id)
            return
        self._is_drained.set()
        then()
        if request := self._postponed.pop(recording_id, None):
            self.accept(request)

    def _refuse_postponed(self, recording_id: str) -> None:
        if request := self._postponed.pop(recording_id, None):
            self._reply(_refusal(request))


def _refusal(request: AcceptTapRequest) -> RequestRefused:
    return RequestRefused(
        request_id=request.request_id,
        reason=RefusalReason.UNKNOWN_CONNECTION,
        detail="the recording takes no media",
    )
