"""Recorded sessions of encoders (see corpus/README.md), and sessions of any bytes, played to a connection."""

from pathlib import Path

from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

CORPUS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").glob("*.bin"))}
SMALL = RtmpLimits(
    max_message_bytes=20_000,
    max_command_bytes=2000,
    max_incomplete_bytes=30_000,
    max_pending_media_bytes=9000,
    max_commands=12,
)
"""Limits that the recorded sessions can reach."""


def replay(data: bytes, *, piece_bytes: int = 65536) -> list[RtmpEvent]:
    """The events of a session whose publish is accepted as soon as it is requested."""
    server = RtmpConnection(RtmpLimits())
    events: list[RtmpEvent] = []
    for start in range(0, len(data), piece_bytes):
        new = server.receive(data[start : start + piece_bytes])
        if any(isinstance(event, PublishReceived) for event in new) and not isinstance(new[-1], Unpublished):
            server.accept_publish()
            new += server.receive(b"")
        server.data_to_send()
        events += new
    return events


def check_session(data: bytes, *, piece_bytes: int) -> None:
    """Replay any bytes: nothing is raised but RtmpError, and the events are those of at most one publish."""
    server = RtmpConnection(SMALL)
    events: list[RtmpEvent] = []
    try:
        for start in range(0, len(data), piece_bytes):
            new = server.receive(data[start : start + piece_bytes])
            assert len(server.data_to_send()) <= SMALL.max_output_bytes + 2 * 3073
            events += new
            if any(isinstance(event, PublishReceived) for event in new) and not isinstance(new[-1], Unpublished):
                server.accept_publish()
    except RtmpError as error:
        server.end(error.detail)
        server.data_to_send()
        assert _is_ended(server)
    assert not events or isinstance(events[0], PublishReceived)
    assert not any(isinstance(event, PublishReceived) for event in events[1:])
    assert not any(isinstance(event, Unpublished) for event in events[:-1])
    media = [event.payload for event in events if isinstance(event, VideoMessage | AudioMessage)]
    assert sum(map(len, media)) <= len(data)
    assert all(media)


def _is_ended(server: RtmpConnection) -> bool:
    """Whether a connection refuses all further input."""
    try:
        server.receive(b"")
    except RtmpError:
        return True
    return False
