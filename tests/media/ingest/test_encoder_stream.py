"""An admitted encoder's media: when the feed opens, and the deadline for the next message."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.encoder_stream import EncoderStream
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.stream_end import StreamEndedError
from stagebook.media.port import CloseCause, IngestFault
from tests.media.ingest.encoded_stream import Message
from tests.media.ingest.running_rtmp_server import FakeMediaEngine, first_second, until

SETTINGS = IngestSettings(media_timeout_seconds=20, silence_timeout_seconds=5)


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def media_engine(tmp_path: Path) -> AsyncIterator[FakeMediaEngine]:
    media_engine = FakeMediaEngine(str(tmp_path / "feed"))
    await media_engine.start()
    yield media_engine
    media_engine.stop()


@pytest.fixture
def stream(media_engine: FakeMediaEngine, clock: Clock) -> EncoderStream:
    return EncoderStream(media_engine.ticket, SETTINGS, clock=clock)


async def process(stream: EncoderStream, messages: list[Message]) -> None:
    for message in messages:
        await stream.process(message.kind, timestamp_ms=message.timestamp_ms, payload=message.payload)


def only(kind: MediaKind) -> list[Message]:
    return [message for message in first_second() if message.kind is kind]


@pytest.mark.parametrize("kind", list(MediaKind))
async def test_a_single_track_does_not_open_the_feed(
    stream: EncoderStream, media_engine: FakeMediaEngine, kind: MediaKind
) -> None:
    await process(stream, only(kind))
    assert media_engine.feeds == 0


async def test_both_tracks_open_one_feed_with_the_profile_of_the_stream(
    stream: EncoderStream, media_engine: FakeMediaEngine
) -> None:
    await process(stream, first_second())
    await until(lambda: media_engine.kinds() == set(MediaKind), "both tracks")
    (hello,) = media_engine.hellos
    assert "packetization-mode=1;profile-level-id=" in hello.video_parameters
    stream.close()
    await until(lambda: media_engine.ended == 1, "the end of the feed")


async def test_before_both_tracks_are_there_the_earlier_deadline_counts(stream: EncoderStream, clock: Clock) -> None:
    assert stream.deadline == 105
    clock.now = 118
    await process(stream, only(MediaKind.VIDEO)[:1])
    assert stream.deadline == 120, "the media timeout, although the stream is not silent"


async def test_after_that_only_the_silence_timeout_counts(stream: EncoderStream, clock: Clock) -> None:
    await process(stream, first_second())
    clock.now = 119
    await process(stream, [Message(kind=MediaKind.VIDEO, timestamp_ms=1_000, payload=b"")])
    assert stream.deadline == 124
    stream.close()


async def test_silence_ends_the_stream_with_consent_lost(stream: EncoderStream, clock: Clock) -> None:
    clock.now = 105
    stream_end = stream.timed_out()
    assert (stream_end.cause, stream_end.fault) == (CloseCause.CONSENT_LOST, None)
    assert stream_end.detail == "no media came for 5 s"


@pytest.mark.parametrize(("kind", "missing"), [(MediaKind.VIDEO, "audio"), (MediaKind.AUDIO, "video")])
async def test_a_missing_track_is_an_input_fault_that_names_it(
    stream: EncoderStream, clock: Clock, kind: MediaKind, missing: str
) -> None:
    await process(stream, only(kind))
    clock.now = 120
    stream_end = stream.timed_out()
    assert (stream_end.cause, stream_end.fault) == (None, IngestFault.INPUT)
    assert stream_end.detail == f"the stream has no {missing} after 20 s"
    with pytest.raises(StreamEndedError) as ended:
        await process(stream, only(kind)[-1:])
    assert ended.value.stream_end == stream_end
