"""An encoder: sends a clip again and again in its own time by RTMP, as libavformat does, without encoding anything.

python -m bench.ingest.encoder <url with the stream key> <clip>
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

_START_SECONDS = 0.2
_SEAM_SECONDS = 1 / 30
"""From the last packet of the clip to its first: a frame, and longer than a packet of sound."""


def send(url: str, clip: Path) -> None:
    """Send until the connection ends. Raises av.FFmpegError when the server ends it."""
    with av.open(str(clip)) as source, av.open(url, "w", format="flv", options={"flush_packets": "1"}) as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        began = time.monotonic() + _START_SECONDS
        for packet, seconds in packets_for_ever(clip):
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            if packet.stream.type == "video" and packet.is_keyframe:
                print(time.monotonic_ns(), flush=True)
            packet.stream = streams[packet.stream.index]
            sink.mux_one(packet)


def packets_for_ever(clip: Path) -> "Iterator[tuple[Packet[Any], float]]":
    """The clip's packets with the seconds from the beginning when each is due; their timestamps go on at the seam."""
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
        offset_seconds += end_seconds + _SEAM_SECONDS


if __name__ == "__main__":
    send(sys.argv[1], Path(sys.argv[2]))
