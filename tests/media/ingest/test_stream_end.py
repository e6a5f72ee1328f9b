"""What an error means: what is told of the connection, and whether the encoder hears of it."""

import errno
import ssl

import pytest

from stagebook.media.codecs.input_fault import unsupported_audio
from stagebook.media.ingest.encoder_socket import NotReadError
from stagebook.media.ingest.media_bus_writer import FeedLostError
from stagebook.media.ingest.stream_end import LEFT, EndedError, Ending, ending_of
from stagebook.media.port import CloseCause, Closed, IngestFailed, IngestFault
from stagebook.media.rtmp.rtmp_error import RtmpError


@pytest.mark.parametrize(
    ("error", "fact", "is_told"),
    [
        (EndedError(LEFT), CloseCause.PEER_CLOSED, False),
        (FeedLostError("/a/path"), CloseCause.ENGINE_LOST, True),
        (NotReadError("deaf"), CloseCause.TRANSPORT_FAILED, True),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), CloseCause.CONSENT_LOST, False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), CloseCause.TRANSPORT_FAILED, False),
        (ssl.SSLError("bad record"), CloseCause.TRANSPORT_FAILED, False),
        (ZeroDivisionError(), CloseCause.ENGINE_LOST, True),
        (RtmpError("chunks of no bytes"), IngestFault.INPUT, True),
        (unsupported_audio("MP3"), IngestFault.AUDIO_CODEC, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_is_an_ending(error: Exception, fact: CloseCause | IngestFault, *, is_told: bool) -> None:
    ending = ending_of(error)
    told = ending.fact("c")
    assert isinstance(told, Closed | IngestFailed)
    assert (told.cause if isinstance(told, Closed) else told.fault) is fact
    assert told.connection_id == "c"
    assert ending.is_encoder_there is is_told


def test_what_the_encoder_is_told_says_nothing_of_this_machine() -> None:
    assert "/a/path" not in ending_of(FeedLostError("/a/path")).detail
    assert "secret" not in ending_of(KeyError("secret")).detail


def test_of_an_end_that_was_asked_for_no_fact_is_told() -> None:
    assert Ending(detail="as asked").fact("c") is None
