"""The error codes of RTMP ingest, each with a command that causes it. docs/rtmp.md has the same table."""

from typing import Final

import msgspec

from tests.e2e.ingest.commands import PUBLISH

REFUSED: Final = ()
"""The key was refused: there is the PUBLISH_ERROR and nothing else."""
ADMITTED: Final = ("JOINED",)
"""The key was good, and audio and video never came together."""
PUBLISHED: Final = ("JOINED", "PUBLISH_STARTED")
"""The stream was cut while it ran."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a command, and under which circumstances it causes a code after which events."""

    code: str
    command: str
    when: str
    after: tuple[str, ...]


CAUSES: Final = (
    Cause(
        code="INVALID_PROTOCOL",
        command=PUBLISH,
        when="URL begins with rtmp:, and the configuration was made without `--insecure-ingest`",
        after=REFUSED,
    ),
    Cause(
        code="INVALID_STREAM_KEY",
        command='ffmpeg $INPUT $H264 $AAC -f flv "$URL${KEY%?}"',
        when="the key names a configuration and its secret is wrong, as of a key that was not copied whole",
        after=REFUSED,
    ),
    Cause(
        code="REUSE_OF_STREAM_KEY",
        command=PUBLISH,
        when="an encoder publishes with the key already: that one goes on",
        after=REFUSED,
    ),
    Cause(
        code="QUOTA_EXCEEDED",
        command=PUBLISH,
        when="as many publishers as `publishers_per_stage` (or `publishers_per_account`) are there already",
        after=REFUSED,
    ),
    Cause(
        code="INVALID_VIDEO_CODEC",
        command='ffmpeg $INPUT -c:v flv $AAC -f flv "$URL$KEY"',
        when="video other than H.264: Sorenson, Screen Video, VP6; HEVC, VP9, AV1 by enhanced RTMP",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_VIDEO_CODEC",
        command='ffmpeg $INPUT -c:v flashsv $AAC -f flv "$URL$KEY"',
        when="the same",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a libmp3lame -ar 44100 -f flv "$URL$KEY"',
        when="audio other than AAC-LC: MP3, Speex, PCM, Nellymoser; HE-AAC",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a libspeex -ar 16000 -ac 1 -f flv "$URL$KEY"',
        when="the same",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a pcm_s16le -ar 44100 -f flv "$URL$KEY"',
        when="the same",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 -an -f flv "$URL$KEY"',
        when="no audio within `rtmp_media_timeout_seconds`",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT -vn $AAC -f flv "$URL$KEY"',
        when="no video within `rtmp_media_timeout_seconds`",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 -x264-params annexb=0 $AAC -f flv "$URL$KEY"',
        when="damaged video, here its configuration",
        after=ADMITTED,
    ),
    Cause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 $AAC -bsf:a "noise=amount=10*gt(n\\,90)" -f flv "$URL$KEY"',
        when="damaged sound",
        after=PUBLISHED,
    ),
    Cause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 $AAC -bsf "setts=ts=TS+3600000*gt(TS\\,2000)" -f flv "$URL$KEY"',
        when="broken timestamps, here a jump of an hour",
        after=PUBLISHED,
    ),
    Cause(
        code="B_FRAME_PRESENT",
        command='ffmpeg $INPUT -c:v libx264 -preset ultrafast -bf 2 -g 30 $AAC -f flv "$URL$KEY"',
        when="the encoder makes B-frames",
        after=PUBLISHED,
    ),
    Cause(
        code="RESOLUTION_EXCEEDED",
        command='ffmpeg $INPUT -s 2560x1440 $H264 $AAC -f flv "$URL$KEY"',
        when="more pixels than `publish_long_side_pixels` or `publish_short_side_pixels`",
        after=PUBLISHED,
    ),
    Cause(
        code="BITRATE_EXCEEDED",
        command='ffmpeg $INPUT -vf noise=alls=100:allf=t $H264 -b:v 25M -maxrate 25M $AAC -f flv "$URL$KEY"',
        when="more bits than `publish_bitrate_bps` in every second of `publish_bitrate_window_seconds`",
        after=PUBLISHED,
    ),
    Cause(
        code="STREAM_DURATION_EXCEEDED",
        command=PUBLISH,
        when="it goes on for longer than `duration_seconds`",
        after=PUBLISHED,
    ),
    Cause(
        code="INTERNAL_SERVER_EXCEPTION",
        command=PUBLISH,
        when="a process of the server dies (`kill -9` on one of its children)",
        after=PUBLISHED,
    ),
)
