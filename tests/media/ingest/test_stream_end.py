"""Errors as ends of a connection: the reported fact, and whether the encoder is notified."""

import errno
import ssl

import pytest

from stagebook.media.codecs.input_fault import unsupported_audio
from stagebook.media.ingest.encoder_socket import NotReadError
from stagebook.media.ingest.media_bus_writer import FeedLostError
from stagebook.media.ingest.stream_end import ENCODER_LEFT, StreamEnd, StreamEndedError, stream_end_of
from stagebook.media.port import CloseCause, Closed, IngestFailed, IngestFault
from stagebook.media.rtmp.rtmp_error import RtmpError


@pytest.mark.parametrize(
    ("error", "fact", "is_notified"),
    [
        (StreamEndedError(ENCODER_LEFT), CloseCause.PEER_CLOSED, False),
        (FeedLostError("/a/path"), CloseCause.ENGINE_LOST, True),
        (NotReadError("not read"), CloseCause.TRANSPORT_FAILED, True),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), CloseCause.CONSENT_LOST, False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), CloseCause.TRANSPORT_FAILED, False),
        (ssl.SSLError("bad record"), CloseCause.TRANSPORT_FAILED, False),
        (ZeroDivisionError(), CloseCause.ENGINE_LOST, True),
        (RtmpError("a chunk size of 0"), IngestFault.INPUT, True),
        (unsupported_audio("MP3"), IngestFault.AUDIO_CODEC, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_fact(error: Exception, fact: CloseCause | IngestFault, *, is_notified: bool) -> None:
    stream_end = stream_end_of(error)
    reported = stream_end.fact("c")
    assert isinstance(reported, Closed | IngestFailed)
    assert (reported.cause if isinstance(reported, Closed) else reported.fault) is fact
    assert reported.connection_id == "c"
    assert stream_end.is_encoder_reachable is is_notified


def test_the_detail_for_the_encoder_has_nothing_internal() -> None:
    assert "/a/path" not in stream_end_of(FeedLostError("/a/path")).detail
    assert "secret" not in stream_end_of(KeyError("secret")).detail


def test_an_end_by_the_server_has_no_fact() -> None:
    assert StreamEnd(detail="closed").fact("c") is None
