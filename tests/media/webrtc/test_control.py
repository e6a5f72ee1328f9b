"""The control messages on a real socket pair: what is sent arrives, and nonsense ends the connection."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.child_control import MAX_CONTROL_BYTES
from stagebook.media.feed import FeedTicket
from stagebook.media.framing import BrokenStreamError
from stagebook.media.port import Answer, CloseCause, Closed, PatchAnswer, RefusalReason, SourceMeasured
from stagebook.media.webrtc import control
from stagebook.media.webrtc.settings import EngineSettings


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """A writer, and the reader at the other end."""
    near, far = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=near)
    reader, other = await asyncio.open_unix_connection(sock=far)
    try:
        yield writer, reader
    finally:
        for end in (writer, other):
            end.close()
            await end.wait_closed()


COMMANDS: list[control.AnyCommand] = [
    control.Run(settings=EngineSettings(bind_addresses=("127.0.0.1", "::1"), udp_port=40_000)),
    control.Publish(request_id=1, connection_id="c", source_id="s", offer="v=0"),
    control.Subscribe(request_id=2, connection_id="c", source_id="s", offer="v=0"),
    control.Patch(request_id=3, connection_id="c", fragment="a=x", ice_session=None),
    control.Feed(request_id=4, connection_id="c", source_id="s", is_redundant=True),
    control.Close(connection_id="c"),
    control.EndSource(source_id="s"),
    control.Stop(),
]

REPORTS: list[control.AnyReport] = [
    control.Running(udp_port=40_000),
    control.NotRunning(detail="no"),
    control.Answered(request_id=1, answer=Answer(sdp="v=0", ice_session="i")),
    control.Patched(request_id=3, answer=PatchAnswer(fragment=None, ice_session="i")),
    control.FeedOpened(request_id=4, ticket=FeedTicket(path="/p", token="t")),
    control.Refused(request_id=2, reason=RefusalReason.BUSY, detail="no"),
    control.Heard(fact=Closed(connection_id="c", cause=CloseCause.CONSENT_LOST)),
    control.Heard(fact=SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1, frames_per_second=29.97)),
    control.Alive(),
    control.Logged(logger="x", level=20, text="y"),
]


async def test_commands_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for command in COMMANDS:
            control.send(writer, command)
        assert [await control.receive_command(reader) for _ in COMMANDS] == COMMANDS


async def test_reports_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for report in REPORTS:
            control.send(writer, report)
        assert [await control.receive_report(reader) for _ in REPORTS] == REPORTS


@pytest.mark.parametrize("offer", ["x" * (MAX_CONTROL_BYTES + 1), "\ud800"])
async def test_what_cannot_be_sent_is_refused_and_leaves_no_trace(offer: str) -> None:
    async with pair() as (writer, reader):
        with pytest.raises(ValueError, match=r"a message of|surrogates"):
            control.send(writer, control.Publish(request_id=1, connection_id="c", source_id="s", offer=offer))
        control.send(writer, control.Stop())
        assert await control.receive_command(reader) == control.Stop()


@pytest.mark.parametrize(
    "data",
    [b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x81\xa0", b"\0\0\0\5ab"],
    ids=["no length", "too long", "no msgpack", "no command", "cut off"],
)
async def test_nonsense_and_the_end_are_told_apart_from_messages(data: bytes) -> None:
    async with pair() as (writer, reader):
        writer.write(data)
        writer.write_eof()
        with pytest.raises(BrokenStreamError):
            await control.receive_command(reader)


async def test_a_command_is_no_report() -> None:
    async with pair() as (writer, reader):
        control.send(writer, control.Stop())
        with pytest.raises(BrokenStreamError):
            await control.receive_report(reader)
