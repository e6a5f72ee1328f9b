"""A process that records taps, for tests: a TapReceiver in the test's process, and what its listener heard."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from random import Random

from stagebook.media.media_bus import FeedTicket
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.tap.tapped_frame import TappedFrame


class RecordedTaps:
    """The listener of all taps of a test."""

    def __init__(self, receiver: TapReceiver) -> None:
        self.receiver = receiver
        self.frames: dict[str, list[TappedFrame]] = {}
        self.ended: list[str] = []
        self.ends_us: dict[str, int | None] = {}
        """Where the media of taps that have ended ends."""

    async def accept(self, description: SourceDescription) -> FeedTicket:
        """Accept the next tap, whose id is its number: 0, 1, ..."""
        tap_id = str(len(self.frames))
        self.frames[tap_id] = []
        return self.receiver.accept(tap_id, description, self)

    @property
    def are_connected(self) -> bool:
        """Whether engines have connected to all taps."""
        return all(tap.reply is not None for tap in self.receiver._taps.values())

    def frame_received(self, tap_id: str, frame: TappedFrame) -> None:
        self.frames[tap_id].append(frame)

    def tap_ended(self, tap_id: str, end_us: int | None) -> None:
        self.ended.append(tap_id)
        self.ends_us[tap_id] = end_us


@contextlib.asynccontextmanager
async def recorded_taps() -> AsyncIterator[RecordedTaps]:
    """Run a TapReceiver."""
    receiver = TapReceiver(clock=time.monotonic, randomness=Random(1))
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        await receiver.start(directory)
        try:
            yield RecordedTaps(receiver)
        finally:
            await receiver.stop()
