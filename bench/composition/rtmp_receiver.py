"""An RTMP server that notes when the picture of a stream becomes bright."""

import asyncio
import time

import av

from stagebook.media.codecs.avc import parse_decoder_configuration
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_events import PublishReceived, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

_HEADER_BYTES = 5
_BRIGHT = 128


class RtmpReceiver:
    """Accepts each stream. With `decodes`, its video is decoded."""

    def __init__(self, *, decodes: bool) -> None:
        self._decodes = decodes
        self._decoder = av.CodecContext.create("h264", "r")
        self._is_bright = False
        self.pictures = 0
        self.bright_at: list[float] = []
        """The monotonic times, in seconds, at which the picture became bright."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        connection = RtmpConnection(RtmpLimits())
        while data := await reader.read(1 << 16):
            for event in connection.receive(data):
                if isinstance(event, PublishReceived):
                    connection.accept_publish()
                elif isinstance(event, VideoMessage):
                    self._take(bytes(event.payload))
            writer.write(connection.data_to_send())
        writer.close()

    def _take(self, payload: bytes) -> None:
        if payload[1] == 0:
            # The parameter sets are in the keyframes as well; a record that does not parse would be an error.
            assert parse_decoder_configuration(memoryview(payload)[_HEADER_BYTES:]).parameter_sets
            return
        self.pictures += 1
        if self._decodes:
            for picture in self._decoder.decode(av.Packet(_byte_stream(payload[_HEADER_BYTES:]))):
                brightness = int(picture.to_ndarray(format="gray")[picture.height // 2, picture.width // 4])
                if brightness > _BRIGHT and not self._is_bright:
                    self.bright_at.append(time.monotonic())
                self._is_bright = brightness > _BRIGHT


def _byte_stream(units: bytes) -> bytes:
    stream, position = bytearray(), 0
    while position < len(units):
        size = int.from_bytes(units[position : position + 4])
        stream += b"\0\0\0\1" + units[position + 4 : position + 4 + size]
        position += 4 + size
    return bytes(stream)
