"""The clips that the encoders send. They are encoded once, before the measurement."""

from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.video.frame import PictureType, VideoFrame

WIDTH, HEIGHT, FRAMES_PER_SECOND = 1_280, 720, 30
VIDEO_BITRATE_BPS = 2_500_000
AUDIO_BITRATE_BPS = 128_000
SAMPLE_RATE = 48_000
_AAC_FRAME_SAMPLES = 1_024

_SIZE_AND_RATE = f"size={WIDTH}x{HEIGHT}:rate={FRAMES_PER_SECOND}"
MOVING = f"testsrc2={_SIZE_AND_RATE},noise=alls=12:allf=t"
"""A test video with motion everywhere, and noise that uses up the bitrate."""
BLINKING = (
    f"color=black:{_SIZE_AND_RATE},"
    f"drawbox=color=white:t=fill:enable='gte(mod(n,{2 * FRAMES_PER_SECOND}),{FRAMES_PER_SECOND})'"
)
"""One second of black and one second of white in turn. Each begins with a keyframe."""
_TONE = (
    f"sine=frequency=440:sample_rate={SAMPLE_RATE}:samples_per_frame={_AAC_FRAME_SAMPLES},"
    f"aformat=sample_fmts=fltp:channel_layouts=stereo"
)

_X264_OPTIONS = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "sc_threshold": "0",
    "maxrate": str(VIDEO_BITRATE_BPS),
    "bufsize": str(VIDEO_BITRATE_BPS),
}


def make_clip(path: Path, *, video_filter: str, seconds: int) -> None:
    """Write an FLV file: H.264 Baseline with a keyframe each second, and AAC-LC in stereo.

    `video_filter` is the libavfilter graph of the video source.
    """
    with (
        av.open(str(path), "w", format="flv") as clip,
        av.open(video_filter, format="lavfi") as video_source,
        av.open(_TONE, format="lavfi") as audio_source,
    ):
        video = clip.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_X264_OPTIONS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = VIDEO_BITRATE_BPS
        video.gop_size = FRAMES_PER_SECOND
        audio = clip.add_stream("aac", rate=SAMPLE_RATE)
        audio.bit_rate = AUDIO_BITRATE_BPS
        video_frames, audio_frames = video_source.decode(video=0), audio_source.decode(audio=0)
        audio_seconds = 0.0
        for number in range(seconds * FRAMES_PER_SECOND):
            frame = next(video_frames)
            assert isinstance(frame, VideoFrame)
            video_frame = frame.reformat(format="yuv420p")
            # The filter marks every frame as a keyframe, and the encoder would encode it as one.
            video_frame.pict_type = PictureType.NONE
            clip.mux(video.encode(video_frame))
            while audio_seconds < (number + 1) / FRAMES_PER_SECOND:
                samples = next(audio_frames)
                assert isinstance(samples, AudioFrame)
                audio_seconds += samples.samples / SAMPLE_RATE
                clip.mux(audio.encode(samples))
        clip.mux(video.encode(None))
        clip.mux(audio.encode(None))
