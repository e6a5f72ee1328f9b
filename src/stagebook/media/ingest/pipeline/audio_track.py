"""One encoder's AAC as Opus packets whose timestamps never decrease.

A message holds one raw AAC frame, or ADTS frames, whose header replaces a missing AudioSpecificConfig (`adts`).

The track limits what a faulty or malicious encoder can cause: the size of a frame, the number of frames that cannot be
decoded, and the number of configurations, each of which needs a new decoder and encoder.
"""

from collections import deque
from typing import TYPE_CHECKING

from stagebook.media.codecs.aac import parse_audio_specific_config
from stagebook.media.codecs.adts import begins_with_adts, split_adts
from stagebook.media.codecs.input_fault import invalid_input

if TYPE_CHECKING:
    from stagebook.media.ingest.pipeline.aac_to_opus import AacToOpus, OpusPacket

MAX_BROKEN_FRAMES = 10
BROKEN_FRAMES_WINDOW = 500
"""In frames: at least ten seconds. A single frame that cannot be decoded is an audible click; this many mean that the
data is not AAC."""
MAX_FRAME_BYTES = 8_191
"""The maximum of an ADTS frame (ISO/IEC 14496-3, 1.A.3.2), and five times the maximum of AAC-LC with two channels
(6,144 bits per channel). FFmpeg's decoder would treat a longer packet as thousands of frames and allocate the samples
of all of them at once."""
MAX_CONFIGURATIONS = 20
"""Changes of the configuration in one stream."""
_FRAME_SAMPLES = 1_024
"""Of AAC-LC without frameLengthFlag (ISO/IEC 14496-3 section 4.5.1.1), as in every ADTS frame."""


class AudioTrack:
    """Processes configurations and frames in the order in which they arrive."""

    def __init__(self) -> None:
        self._description = b""
        self._frame_ms = 0.0
        """The duration of a frame of the current configuration."""
        self._is_configured_by_adts = False
        self._configurations = 0
        self._transcoder: AacToOpus | None = None
        self._end = 0
        """The tick at which the last returned packet ends."""
        self._frames = 0
        self.broken_frames = 0
        """All frames that could not be decoded."""
        self._broken_frames: deque[int] = deque(maxlen=MAX_BROKEN_FRAMES)
        """The numbers of the last frames that could not be decoded."""

    @property
    def is_configured(self) -> bool:
        """Whether a configuration was received."""
        return self._transcoder is not None

    def configure(self, description: bytes) -> None:
        """Apply an AudioSpecificConfig. A repetition of the current one has no effect. Raises InputFaultError."""
        self._is_configured_by_adts = False
        if self._transcoder is not None and description == self._description:
            return
        configuration = parse_audio_specific_config(description)
        self._configurations += 1
        if self._configurations > MAX_CONFIGURATIONS:
            raise invalid_input(
                f"the audio changed more than {MAX_CONFIGURATIONS} times; encoders keep to one configuration"
            )
        # Importing PyAV takes hundreds of milliseconds. A process without AAC streams does not need it.
        from stagebook.media.ingest.pipeline.aac_to_opus import AacToOpus

        self._transcoder = AacToOpus(configuration)
        self._description = description
        self._frame_ms = _FRAME_SAMPLES * 1_000 / configuration.sampling_rate

    def read_frames(self, body: bytes) -> list[tuple[float, bytes]]:
        """Return the raw AAC frames of a message, each with its distance from the message's timestamp in milliseconds.

        The header of an ADTS frame configures the track if no AudioSpecificConfig has. Otherwise that one counts, since
        it says more. Raises InputFaultError; if its fault is INPUT, the caller may continue with `count_broken_frame`.
        """
        if not begins_with_adts(body):
            _check_size(body)
            return [(0.0, body)]
        frames = split_adts(body)
        # Without this condition, an encoder that sends both, and whose headers differ from its AudioSpecificConfig,
        # would make a new decoder for every frame.
        if frames and (self._transcoder is None or self._is_configured_by_adts):
            self.configure(frames[0].description)
            self._is_configured_by_adts = True
        frame_ms = self._frame_ms
        return [(number * frame_ms, frame.body) for number, frame in enumerate(frames)]

    def transcode(self, frame: bytes, *, timestamp_ms: int) -> "list[OpusPacket]":
        """Transcode one raw AAC frame. Returns the Opus packets that it completes, each at least 20 ms after the last.

        Before the first configuration it returns nothing. Raises InputFaultError.
        """
        from stagebook.media.ingest.pipeline.aac_to_opus import PACKET_TICKS, BrokenFrameError

        if self._transcoder is None:
            return []
        _check_size(frame)
        self._frames += 1
        try:
            packets = self._transcoder.transcode(frame, timestamp_ms=timestamp_ms)
        except BrokenFrameError:
            self.count_broken_frame()
            return []
        # Packets before tick 0 are the silence of the encoder's priming. After a change of the configuration, the first
        # packets may overlap the last ones of the old configuration.
        packets = [packet for packet in packets if packet.timestamp >= self._end]
        if packets:
            self._end = packets[-1].timestamp + PACKET_TICKS
        return packets

    def count_broken_frame(self) -> None:
        """Count a frame that cannot be decoded. Raises InputFaultError (INPUT) if there are too many."""
        self.broken_frames += 1
        self._broken_frames.append(self._frames)
        if len(self._broken_frames) == MAX_BROKEN_FRAMES:
            window = self._frames - self._broken_frames[0]
            if window < BROKEN_FRAMES_WINDOW:
                raise invalid_input(
                    f"the audio is malformed: {MAX_BROKEN_FRAMES} of {window + 1} AAC frames cannot be decoded"
                )


def _check_size(frame: bytes) -> None:
    if len(frame) > MAX_FRAME_BYTES:
        raise invalid_input(f"an AAC frame has {len(frame)} bytes; at most {MAX_FRAME_BYTES} are allowed")
