"""Thumbnails: when a keyframe is decoded, and what becomes of it."""

import av
import pytest

from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.media.recording.thumbnails import thumbnail_writer
from stagebook.media.recording.thumbnails.thumbnail_writer import ThumbnailWriter, keyframe_to_jpeg
from tests.media.recording.stored_objects import StoredObjects
from tests.media.recording.tapped_media import second_of_pictures


class WrittenThumbnails:
    """A writer that is fed with pictures."""

    def __init__(self, interval_seconds: int) -> None:
        self.objects = StoredObjects()
        self.requests = 0
        self.writer = ThumbnailWriter(
            objects=self.objects,
            settings=ThumbnailSettings(interval_seconds=interval_seconds),
            folder="high",
            request_keyframe=self._request,
        )

    def feed(self, seconds: int, *, keyframe_seconds: int) -> None:
        """Take ten pictures a second."""
        for number in range(seconds * 10):
            is_keyframe = number % (keyframe_seconds * 10) == 0
            body = second_of_pictures()[0 if is_keyframe else 1]
            self.writer.take_picture(time_us=number * 100_000, body=body, is_keyframe=is_keyframe)

    def _request(self) -> None:
        self.requests += 1


@pytest.mark.parametrize(("interval_seconds", "keyframe_seconds", "expected"), [(5, 1, 12), (5, 4, 8), (1, 1, 60)])
def test_there_is_one_in_an_interval(interval_seconds: int, keyframe_seconds: int, expected: int) -> None:
    thumbnails = WrittenThumbnails(interval_seconds)
    thumbnails.feed(60, keyframe_seconds=keyframe_seconds)
    assert len(thumbnails.objects.bodies) == pytest.approx(expected, abs=4 if keyframe_seconds == 4 else 0)


def test_a_keyframe_is_requested_when_a_thumbnail_is_due() -> None:
    thumbnails = WrittenThumbnails(10)
    thumbnails.feed(30, keyframe_seconds=100)
    # From 10 s on, once a second.
    assert thumbnails.requests == 20
    assert len(thumbnails.objects.bodies) == 1


def test_a_thumbnail_is_a_jpeg_in_the_size_of_the_video() -> None:
    jpeg = keyframe_to_jpeg(second_of_pictures(320, 192)[0])
    assert jpeg is not None
    decoder = av.CodecContext.create("mjpeg", "r")
    picture = decoder.decode(av.Packet(jpeg))[0]
    assert (picture.width, picture.height) == (320, 192)
    assert int(picture.to_ndarray()[0, 0]) > 200


@pytest.mark.parametrize("body", [b"", b"\0\0\0\1\x65\x88", bytes(100), second_of_pictures()[0][:40]])
def test_what_cannot_be_decoded_is_no_thumbnail(body: bytes) -> None:
    assert keyframe_to_jpeg(body) is None


def test_a_picture_that_is_too_large_is_no_thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail_writer, "_MAX_PIXELS", 320 * 192)
    assert keyframe_to_jpeg(second_of_pictures(320, 192)[0]) is not None
    assert keyframe_to_jpeg(second_of_pictures(384, 192)[0]) is None


def test_keyframes_that_are_no_pictures_cost_one_attempt_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[bytes] = []

    def decode_nothing(body: bytes) -> None:
        attempts.append(body)

    monkeypatch.setattr(thumbnail_writer, "keyframe_to_jpeg", decode_nothing)
    thumbnails = WrittenThumbnails(60)
    for number in range(500):
        thumbnails.writer.take_picture(time_us=number * 20_000, body=b"", is_keyframe=True)
    assert len(attempts) == 10
