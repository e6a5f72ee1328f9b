"""One program: a canvas, its pictures and sound, and their encoders, on a thread of its own.

    decoding threads -- pictures, samples --> queues -> Compositor, AudioMixer --> x264, AAC --> `deliver`
    event loop ------- participants -------->

The thread waits for the next frame of the `OutputClock`, takes what is new, mixes the sound up to the time of
the frame, draws, encodes, and hands the packets over. It never waits for a participant or an output. The libraries
release Python's interpreter lock in their work, so that decoders and programs run side by side.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np
import structlog
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stagebook.media.composition.composition_port import CanvasSettings, ComposedParticipant
from stagebook.media.composition.drawing.compositor import Compositor
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket, StreamFormat
from stagebook.media.composition.encoding.picture_encoder import PictureEncoder, exact_frame_rate
from stagebook.media.composition.encoding.sound_encoder import AUDIO_BITRATE_BPS, FRAME_SAMPLES, SoundEncoder
from stagebook.media.composition.layout.layout_settings import Layout
from stagebook.media.composition.mixing.audio_mixer import AudioMixer
from stagebook.media.composition.program.output_clock import OutputClock
from stagebook.media.recording.hls.encoded_media import SAMPLES_PER_SECOND

MAX_NEW_PICTURES: Final = 64
MAX_NEW_SOUNDS: Final = 1_000
"""What may wait for the next frame; the oldest is dropped. A picture of 1080p has 3 MB."""
_STOP_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class _Picture(msgspec.Struct, frozen=True, gc=False):
    participant_id: str
    picture: VideoFrame
    time_us: int


class _Sound(msgspec.Struct, frozen=True, gc=False):
    participant_id: str
    samples: NDArray[np.int16]
    time_us: int


class ComposedProgram:
    """The packets of one canvas. `take_picture`, `take_sound` and `show` may be called on any thread."""

    def __init__(
        self,
        canvas: CanvasSettings,
        layout: Layout,
        *,
        keyframe_interval: Fraction,
        deliver: Callable[[list[EncodedPacket]], None],
        on_heights: Callable[[Mapping[str, int]], None],
        on_failure: Callable[[], None],
    ) -> None:
        """The callables are called on the program's thread: `on_heights` when the heights of the tiles have changed
        (`Compositor.wanted_heights`), `on_failure` when the program has failed."""
        self._compositor = Compositor(canvas, layout)
        self._mixer = AudioMixer()
        self._pictures = PictureEncoder(canvas, keyframe_interval=keyframe_interval)
        self._sound = SoundEncoder()
        self.clock = OutputClock(exact_frame_rate(canvas.frames_per_second))
        self._deliver = deliver
        self._on_heights = on_heights
        self._on_failure = on_failure
        self._new_pictures: deque[_Picture] = deque(maxlen=MAX_NEW_PICTURES)
        self._new_sounds: deque[_Sound] = deque(maxlen=MAX_NEW_SOUNDS)
        self._participants: tuple[ComposedParticipant, ...] | None = None
        """The participants to show from the next frame on; None if they have not changed."""
        self._heights: Mapping[str, int] = {}
        self._frame: VideoFrame | None = None
        self._mixed_samples = 0
        self.started_ms = 0
        """The wall-clock time of the first frame, in milliseconds since the epoch. 0 before it is made."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="program", daemon=True)
        self.stream_format = StreamFormat(
            width=canvas.width,
            height=canvas.height,
            frames_per_second=canvas.frames_per_second,
            video_bitrate_bps=canvas.bitrate_bps,
            audio_bitrate_bps=AUDIO_BITRATE_BPS,
            audio_description=self._sound.description,
        )

    def start(self) -> None:
        """Begin with the first frame."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. Blocks for the rest of a frame."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def show(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """Draw and mix these participants from the next frame on."""
        self._participants = participants

    def take_picture(self, participant_id: str, picture: VideoFrame, time_us: int) -> None:
        """Take a decoded picture, as DecodedMedia.take_picture says."""
        self._new_pictures.append(_Picture(participant_id, picture, time_us))

    def take_sound(self, participant_id: str, samples: NDArray[np.int16], time_us: int) -> None:
        """Take decoded sound, as DecodedMedia.take_sound says."""
        self._new_sounds.append(_Sound(participant_id, samples, time_us))

    def _run(self) -> None:
        started, self.started_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            while not self._stopping.wait(max(0.0, started + self.clock.due_seconds() - time.monotonic())):
                self._make_frame(time.monotonic() - started)
            self._end_sound()
        except Exception:  # noqa: BLE001 - the thread ends, and the composition with it
            _log.exception("a composition failed")
            self._on_failure()
        if self.clock.repeated_frames or self.clock.omitted_frames:
            _log.warning(
                "the machine was too slow for a composition",
                repeated_frames=self.clock.repeated_frames,
                omitted_frames=self.clock.omitted_frames,
            )

    def _make_frame(self, now_seconds: float) -> None:
        # A change of the participants is drawn even if the frame is late: it does not wait for a frame that is on time.
        has_changed = self._take_inputs()
        step = self.clock.step(now_seconds)
        packets = self._mix_before(step.number)
        if self._frame is None or has_changed or not step.repeats:
            self._frame = self._compositor.draw(self._mixer.played_us())
            self._tell_heights()
        packets += self._pictures.encode(self._frame, number=step.number)
        self._deliver(packets)

    def _mix_before(self, number: int) -> list[EncodedPacket]:
        """Encode the sound up to the time of a frame."""
        packets: list[EncodedPacket] = []
        due_samples = self.clock.due_samples(number, samples_per_second=SAMPLES_PER_SECOND)
        while self._mixed_samples + FRAME_SAMPLES <= due_samples:
            packets += self._sound.encode(self._mixer.mix(FRAME_SAMPLES).T)
            self._mixed_samples += FRAME_SAMPLES
        return packets

    def _end_sound(self) -> None:
        """Let the sound last as long as the last picture."""
        self._deliver([*self._mix_before(self.clock.next_number), *self._sound.flush()])

    def _take_inputs(self) -> bool:
        """Take what is new. Returns whether the participants have changed."""
        participants, self._participants = self._participants, None
        if participants is not None:
            self._compositor.show_participants(participants)
            self._mixer.show_participants(participants)
        # What is added meanwhile is for the next frame.
        for _ in range(len(self._new_pictures)):
            picture = self._new_pictures.popleft()
            self._compositor.receive_picture(picture.participant_id, picture.picture, picture.time_us)
        for _ in range(len(self._new_sounds)):
            sound = self._new_sounds.popleft()
            self._mixer.receive(sound.participant_id, sound.samples, sound.time_us)
        return participants is not None

    def _tell_heights(self) -> None:
        heights = self._compositor.wanted_heights()
        if heights != self._heights:
            self._heights = heights
            self._on_heights(heights)
