"""FFmpeg's WHIP muxer: the libavformat in PyAV, as Debian's ffmpeg is too old for it.

`python -m tests.clients.ffmpeg_whip_publisher TOKEN KEY CERTIFICATE` publishes until it gets SIGINT. KEY and
CERTIFICATE are PEM files: a muxer built with GnuTLS makes a key on P-224 itself, which WebRTC peers refuse.
"""

import asyncio
import signal
import sys
from typing import Any, Final

import av
from aiortc.mediastreams import MediaStreamTrack
from av.format import formats_available

from stagebook.demo.generated_media import MovingBar, Tone
from tests.clients.stage_client import token_payload

WHIP_MUXER: Final = "whip"
HAS_WHIP_MUXER: Final = WHIP_MUXER in formats_available
_H264: Final = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}


async def publish(token: str, *, key: str, certificate: str) -> None:
    """Publish the moving bar and the tone until the task is cancelled. Raises av.error.FFmpegError."""
    options = {"authorization": token, "key_file": key, "cert_file": certificate}
    bar, tone = MovingBar(), Tone()
    with av.open(token_payload(token)["whip_url"], "w", format=WHIP_MUXER, options=options) as container:
        video: Any = container.add_stream("libx264", rate=15, options={**_H264, "g": "15"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio: Any = container.add_stream("libopus", rate=48_000, layout="stereo")
        await asyncio.gather(_send(container, video, bar), _send(container, audio, tone))


async def _send(container: Any, stream: Any, track: MediaStreamTrack) -> None:  # noqa: ANN401 - PyAV has no types
    while True:
        container.mux(stream.encode(await track.recv()))


async def _main(token: str, key: str, certificate: str) -> None:
    publishing = asyncio.ensure_future(publish(token, key=key, certificate=certificate))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, publishing.cancel)
    await asyncio.wait([publishing])
    if not publishing.cancelled():
        publishing.result()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
