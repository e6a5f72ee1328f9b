"""What a process that records or composes does with the frames of its taps."""

from typing import Protocol

from stagebook.media.tap.tapped_frame import TappedFrame


class TapListener(Protocol):
    """Receives the frames of a tap. It is called on the event loop of the `TapReceiver`, and must not wait."""

    def frame_received(self, tap_id: str, frame: TappedFrame) -> None:
        """The source's next frame of its kind. Audio and video come in the order in which they are complete."""

    def tap_ended(self, tap_id: str, end_us: int | None) -> None:
        """The source has ended, its engine is gone, this process has not read fast enough, or `TapReceiver.drain` is
        done. Called once, after the last frame, and not after `TapReceiver.close`. The tap is closed.

        `end_us` is the time of the newest media that has come, on the timeline of its frames: also of what was lost, or
        cannot be decoded. None if nothing has come."""
