"""One connection to an RTMP or RTMPS server, from the DNS lookup to its end.

Each wait has a timeout, and nothing here blocks the event loop: a server that hangs costs this connection only. The
certificate of an RTMPS server is verified against the system's authorities, or those of SSL_CERT_FILE.
"""

import asyncio
import ssl
from typing import Final, Self

import msgspec

from stagebook.media.composition.encoding.encoded_packet import EncodedPacket, StreamFormat
from stagebook.media.composition.outputs import flv_bodies
from stagebook.media.composition.outputs.push_queue import PushQueue
from stagebook.media.recording.hls.encoded_media import SAMPLES_PER_SECOND, EncodedPicture, EncodedSound
from stagebook.media.rtmp.push.push_address import PushAddress
from stagebook.media.rtmp.push.push_session import PushSession
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

_READ_BYTES: Final = 16 << 10
_MAX_UNSENT_BYTES: Final = 256 << 10
_H264_ID: Final = 7
_AAC_ID: Final = 10


class PushTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The timeouts of an RTMP output, in seconds."""

    connect_seconds: float = 10.0
    """From the start of the connection to the server's acceptance of the stream."""
    stall_seconds: float = 10.0
    """How long the server may read nothing until the connection counts as lost."""
    first_delay_seconds: float = 0.5
    """The delay before the second attempt. It doubles with each further one."""
    max_delay_seconds: float = 5.0
    stable_seconds: float = 10.0
    """A stream that lasted longer resets the delay and the time of giving up."""
    give_up_seconds: float = 60.0
    """How long the output is tried without a stable stream until it has failed."""


class ServerClosedError(Exception):
    """The server closed the connection."""


class PushConnection:
    """A connection whose stream the server has accepted. Use `open`."""

    def __init__(
        self,
        session: PushSession,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        timeouts: PushTimeouts,
    ) -> None:
        self._session = session
        self._reader, self._writer = streams
        self._timeouts = timeouts
        self._start_us: int | None = None
        """The time of the first packet, which is timestamp 0 of the stream."""

    @classmethod
    async def open(cls, address: PushAddress, tls: ssl.SSLContext, *, timeouts: PushTimeouts) -> Self:
        """Connect and let the server accept the stream.

        Raises OSError, TimeoutError, ServerClosedError, RtmpError and PushRefusedError.
        """
        async with asyncio.timeout(timeouts.connect_seconds):
            streams = await asyncio.open_connection(
                address.host,
                address.port,
                ssl=tls if address.is_secure else None,
                server_hostname=address.host if address.is_secure else None,
            )
            streams[1].transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)
            connection = cls(PushSession(address, RtmpLimits()), streams, timeouts=timeouts)
            try:
                while not connection._session.is_publishing:
                    await connection._flush()
                    await connection._receive()
            except BaseException:
                connection.abort()
                raise
        return connection

    async def stream(self, queue: PushQueue, stream_format: StreamFormat) -> None:
        """Send the packets of a queue until it ends, then end the stream.

        Raises OSError, TimeoutError, ServerClosedError, RtmpError and PushRefusedError.
        """
        self._session.send_metadata(_metadata(stream_format))
        sending = asyncio.create_task(self._send_all(queue, stream_format))
        reading = asyncio.create_task(self._read_all())
        try:
            done, _ = await asyncio.wait((sending, reading), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            sending.cancel()
            reading.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)

    async def close(self) -> None:
        """End the stream and close the connection."""
        self._session.end()
        self._writer.write(self._session.data_to_send())
        self._writer.close()
        try:
            async with asyncio.timeout(self._timeouts.stall_seconds):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def _send_all(self, queue: PushQueue, stream_format: StreamFormat) -> None:
        while (packet := await queue.take()) is not None:
            self._send(packet, stream_format)
            await self._flush()

    def _send(self, packet: EncodedPacket, stream_format: StreamFormat) -> None:
        if self._start_us is None:
            self._start_us = _time_us(packet)
            self._session.send_audio(flv_bodies.audio_header(stream_format.audio_description), timestamp_ms=0)
            self._session.send_video(flv_bodies.video_header(packet.body), timestamp_ms=0)
        timestamp_ms = round((_time_us(packet) - self._start_us) / 1_000)
        if timestamp_ms < 0:
            return
        if isinstance(packet, EncodedPicture):
            body = flv_bodies.video_body(packet.body, is_keyframe=packet.is_keyframe)
            self._session.send_video(body, timestamp_ms=timestamp_ms)
        else:
            self._session.send_audio(flv_bodies.audio_body(packet.body), timestamp_ms=timestamp_ms)

    async def _read_all(self) -> None:
        while True:
            await self._receive()
            await self._flush()

    async def _receive(self) -> None:
        data = await self._reader.read(_READ_BYTES)
        if not data:
            raise ServerClosedError("the server closed the connection")
        self._session.receive(data)

    async def _flush(self) -> None:
        """Send, and wait for the server: one that asks and does not read the answers must not fill the memory."""
        self._writer.write(self._session.data_to_send())
        async with asyncio.timeout(self._timeouts.stall_seconds):
            await self._writer.drain()


def _time_us(packet: EncodedPacket) -> int:
    if isinstance(packet, EncodedSound):
        return packet.time_samples * 1_000_000 // SAMPLES_PER_SECOND
    return packet.time_us


def _metadata(stream_format: StreamFormat) -> dict[str, float | bool | str]:
    return {
        "width": stream_format.width,
        "height": stream_format.height,
        "framerate": stream_format.frames_per_second,
        "videodatarate": stream_format.video_bitrate_bps / 1_000,
        "videocodecid": _H264_ID,
        "audiodatarate": stream_format.audio_bitrate_bps / 1_000,
        "audiosamplerate": SAMPLES_PER_SECOND,
        "audiosamplesize": 16,
        "audiocodecid": _AAC_ID,
        "stereo": True,
        "encoder": "Stagebook",
    }
