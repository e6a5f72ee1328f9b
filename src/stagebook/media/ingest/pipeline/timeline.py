"""The encoder's clock: which steps of its timestamps are a live stream's, and which are broken.

Works on the milliseconds of RTMP: the decoding time of a picture, the time of an audio frame. Any start is fine, and
what comes out is still the encoder's own clock.
"""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import invalid_input

MAX_STEP_MS = 10_000
"""How far a track's timestamps may jump forward, and how far the two tracks may be apart."""
MAX_STEP_BACK_MS = 1_000
"""How far a track's timestamps may step back behind its newest one."""

_OTHER = {MediaKind.AUDIO: MediaKind.VIDEO, MediaKind.VIDEO: MediaKind.AUDIO}


class Timeline:
    """Takes the timestamp of every picture and of every audio frame."""

    def __init__(self) -> None:
        self._start_ms: int | None = None
        self._newest_ms: dict[MediaKind, int] = {}

    def picture(self, timestamp_ms: int) -> int:
        """The decoding time to use for the next picture: its own, or 1 ms behind the last picture's if it is not later.

        So no two pictures share a timestamp. Raises InputFaultError (INPUT) as `audio` does.
        """
        last_ms = self._newest_ms.get(MediaKind.VIDEO)
        self._check(MediaKind.VIDEO, timestamp_ms)
        if last_ms is not None and timestamp_ms <= last_ms:
            timestamp_ms = last_ms + 1
        self._newest_ms[MediaKind.VIDEO] = timestamp_ms
        return timestamp_ms

    def audio(self, timestamp_ms: int) -> None:
        """Check the time of the next audio frame. It may step back a little: AudioClock puts that right.

        Raises InputFaultError (INPUT) for a jump, and if one track runs on for MAX_STEP_MS without the other.
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
        # A track that has not come yet counts from the start of the stream.
        apart_ms = abs(timestamp_ms - self._newest_ms.get(other, self._start_ms))
        if apart_ms <= MAX_STEP_MS:
            return
        if other not in self._newest_ms:
            raise invalid_input(f"the stream has no {other}: {apart_ms} ms of {kind} came without it")
        raise invalid_input(f"audio and video are {apart_ms} ms apart; at most {MAX_STEP_MS} ms is allowed")
