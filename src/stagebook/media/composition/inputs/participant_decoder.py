"""Decodes the video and audio of one participant: H.264 or VP8, and Opus.

A decoding error ends nothing: the decoder begins anew with the next keyframe, and asks for one. What cannot be decoded
in time is dropped up to the next keyframe, so that a slow machine has a bounded backlog. Of pictures above 1080p only
keyframes are decoded, one a second: the compositor shows none of them, but has to know when they begin and end.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.composition.drawing.compositor import is_above_1080p
from stagebook.media.composition.inputs.decoding_threads import DecodingThread
from stagebook.media.tap.tapped_frame import TappedFrame

MAX_WAITING_PICTURES: Final = 60
"""Encoded pictures that wait for the decoder: 2 s. An encoder's GOP may come at once when a tap opens."""
MAX_WAITING_SOUND: Final = 100
_MAX_PIXELS: Final = 4096 * 2304
"""A picture of this size has 14 MB. Larger ones are refused before there is memory for them."""
_LARGE_INTERVAL_US: Final = 1_000_000
"""The least time from a picture above 1080p to the next one that is decoded: they cost the participants that share the
thread."""
_DECODERS: Final = {Codec.H264: "h264", Codec.VP8: "vp8"}
_SAMPLE_RATE: Final = 48_000


class DecodedMedia(Protocol):
    """Takes what is decoded, on the decoding thread."""

    def take_picture(self, participant_id: str, picture: VideoFrame, time_us: int) -> None:
        """The next picture."""

    def take_sound(self, participant_id: str, samples: NDArray[np.int16], time_us: int) -> None:
        """The next samples, of the shape (count, 2)."""


class ParticipantDecoder:
    """The decoders of one participant. `receive` is called on the event loop."""

    def __init__(
        self,
        participant_id: str,
        *,
        thread: DecodingThread,
        media: DecodedMedia,
        request_keyframe: Callable[[], None],
    ) -> None:
        """`request_keyframe` is called on any thread, maybe often."""
        self._participant_id = participant_id
        self._thread = thread
        self._media = media
        self._request_keyframe = request_keyframe
        self._awaits_keyframe = True
        self._waiting_pictures = self._waiting_sound = 0
        self._video: VideoCodecContext | None = None
        self._video_codec: Codec | None = None
        self._has_failed = False
        """Set on the decoding thread: the next picture to decode is a keyframe."""
        self._is_above_1080p = False
        """Whether the last picture was; set and read on the decoding thread, as the next one."""
        self._large_us = 0
        """The time of the last one that was."""
        self._audio: AudioCodecContext | None = None
        self.shows_video = True
        """Whether pictures are decoded: not those of a participant without a tile, unless it has stopped its video."""

    @property
    def thread(self) -> DecodingThread:
        """The thread that it decodes on."""
        return self._thread

    def receive(self, frame: TappedFrame) -> None:
        """Take a frame of the tap."""
        if frame.kind is MediaKind.AUDIO:
            if self._waiting_sound < MAX_WAITING_SOUND:
                self._waiting_sound += 1
                self._thread.submit(lambda: self._decode_sound(frame))
        elif self._admits(frame):
            self._waiting_pictures += 1
            self._thread.submit(lambda: self._decode_picture(frame))

    def _admits(self, frame: TappedFrame) -> bool:
        if not self.shows_video or self._waiting_pictures >= MAX_WAITING_PICTURES or self._has_failed:
            self._awaits_keyframe, self._has_failed = True, False
        if frame.is_keyframe and self.shows_video and self._waiting_pictures < MAX_WAITING_PICTURES:
            self._awaits_keyframe = False
        elif (frame.is_after_loss or frame.is_new_stream) and not frame.is_keyframe:
            self._awaits_keyframe = True
        if self._awaits_keyframe and self.shows_video:
            self._request_keyframe()
        return not self._awaits_keyframe

    def _decode_picture(self, frame: TappedFrame) -> None:
        self._waiting_pictures -= 1
        if (self._has_failed or self._is_above_1080p) and not frame.is_keyframe:
            return
        if self._is_above_1080p and frame.time_us - self._large_us < _LARGE_INTERVAL_US:
            # It may be a smaller one: another keyframe is requested.
            self._has_failed |= frame.is_new_stream
            return
        if frame.is_new_stream or frame.codec is not self._video_codec:
            self._video, self._video_codec = None, frame.codec
        if self._video is None:
            self._video = _make_video_decoder(frame.codec)
        packet = av.Packet(frame.body)
        packet.pts = packet.dts = frame.time_us
        try:
            pictures = self._video.decode(packet)
        except av.FFmpegError:
            self._video, self._has_failed = None, True
            self._request_keyframe()
            return
        for picture in pictures:
            self._is_above_1080p = is_above_1080p(picture.width, picture.height)
            self._large_us = frame.time_us if self._is_above_1080p else 0
            time_us = frame.time_us if picture.pts is None else picture.pts
            self._media.take_picture(self._participant_id, picture, time_us)

    def _decode_sound(self, frame: TappedFrame) -> None:
        self._waiting_sound -= 1
        if self._audio is None or frame.is_new_stream:
            self._audio = _make_audio_decoder()
        try:
            decoded = self._audio.decode(av.Packet(frame.body))
        except av.FFmpegError:
            return
        time_us = frame.time_us
        for sound in decoded:
            samples: NDArray[Any] = sound.to_ndarray().reshape(-1, 2)
            self._media.take_sound(self._participant_id, samples, time_us)
            time_us += len(samples) * 1_000_000 // _SAMPLE_RATE


def _make_video_decoder(codec: Codec) -> VideoCodecContext:
    context = cast("VideoCodecContext", av.CodecContext.create(_DECODERS[codec], "r"))
    # One thread, and each picture at once: frame threads would delay the pictures by one each.
    context.thread_count = 1
    context.options = {"flags": "low_delay", "max_pixels": str(_MAX_PIXELS)}
    return context


def _make_audio_decoder() -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "r")
    context.sample_rate, context.layout = _SAMPLE_RATE, "stereo"
    context.thread_count = 1
    return context
