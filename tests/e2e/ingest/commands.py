"""The shell commands of the encoders, as `docs/rtmp.md` shows them, and the values of their variables.

A command works in bash and sh once URL and KEY are set. INPUT, H264 and AAC are the arguments that most commands share.
A test may set other values (VIEWED, where the video matters), but it does not change a command.
"""

from typing import Final

INPUT: Final = "-re -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=frequency=440"
"""A moving test pattern and a tone of 440 Hz, in real time."""
H264: Final = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30"
"""A keyframe per second, no B-frames."""
AAC: Final = "-c:a aac -b:a 128k"

VARIABLES: Final = {"INPUT": INPUT, "H264": H264, "AAC": AAC}

PUBLISH: Final = 'ffmpeg $INPUT $H264 $AAC -f flv "$URL$KEY"'
"""A valid stream."""

PUBLISH_CHECKED: Final = 'ffmpeg $INPUT $H264 $AAC -f flv -tls_verify 1 -ca_file "$CERTIFICATE" "$URL$KEY"'
"""PUBLISH by RTMPS with verification of the server's certificate."""

GSTREAMER: Final = (
    'gst-launch-1.0 flvmux name=mux streamable=true ! rtmp2sink location="$URL$KEY" '
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 "
    "! x264enc bframes=0 key-int-max=15 tune=zerolatency speed-preset=veryfast ! mux. "
    "audiotestsrc is-live=true freq=440 ! audio/x-raw,rate=48000,channels=2 ! voaacenc bitrate=128000 ! aacparse ! mux."
)
"""A moving ball and the tone."""

GSTREAMER_UNCHECKED: Final = GSTREAMER.replace("rtmp2sink", "rtmp2sink tls-validation-flags=0")
"""GSTREAMER by RTMPS without verification of the server's certificate."""

VIEWED: Final = {
    **VARIABLES,
    "INPUT": "-re -f lavfi -i color=black:size=320x240:rate=15[background];color=white:size=32x240:rate=15[bar];"
    "[background][bar]overlay=x=mod(n*8\\,288) -f lavfi -i sine=frequency=440",
}
"""The variables of a stream that a test viewer watches: a moving bright bar and the tone."""
