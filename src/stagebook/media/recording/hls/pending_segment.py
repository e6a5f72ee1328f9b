"""The encoded media that is not written yet: what the next segments are made of.

Media arrives before it is known where its segment ends: a picture lasts until the next one, and sound arrives earlier
or later than the pictures of the same time. It is kept here, in the order of time, until a segment is cut.
"""

from collections import deque
from collections.abc import Iterator

from stagebook.media.recording.hls.access_unit import length_prefixed
from stagebook.media.recording.hls.encoded_media import FRAME_SAMPLES, EncodedPicture, EncodedSound, samples_to_us
from stagebook.media.recording.hls.fmp4_init import VIDEO_TICKS_PER_SECOND
from stagebook.media.recording.hls.fmp4_segment import PictureSample

_DEFAULT_PICTURE_US = 33_333
_MAX_LAST_PICTURE_US = 1_000_000
"""How long the last picture of a recording is shown at most, if its publisher sends few."""


class PendingSegment:
    """Pictures and sound of the segments that are not complete."""

    def __init__(self) -> None:
        self._pictures: deque[EncodedPicture] = deque()
        self._sounds: deque[EncodedSound] = deque()
        self._picture_us = _DEFAULT_PICTURE_US
        self.size_bytes = 0
        """The size of all pending pictures."""
        self.last_time_us = -1
        """The presentation time of the newest picture. Negative without one."""
        self._last_decode_us = -1
        self.sound_end_samples = -(1 << 62)
        """Where the sound ends."""

    @property
    def sound_end_us(self) -> int:
        """Where the sound ends, on the timeline of the pictures."""
        return samples_to_us(self.sound_end_samples)

    @property
    def picture_end_us(self) -> int:
        """Where the newest picture ends if no other one follows. Negative without one."""
        return self.last_time_us + self._picture_us if self.last_time_us >= 0 else -1

    def follows(self, picture: EncodedPicture) -> bool:
        """Whether a picture is to be decoded after all others."""
        return decode_time_us(picture) > self._last_decode_us

    def add_picture(self, picture: EncodedPicture) -> None:
        """Add a picture, which follows."""
        if self.last_time_us >= 0:
            self._picture_us = min(max(picture.time_us - self.last_time_us, 1_000), _MAX_LAST_PICTURE_US)
        self.last_time_us = max(picture.time_us, self.last_time_us)
        self._last_decode_us = decode_time_us(picture)
        self._pictures.append(picture)
        self.size_bytes += len(picture.body)

    def add_sound(self, sound: EncodedSound) -> None:
        """Add a frame of sound. One that overlaps what is there is left out."""
        if sound.time_samples >= self.sound_end_samples:
            self._sounds.append(sound)
            self.sound_end_samples = sound.time_samples + FRAME_SAMPLES

    def take_pictures(self, until_us: int) -> list[PictureSample]:
        """Remove the pictures that are decoded before a time, as samples. The last one lasts until that time."""
        taken = list(self._before(until_us))
        times = [_ticks(decode_time_us(picture)) for picture in taken]
        times.append(_ticks(until_us))
        return [
            PictureSample(
                decode_ticks=times[index],
                duration_ticks=times[index + 1] - times[index],
                composition_ticks=_ticks(picture.time_us) - times[index],
                is_keyframe=picture.is_keyframe,
                body=length_prefixed(picture.body),
            )
            for index, picture in enumerate(taken)
        ]

    def take_sounds(self, until_us: int) -> list[EncodedSound]:
        """Remove the frames of sound that begin before a time."""
        taken = []
        while self._sounds and samples_to_us(self._sounds[0].time_samples) < until_us:
            taken.append(self._sounds.popleft())
        return taken

    def _before(self, until_us: int) -> Iterator[EncodedPicture]:
        while self._pictures and decode_time_us(self._pictures[0]) < until_us:
            picture = self._pictures.popleft()
            self.size_bytes -= len(picture.body)
            yield picture


def decode_time_us(picture: EncodedPicture) -> int:
    """Return the decoding time of a picture."""
    return picture.time_us if picture.decode_time_us is None else picture.decode_time_us


def _ticks(time_us: int) -> int:
    return round(time_us * VIDEO_TICKS_PER_SECOND / 1_000_000)
