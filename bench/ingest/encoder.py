"""An encoder process: it sends a clip repeatedly by RTMP in real time with libavformat, without encoding.

    python -m bench.ingest.encoder URL_WITH_STREAM_KEY CLIP

It prints the monotonic time in nanoseconds at which it sends each keyframe.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

_START_SECONDS = 0.2
_LOOP_GAP_SECONDS = 1 / 30
"""Time from the last packet of the clip to its first: a video frame, which is longer than an audio packet."""


def send(url: str, clip: Path) -> None:
    """Send the clip until the server closes the connection, then raise av.FFmpegError."""
    with av.open(str(clip)) as source, av.open(url, "w", format="flv", options={"flush_packets": "1"}) as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        start = time.monotonic() + _START_SECONDS
        for packet, seconds in looped_packets(clip):
            time.sleep(max(0.0, start + seconds - time.monotonic()))
            if packet.stream.type == "video" and packet.is_keyframe:
                print(time.monotonic_ns(), flush=True)
            packet.stream = streams[packet.stream.index]
            sink.mux_one(packet)


def looped_packets(clip: Path) -> "Iterator[tuple[Packet[Any], float]]":
    """Yield the packets of the clip repeatedly, with the time when each is due. Timestamps continue over the loop."""
    offset_seconds = 0.0
    while True:
        with av.open(str(clip)) as source:
            end_seconds = 0.0
            for packet in source.demux():
                if packet.dts is None or packet.pts is None:
                    continue
                seconds = float(packet.dts * packet.time_base)
                ticks = round(offset_seconds / packet.time_base)
                packet.dts += ticks
                packet.pts += ticks
                yield packet, offset_seconds + seconds
                end_seconds = max(end_seconds, seconds)
        offset_seconds += end_seconds + _LOOP_GAP_SECONDS


if __name__ == "__main__":
    send(sys.argv[1], Path(sys.argv[2]))
