"""The sending end of a relay: what a source's own engine has received goes to one other process.

Nothing waits for the other process. If it does not read, the relay ends, as a feed of an encoder does: the media would
only become older. Another engine then closes its viewers of the source, and they subscribe again.

A tap is different: its process may be slow, but a recording must have what was received. So the relay of a tap is
finished, not aborted, when its source ends, when its process asks for the end, and when too much waits: what waits is
still sent, and the end of the connection follows it. FINISH_SECONDS bounds that.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, Unit
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from stagebook.media.rtc.sdp.media_plan import PublisherPlan
from stagebook.media.rtc.sfu.encoder.gop_cache import TimedFrame
from stagebook.media.rtc.sfu.relay.relay_messages import (
    EncoderRelayed,
    FrameCached,
    PacketRelayed,
    PublisherGone,
    PublisherRelayed,
    RelayHello,
    ReportRelayed,
)
from stagebook.media.worker.framing import frame

MAX_UNSENT_BYTES: Final = 16 << 20
"""Maximum number of bytes that wait to be sent to another engine: a GOP of an encoder, and seconds of media."""
MAX_UNSENT_TAP_BYTES: Final = 4 << 20
"""Maximum number of bytes that wait to be sent to a tap: some four seconds of a publisher at its highest bitrate. A
source may have several taps, and an engine many sources."""
MAX_BATCH_BYTES: Final = 64 << 10
"""A batch of this size is sent at once. Each time that data is sent costs both processes more than the data itself."""
FINISH_SECONDS: Final = 10.0
"""How long the process of a tap may take to read what waits at the end. It stops reading earlier by itself
(`tap_receiver.DRAIN_SECONDS`)."""


class SourceRelay:
    """An open connection to another engine, or to a process with a tap."""

    def __init__(
        self, writer: asyncio.StreamWriter, *, token: str, batch_seconds: float = 0.0, is_tap: bool = False
    ) -> None:
        """Send the hello. `token` and `batch_seconds` are those of the relay's ticket."""
        self._writer = writer
        self._is_tap = is_tap
        self._batch_seconds = batch_seconds
        self._max_unsent_bytes = MAX_UNSENT_TAP_BYTES if is_tap else MAX_UNSENT_BYTES
        self._batch = bytearray()
        self._batch_timer: asyncio.TimerHandle | None = None
        self._finish_timer: asyncio.TimerHandle | None = None
        self._send(RelayHello(token=token))

    def close(self) -> None:
        """End the relay. What waits to be sent is dropped. Further messages are dropped as well."""
        self._end_batch()
        if self._finish_timer is not None:
            self._finish_timer.cancel()
        self._writer.transport.abort()

    def finish(self) -> None:
        """End the relay of a tap: what waits is sent first. Further messages are dropped. Other relays are closed."""
        if not self._is_tap:
            self.close()
        elif not self._writer.is_closing():
            self._write_batch()
            self._writer.close()
            self._finish_timer = asyncio.get_running_loop().call_later(FINISH_SECONDS, self.close)

    # What the source receives

    def start_publisher(
        self, plan: PublisherPlan, rids: Mapping[int, str], reports: Sequence[SenderReport] = ()
    ) -> None:
        """A WebRTC publisher with this plan feeds the source from now on. `rids` are those that it has sent so far, and
        `reports` its newest sender reports: a tap has audio and video in sync from the start."""
        self._send(PublisherRelayed(plan=plan, rids=dict(rids)))
        for report in reports:
            self.relay_report(
                write_sender_report(
                    ssrc=report.ssrc,
                    ntp=report.ntp,
                    rtp_timestamp=report.rtp_timestamp,
                    packets=report.packets,
                    octets=report.octets,
                    cname=b"",
                )
            )

    def end_publisher(self) -> None:
        """No WebRTC publisher feeds the source any more."""
        self._send(PublisherGone())

    def relay_packet(self, packet: bytes) -> None:
        """Relay an RTP packet of the publisher."""
        self._send(PacketRelayed(packet=packet))

    def relay_report(self, compound: bytes) -> None:
        """Relay an RTCP compound packet of the publisher."""
        self._send(ReportRelayed(compound=compound))

    def start_encoder(self, video_parameters: str, gop: Sequence[TimedFrame]) -> None:
        """An encoder feeds the source from now on. `gop` are the frames of its GOP so far.

        They are left out if they take more than half of what may wait: the receiver goes on with the next keyframe.
        """
        self._send(EncoderRelayed(video_parameters=video_parameters))
        if sum(len(payload) for frame_of_gop in gop for payload in frame_of_gop.payloads) > self._max_unsent_bytes // 2:
            return
        for index, (timestamp, payloads) in enumerate(gop):
            self._send(FrameCached(payloads=payloads, is_keyframe=index == 0, timestamp=timestamp))

    def relay_unit(self, unit: Unit) -> None:
        """Relay a unit of the encoder."""
        self._send(unit)

    def _send(self, message: msgspec.Struct) -> None:
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > self._max_unsent_bytes:
            self.finish()
            return
        framed = frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES)
        if not self._batch_seconds:
            self._writer.write(framed)
            return
        self._batch += framed
        if len(self._batch) >= MAX_BATCH_BYTES:
            self._write_batch()
        elif self._batch_timer is None:
            self._batch_timer = asyncio.get_running_loop().call_later(self._batch_seconds, self._write_batch)

    def _write_batch(self) -> None:
        self._writer.write(self._end_batch())

    def _end_batch(self) -> bytearray:
        """Begin a new batch. Returns the one before, which the transport may keep until it is sent."""
        if self._batch_timer is not None:
            self._batch_timer.cancel()
            self._batch_timer = None
        batch, self._batch = self._batch, bytearray()
        return batch
