"""AAC to Opus transcoding with FFmpeg's libraries (PyAV).

    AAC frame -> decoder -> AudioClock (start tick) -> aresample -> pan -> asetnsamples (20 ms) -> libopus -> packet

Frames have timestamps in milliseconds, packets in ticks of 48 kHz. Where the encoder's clock and its number of samples
drift apart, the resampler stretches or compresses the audio by up to 0.5 % (libswresample, `swr_next_pts`), so that the
Opus packets stay exactly 20 ms apart and there is no click.

Importing PyAV is slow, and only this module does it. Import this module only where AAC is really decoded.
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
"""The delay of libopus with application=lowdelay (OPUS_GET_LOOKAHEAD at 48 kHz)."""

_TICK = Fraction(1, 48_000)
_OPUS_OPTIONS = {
    "application": "lowdelay",
    "frame_duration": "20",
    "compression_level": "5",
    "fec": "0",
    "vbr": "on",
}
"""At this bitrate libopus always uses its music mode (CELT). With `lowdelay` it skips the detection of speech."""
_STRETCH = "min_comp=0.002:max_soft_comp=0.005:comp_duration=1:min_hard_comp=3600:flags=+res"
"""libswresample compensates a deviation of 2 ms or more. `flags=+res` keeps the resampler active when the rates are
equal, because switching it on later makes a click."""


class OpusPacket(msgspec.Struct, frozen=True, kw_only=True):
    """20 ms of Opus. `timestamp` is its presentation time on the encoder's clock, in ticks of 48 kHz."""

    timestamp: int
    data: bytes


class BrokenFrameError(Exception):
    """A frame cannot be decoded. The next frame may be valid."""


class AacToOpus:
    """Transcodes the frames of one AAC configuration."""

    def __init__(self, configuration: AacConfiguration) -> None:
        self._configuration = configuration
        self._decoder = _make_decoder(configuration)
        self._encoder = _make_encoder()
        self._clock = AudioClock()
        self._graph: Graph | None = None

    def transcode(self, data: bytes, *, timestamp_ms: int) -> list[OpusPacket]:
        """Transcode one raw AAC frame, which is not empty. Returns the packets that it completes: none, one or two.

        Raises BrokenFrameError, and InputFaultError (AUDIO_CODEC) if the frame does not match the configuration.
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
        """Check a decoded frame against the configuration.

        HE-AAC with implicit signalling (ISO/IEC 14496-3, 1.6.5) has a configuration of AAC-LC. It shows only in the
        decoded frames, which have twice the sampling rate.
        """
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
        # After a gap the samples in the old graph belong to another time. The resampler would stretch them across it.
        if self._graph is None or self._clock.is_restarted:
            self._graph = _make_graph(frame)
        frame.pts, frame.time_base = start, _TICK
        self._graph.push(frame)
        while True:
            try:
                chunk = cast("AudioFrame", self._graph.pull())
            except av.BlockingIOError:
                return
            # The decoder of a viewer outputs a packet ENCODER_DELAY_TICKS late, so its timestamp is earlier by as much.
            timestamp = cast("int", chunk.pts) - ENCODER_DELAY_TICKS
            for packet in self._encoder.encode(chunk):
                yield OpusPacket(timestamp=timestamp, data=bytes(packet))


def _make_decoder(configuration: AacConfiguration) -> AudioCodecContext:
    context = av.CodecContext.create("aac", "r")
    context.extradata = configuration.description
    return context


def _make_encoder() -> AudioCodecContext:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate = 48_000
    context.layout = "stereo"
    context.format = "flt"
    context.bit_rate = BITRATE_BPS
    context.time_base = _TICK
    context.options = dict(_OPUS_OPTIONS)
    return context


def _make_graph(frame: AudioFrame) -> Graph:
    """Make a filter graph that converts frames like `frame` to 48 kHz stereo in chunks of one Opus packet."""
    graph = Graph()
    input_format = f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}:channel_layout={frame.layout.name}"
    chain = [
        graph.add("abuffer", f"{input_format}:time_base={_TICK}"),
        graph.add("aresample", f"48000:{_STRETCH}:osf=flt"),
        # aresample would lower mono by 3 dB when it converts it to stereo.
        graph.add("pan", "stereo|c0=c0|c1=c0" if frame.layout.nb_channels == 1 else "stereo|c0=c0|c1=c1"),
        graph.add("asetnsamples", f"n={PACKET_TICKS}:p=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph
