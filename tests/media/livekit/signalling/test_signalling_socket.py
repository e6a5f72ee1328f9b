"""The websocket of one participant, at a fake LiveKit."""

import asyncio
import time

import pytest
from livekit.protocol import rtc

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState
from stagebook.media.livekit.signalling.signalling_socket import SignallingSocket
from stagebook.media.livekit.signalling.viewer_exchange import ViewerExchange
from stagebook.media.port import CloseCause, MediaRefusedError, RefusalReason
from tests.media.ingest.running_rtmp_server import until
from tests.media.livekit.fake_livekit import KEY, FakeLiveKit, running_fake
from tests.media.livekit.recorded_messages import PUBLISHER_ID

ACCESS = LiveKitAccess(KEY, wall_clock=time.time)
CODECS = {MediaKind.AUDIO: frozenset({"OPUS"}), MediaKind.VIDEO: frozenset({"H264", "VP8"})}


class Viewer:
    """A socket, and what it has reported."""

    def __init__(self, fake: FakeLiveKit, *, timeout_seconds: float = 10.0) -> None:
        self.reports: list[str | CloseCause] = []
        self.socket = SignallingSocket(
            ViewerExchange(offer="v=0", publisher_id=PUBLISHER_ID, codecs=CODECS),
            url=fake.url,
            token=lambda: ACCESS.viewer_token(room="r", identity="v"),
            on_open=lambda: self.reports.append("open"),
            on_lost=lambda: self.reports.append("lost"),
            on_end=self.reports.append,
            timeout_seconds=timeout_seconds,
        )


async def test_a_deployment_that_does_not_answer_is_busy() -> None:
    async with running_fake() as fake:
        fake.is_silent = True
        viewer = Viewer(fake, timeout_seconds=0.3)
        with pytest.raises(MediaRefusedError) as caught:
            await viewer.socket.open()
        assert caught.value.reason is RefusalReason.BUSY
        assert viewer.socket.exchange.state is ExchangeState.FAILED


async def test_a_deployment_that_is_not_there_is_lost() -> None:
    async with running_fake() as fake:
        gone = Viewer(fake)
    with pytest.raises(MediaRefusedError) as caught:
        await gone.socket.open()
    assert caught.value.reason is RefusalReason.ENGINE_LOST


async def test_the_end_that_livekit_tells_is_reported_once() -> None:
    async with running_fake() as fake:
        viewer = Viewer(fake)
        await viewer.socket.open()
        await fake.tell("v", rtc.SignalResponse(leave=rtc.LeaveRequest()))
        await until(lambda: len(viewer.reports) == 2, "the end")
        assert viewer.reports == ["open", CloseCause.TRANSPORT_FAILED]
        await viewer.socket.close()


async def test_a_websocket_that_is_closed_here_reports_nothing() -> None:
    async with running_fake() as fake:
        viewer = Viewer(fake)
        await viewer.socket.open()
        await viewer.socket.close()
        with pytest.raises(MediaRefusedError) as caught:
            await viewer.socket.send(rtc.SignalRequest())
        assert (viewer.reports, caught.value.reason) == (["open"], RefusalReason.BUSY)


async def test_a_websocket_is_closed_with_the_caller_that_waits_for_it() -> None:
    async with running_fake() as fake:
        fake.is_silent = True
        viewer = Viewer(fake)
        opening = asyncio.create_task(viewer.socket.open())
        await until(lambda: "v" in fake.received, "the websocket")
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await viewer.socket.close()
        assert viewer.reports == []


async def test_redirects_are_not_followed() -> None:
    """The token of the participant would go to another host."""
    async with running_fake() as elsewhere:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            location = elsewhere.url.replace("http", "ws").encode() + b"/rtc/v1?join_request="
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(redirect, "127.0.0.1", 0) as listening:
            viewer = Viewer(elsewhere)
            viewer.socket._url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            with pytest.raises(MediaRefusedError, match="status 302"):
                await viewer.socket.open()
        assert elsewhere.received == {}


async def test_closing_ends_the_wait_for_an_answer() -> None:
    async with running_fake() as fake:
        fake.is_silent = True
        viewer = Viewer(fake)
        opening = asyncio.create_task(viewer.socket.open())
        await until(lambda: "v" in fake.received, "the websocket")
        await viewer.socket.close()
        async with asyncio.timeout(4):
            with pytest.raises(MediaRefusedError):
                await opening
        assert viewer.reports == []
