"""An admitted encoder's media on its way: when the feed opens, and when waiting for the next tag is over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.encoder_stream import Stream
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.stream_end import EndedError
from stagebook.media.port import CloseCause, IngestFault
from tests.media.ingest.encoded_stream import Message
from tests.media.ingest.serving import NotingForwarder, first_second, until

SETTINGS = IngestSettings(media_timeout_seconds=20, silence_timeout_seconds=5)


class Clock:
    """Seconds, moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def forwarder(tmp_path: Path) -> AsyncIterator[NotingForwarder]:
    forwarder = NotingForwarder(str(tmp_path / "feed"))
    await forwarder.start()
    yield forwarder
    forwarder.stop()


@pytest.fixture
def stream(forwarder: NotingForwarder, clock: Clock) -> Stream:
    return Stream(forwarder.ticket, SETTINGS, clock=clock)


async def give(stream: Stream, messages: list[Message]) -> None:
    for message in messages:
        await stream.take(message.kind, timestamp_ms=message.timestamp_ms, payload=message.payload)


def only(kind: MediaKind) -> list[Message]:
    return [message for message in first_second() if message.kind is kind]


@pytest.mark.parametrize("kind", list(MediaKind))
async def test_one_track_alone_opens_no_feed(stream: Stream, forwarder: NotingForwarder, kind: MediaKind) -> None:
    await give(stream, only(kind))
    assert forwarder.feeds == 0


async def test_the_feed_opens_once_with_the_profile_of_the_stream(stream: Stream, forwarder: NotingForwarder) -> None:
    await give(stream, first_second())
    await until(lambda: forwarder.kinds() == set(MediaKind), "both tracks")
    (hello,) = forwarder.hellos
    assert "packetization-mode=1;profile-level-id=" in hello.video_parameters
    stream.close()
    await until(lambda: forwarder.ended == 1, "the end of the feed")


async def test_until_both_tracks_are_there_both_patiences_count(stream: Stream, clock: Clock) -> None:
    assert stream.deadline == 105
    clock.now = 118
    await give(stream, only(MediaKind.VIDEO)[:1])
    assert stream.deadline == 120, "its media timeout, although it is not silent"


async def test_afterwards_only_silence_counts(stream: Stream, clock: Clock) -> None:
    await give(stream, first_second())
    clock.now = 119
    await give(stream, [Message(kind=MediaKind.VIDEO, timestamp_ms=1_000, payload=b"")])
    assert stream.deadline == 124
    stream.close()


async def test_silence_is_a_lost_peer(stream: Stream, clock: Clock) -> None:
    clock.now = 105
    ending = stream.late()
    assert (ending.cause, ending.fault) == (CloseCause.CONSENT_LOST, None)
    assert ending.detail == "no media came for 5 s"


@pytest.mark.parametrize(("kind", "missing"), [(MediaKind.VIDEO, "audio"), (MediaKind.AUDIO, "video")])
async def test_a_track_that_does_not_come_is_a_fault_that_names_it(
    stream: Stream, clock: Clock, kind: MediaKind, missing: str
) -> None:
    await give(stream, only(kind))
    clock.now = 120
    ending = stream.late()
    assert (ending.cause, ending.fault) == (None, IngestFault.INPUT)
    assert ending.detail == f"the stream has no {missing} after 20 s"
    with pytest.raises(EndedError) as ended:
        await give(stream, only(kind)[-1:])
    assert ended.value.ending == ending
