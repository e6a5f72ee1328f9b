"""AAC to Opus, by FFmpeg's libraries. The only module that knows PyAV: whoever needs it imports it late.

Time goes in by milliseconds and comes out by samples: see AudioClock. Where the encoder's clock and its sample count
differ, the resampler stretches or squeezes what it makes by up to half a percent (libswresample, swr_next_pts), so that
the Opus packets stay 20 ms apart without a click.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
import msgspec
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.filter import Graph

from stagebook.media.codecs.aac import AacConfiguration
from stagebook.media.codecs.input_fault import unsupported_audio
from stagebook.media.ingest.pipeline.audio_clock import AudioClock

BITRATE_BPS = 128_000
PACKET_TICKS = 960
"""20 ms at 48 kHz (RFC 7587 section 4.2)."""
ENCODER_DELAY_TICKS = 120
"""How much later than its input libopus' output plays with application=lowdelay (OPUS_GET_LOOKAHEAD at 48 kHz)."""

_TICK = Fraction(1, 48_000)
_OPUS_OPTIONS = {
    "application": "lowdelay",
    "frame_duration": "20",
    "compression_level": "5",
    "fec": "0",
    "vbr": "on",
}
"""At this bitrate libopus uses its music mode anyway: with lowdelay it does not look for speech first."""
_STRETCH = "min_comp=0.002:max_soft_comp=0.005:comp_duration=1:min_hard_comp=3600:flags=+res"
"""libswresample acts on 2 ms of deviation; the resampler is always on, so that it can begin without a click."""


class OpusPacket(msgspec.Struct, frozen=True, kw_only=True):
    """20 ms of Opus; `timestamp` is the tick at which it plays, on the encoder's clock."""

    timestamp: int
    data: bytes


class BrokenFrameError(Exception):
    """The decoder could not make anything of a frame. The next one may be fine."""


class AacToOpus:
    """One AAC configuration's frames, as Opus packets."""

    def __init__(self, configuration: AacConfiguration) -> None:
        self._configuration = configuration
        self._decoder = _decoder(configuration)
        self._encoder = _encoder()
        self._clock = AudioClock()
        self._graph: Graph | None = None

    def transcode(self, data: bytes, *, timestamp_ms: int) -> list[OpusPacket]:
        """Take one raw AAC frame (not empty), and give the packets that it completes: none, one or two.

        Raises BrokenFrameError, and InputFaultError (AUDIO_CODEC) if the frames are not what the configuration says.
        """
        try:
            frames = self._decoder.decode(av.Packet(data))
        except av.FFmpegError as error:
            raise BrokenFrameError(str(error)) from None
        packets: list[OpusPacket] = []
        for frame in frames:
            self._check(frame)
            packets += self._resampled(frame, timestamp_ms)
        return packets

    def _check(self, frame: AudioFrame) -> None:
        """HE-AAC can hide: the configuration says AAC-LC, and only the frames hold the upper half of the spectrum."""
        expected = self._configuration
        if frame.sample_rate != expected.sampling_rate:
            raise unsupported_audio("the audio is HE-AAC (AAC with SBR); it must be AAC-LC")
        if frame.layout.nb_channels != expected.channels:
            found = frame.layout.nb_channels
            raise unsupported_audio(f"the audio has {found} channels where its configuration says {expected.channels}")

    def _resampled(self, frame: AudioFrame, timestamp_ms: int) -> Iterator[OpusPacket]:
        start = self._clock.place(
            timestamp_ms=timestamp_ms, samples=frame.samples, sampling_rate=self._configuration.sampling_rate
        )
        if start is None:
            return
        if self._graph is None or self._clock.is_new:
            self._graph = _graph(frame)
        frame.pts, frame.time_base = start, _TICK
        self._graph.push(frame)
        while True:
            try:
                piece = cast("AudioFrame", self._graph.pull())
            except av.BlockingIOError:
                return
            timestamp = cast("int", piece.pts) - ENCODER_DELAY_TICKS
            for packet in self._encoder.encode(piece):
                yield OpusPacket(timestamp=timestamp, data=bytes(packet))


def _decoder(configuration: AacConfiguration) -> AudioCodecContext:
    context = av.CodecContext.create("aac", "r")
    context.extradata = configuration.description
    return context


def _encoder() -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate = 48_000
    context.layout = "stereo"
    context.format = "flt"
    context.bit_rate = BITRATE_BPS
    context.time_base = _TICK
    context.options = dict(_OPUS_OPTIONS)
    return context


def _graph(frame: AudioFrame) -> Graph:
    """From frames like this one to 48 kHz stereo in pieces of one Opus packet."""
    graph = Graph()
    form = f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}:channel_layout={frame.layout.name}"
    chain = [
        graph.add("abuffer", f"{form}:time_base={_TICK}"),
        graph.add("aresample", f"48000:{_STRETCH}:osf=flt"),
        # The resampler would make a single channel 3 dB quieter.
        graph.add("pan", "stereo|c0=c0|c1=c0" if frame.layout.nb_channels == 1 else "stereo|c0=c0|c1=c1"),
        graph.add("asetnsamples", f"n={PACKET_TICKS}:p=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph
