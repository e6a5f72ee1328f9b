"""The encoder's clock: which timestamps of a stream are valid.

RTMP gives every message a timestamp in milliseconds: the decoding time of a video frame, the presentation time of an
audio frame. Both tracks share one clock, which may start anywhere. The rules, each relative to the newest timestamp of
a track:

* a timestamp is at most MAX_STEP_MS later;
* a timestamp is at most MAX_STEP_BACK_MS earlier; such small steps back are corrected, because muxers make them;
* the two tracks are at most MAX_STEP_MS apart.

A stream that breaks a rule ends with INVALID_INPUT: its audio and video could not be kept in sync.
"""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import invalid_input

MAX_STEP_MS = 10_000
MAX_STEP_BACK_MS = 1_000

_OTHER = {MediaKind.AUDIO: MediaKind.VIDEO, MediaKind.VIDEO: MediaKind.AUDIO}


class Timeline:
    """Checks the timestamp of each video and audio frame in the order of arrival."""

    def __init__(self) -> None:
        self._start_ms: int | None = None
        self._newest_ms: dict[MediaKind, int] = {}

    def place_video(self, timestamp_ms: int) -> int:
        """Return the decoding time for the next video frame.

        It is `timestamp_ms`, or 1 ms after the previous frame if that is later, so that no two frames share an RTP
        timestamp. Raises InputFaultError (INPUT) if a rule is broken.
        """
        last_ms = self._newest_ms.get(MediaKind.VIDEO)
        self._check(MediaKind.VIDEO, timestamp_ms)
        if last_ms is not None and timestamp_ms <= last_ms:
            timestamp_ms = last_ms + 1
        self._newest_ms[MediaKind.VIDEO] = timestamp_ms
        return timestamp_ms

    def check_audio(self, timestamp_ms: int) -> None:
        """Check the timestamp of the next audio frame. `AudioClock` corrects small steps back.

        Raises InputFaultError (INPUT) if a rule is broken.
        """
        self._check(MediaKind.AUDIO, timestamp_ms)
        self._newest_ms[MediaKind.AUDIO] = max(timestamp_ms, self._newest_ms.get(MediaKind.AUDIO, timestamp_ms))

    def _check(self, kind: MediaKind, timestamp_ms: int) -> None:
        if self._start_ms is None:
            self._start_ms = timestamp_ms
        step_ms = timestamp_ms - self._newest_ms.get(kind, timestamp_ms)
        if step_ms > MAX_STEP_MS:
            raise invalid_input(
                f"the timestamps of the {kind} jump {step_ms} ms forward; at most {MAX_STEP_MS} ms is allowed"
            )
        if step_ms < -MAX_STEP_BACK_MS:
            raise invalid_input(
                f"the timestamps of the {kind} step {-step_ms} ms back; at most {MAX_STEP_BACK_MS} ms is allowed"
            )
        other = _OTHER[kind]
        # A track without any message counts from the start of the stream.
        distance_ms = abs(timestamp_ms - self._newest_ms.get(other, self._start_ms))
        if distance_ms <= MAX_STEP_MS:
            return
        if other not in self._newest_ms:
            raise invalid_input(f"the stream has no {other}: {distance_ms} ms of {kind} came without it")
        raise invalid_input(f"audio and video are {distance_ms} ms apart; at most {MAX_STEP_MS} ms is allowed")
