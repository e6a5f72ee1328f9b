"""The error codes of RTMP ingest, each with a command that causes it. `docs/rtmp.md` has the same table."""

from typing import Final

import msgspec

from tests.e2e.ingest.commands import PUBLISH

REFUSED: Final = ()
"""The stream key is refused: PUBLISH_ERROR is the only event."""
ADMITTED: Final = ("JOINED",)
"""The stream key is accepted, but the stream does not start."""
PUBLISHED: Final = ("JOINED", "PUBLISH_STARTED")
"""The stream is ended while it is published."""


class ErrorCause(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: the code, a command and the condition that cause it, and the events before the error."""

    code: str
    command: str
    when: str
    after: tuple[str, ...]


ERROR_CAUSES: Final = (
    ErrorCause(
        code="INVALID_PROTOCOL",
        command=PUBLISH,
        when="the URL begins with `rtmp:` and the configuration was created without `--insecure-ingest`",
        after=REFUSED,
    ),
    ErrorCause(
        code="INVALID_STREAM_KEY",
        command='ffmpeg $INPUT $H264 $AAC -f flv "$URL${KEY%?}"',
        when="the key names a configuration, but its secret is wrong, for example in a truncated key",
        after=REFUSED,
    ),
    ErrorCause(
        code="REUSE_OF_STREAM_KEY",
        command=PUBLISH,
        when="another encoder already publishes with the key; its stream continues",
        after=REFUSED,
    ),
    ErrorCause(
        code="QUOTA_EXCEEDED",
        command=PUBLISH,
        when="the stage already has `publishers_per_stage` publishers, or the account `publishers_per_account`",
        after=REFUSED,
    ),
    ErrorCause(
        code="INVALID_VIDEO_CODEC",
        command='ffmpeg $INPUT -c:v flv $AAC -f flv "$URL$KEY"',
        when="video other than H.264: Sorenson, Screen Video, VP6; HEVC, VP9, AV1 by enhanced RTMP",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_VIDEO_CODEC",
        command='ffmpeg $INPUT -c:v flashsv $AAC -f flv "$URL$KEY"',
        when="as above",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a libmp3lame -ar 44100 -f flv "$URL$KEY"',
        when="audio other than AAC-LC: MP3, Speex, PCM, Nellymoser; HE-AAC",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a libspeex -ar 16000 -ac 1 -f flv "$URL$KEY"',
        when="as above",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_AUDIO_CODEC",
        command='ffmpeg $INPUT $H264 -c:a pcm_s16le -ar 44100 -f flv "$URL$KEY"',
        when="as above",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 -an -f flv "$URL$KEY"',
        when="no audio within `rtmp_media_timeout_seconds`",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT -vn $AAC -f flv "$URL$KEY"',
        when="no video within `rtmp_media_timeout_seconds`",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 -x264-params annexb=0 $AAC -f flv "$URL$KEY"',
        when="malformed video, here an invalid configuration record",
        after=ADMITTED,
    ),
    ErrorCause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 $AAC -bsf:a "noise=amount=10*gt(n\\,90)" -f flv "$URL$KEY"',
        when="malformed audio",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="INVALID_INPUT",
        command='ffmpeg $INPUT $H264 $AAC -bsf "setts=ts=TS+60000*N*gt(TS\\,2000)" -f flv "$URL$KEY"',
        when="invalid timestamps, here a jump of a minute with each frame",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="B_FRAME_PRESENT",
        command='ffmpeg $INPUT -c:v libx264 -preset ultrafast -bf 2 -g 30 $AAC -f flv "$URL$KEY"',
        when="the encoder produces B-frames",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="RESOLUTION_EXCEEDED",
        command='ffmpeg $INPUT -s 2560x1440 $H264 $AAC -f flv "$URL$KEY"',
        when="more pixels than `publish_long_side_pixels` or `publish_short_side_pixels`",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="BITRATE_EXCEEDED",
        command='ffmpeg $INPUT -vf noise=alls=100:allf=t $H264 -b:v 25M -maxrate 25M $AAC -f flv "$URL$KEY"',
        when="a bitrate above `publish_bitrate_bps` in each second of `publish_bitrate_window_seconds`",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="STREAM_DURATION_EXCEEDED",
        command=PUBLISH,
        when="the stream lasts longer than `duration_seconds`",
        after=PUBLISHED,
    ),
    ErrorCause(
        code="INTERNAL_SERVER_EXCEPTION",
        command=PUBLISH,
        when="a process of the server is lost (`kill -9` on one of its children)",
        after=PUBLISHED,
    ),
)
