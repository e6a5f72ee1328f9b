"""One encoder's audio, message by message: from AAC to Opus packets whose timestamps never step back.

Bounds what a broken encoder can do; the codec's work is done elsewhere.
"""

from collections import deque
from typing import TYPE_CHECKING

from stagebook.media.codecs.aac import parse_audio_specific_config
from stagebook.media.codecs.input_fault import invalid_input

if TYPE_CHECKING:
    from stagebook.media.ingest.pipeline.aac_to_opus import AacToOpus, OpusPacket

MAX_BROKEN_FRAMES = 10
BROKEN_FRAMES_WINDOW = 500
"""Frames: ten seconds or more. One broken frame is a click; this many of them are no AAC."""
MAX_FRAME_BYTES = 8_191
"""More than ADTS can hold (ISO/IEC 14496-3, 1.A.3.2), and five times what two channels of AAC-LC may have (6,144 bits
each). The decoder takes a longer message for thousands of frames, and makes samples of all of them at once."""
MAX_CONFIGURATIONS = 20
"""Different ones in one stream: each costs a decoder and an encoder."""


class AudioTrack:
    """Takes configurations and frames in the order in which they come."""

    def __init__(self) -> None:
        self._description = b""
        self._configurations = 0
        self._transcoder: AacToOpus | None = None
        self._end = 0
        self._frames = 0
        self._broken_frames: deque[int] = deque(maxlen=MAX_BROKEN_FRAMES)

    @property
    def is_configured(self) -> bool:
        """Whether a configuration came."""
        return self._transcoder is not None

    def configure(self, description: bytes) -> None:
        """Take an AudioSpecificConfig. The one that is in force already changes nothing. Raises InputFaultError."""
        if self._transcoder is not None and description == self._description:
            return
        configuration = parse_audio_specific_config(description)
        self._configurations += 1
        if self._configurations > MAX_CONFIGURATIONS:
            raise invalid_input(
                f"the audio changed more than {MAX_CONFIGURATIONS} times; encoders keep to one configuration"
            )
        # FFmpeg's libraries take a while to load: only who sends AAC waits for them.
        from stagebook.media.ingest.pipeline.aac_to_opus import AacToOpus

        self._transcoder = AacToOpus(configuration)
        self._description = description

    def frame(self, data: bytes, *, timestamp_ms: int) -> "list[OpusPacket]":
        """Take one raw AAC frame; give the Opus packets that it completes, each 20 ms or more after the last.

        None come before a configuration. Raises InputFaultError.
        """
        from stagebook.media.ingest.pipeline.aac_to_opus import PACKET_TICKS, BrokenFrameError

        if self._transcoder is None:
            return []
        if len(data) > MAX_FRAME_BYTES:
            raise invalid_input(f"an AAC frame has {len(data)} bytes; at most {MAX_FRAME_BYTES} are taken")
        self._frames += 1
        try:
            packets = self._transcoder.transcode(data, timestamp_ms=timestamp_ms)
        except BrokenFrameError:
            self._count_broken_frame()
            return []
        # Before zero lies the silence with which an encoder starts; a new configuration may overlap the old one's end.
        packets = [packet for packet in packets if packet.timestamp >= self._end]
        if packets:
            self._end = packets[-1].timestamp + PACKET_TICKS
        return packets

    def _count_broken_frame(self) -> None:
        self._broken_frames.append(self._frames)
        if len(self._broken_frames) == MAX_BROKEN_FRAMES:
            window = self._frames - self._broken_frames[0]
            if window < BROKEN_FRAMES_WINDOW:
                raise invalid_input(
                    f"the audio is garbage: {MAX_BROKEN_FRAMES} of {window + 1} AAC frames cannot be decoded"
                )
