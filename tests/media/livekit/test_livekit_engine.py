"""The engine against a fake LiveKit: offers, facts, ends and failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from livekit.protocol import models, rtc

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.livekit.livekit_access import LiveKitKey
from stagebook.media.livekit.livekit_engine import LiveKitEngine
from stagebook.media.livekit.livekit_probe import LiveKitUnusableError
from stagebook.media.livekit.livekit_settings import LiveKitSettings
from stagebook.media.livekit.room_tasks import MAX_ENDS_AT_ONCE
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    LayerChoice,
    LayerMode,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    VideoLayers,
)
from tests.media.ingest.running_rtmp_server import until
from tests.media.livekit.fake_livekit import KEY, FakeLiveKit, running_fake
from tests.media.rtc import offers

VIEWER = offers.CHROMIUM.replace("a=sendonly", "a=recvonly")
RESTART = (
    "a=ice-ufrag:another\r\na=ice-pwd:another-password-of-24-bytes\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
)
TRICKLE = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
ROOM = "sb.-.s"


class Running:
    """An engine and its fake deployment."""

    def __init__(self, fake: FakeLiveKit, *, key: LiveKitKey = KEY, max_connections: int = 100) -> None:
        self.fake = fake
        self.facts: list[MediaFact] = []
        self.engine = LiveKitEngine(
            LiveKitSettings(
                url=fake.url,
                key=key,
                server_id="this server",
                video_codecs=(Codec.H264, Codec.VP8),
                max_bitrate_bps=2_000_000,
                max_connections=max_connections,
            )
        )
        self.engine.listen(self.facts.append)

    async def publish(self, connection_id: str = "p", offer: str = offers.CHROMIUM) -> Answer:
        answer = await self.engine.publish(connection_id=connection_id, source_id="s", offer=offer)
        await asyncio.sleep(0)
        return answer

    async def watch(self, connection_id: str = "v", offer: str = VIEWER) -> Answer:
        answer = await self.engine.subscribe(connection_id=connection_id, source_id="s", offer=offer)
        await asyncio.sleep(0)
        return answer

    async def sent(self, connection_id: str, kind: str) -> list[rtc.SignalRequest]:
        """Return what LiveKit has received from a connection of one kind, once there is something."""

        def found() -> list[rtc.SignalRequest]:
            return [each for each in self.fake.received[connection_id] if each.WhichOneof("message") == kind]

        await until(lambda: bool(found()), "the message")
        return found()


@asynccontextmanager
async def running(*, key: LiveKitKey = KEY, max_connections: int = 100) -> AsyncIterator[Running]:
    async with running_fake() as fake:
        started = Running(fake, key=key, max_connections=max_connections)
        try:
            yield started
        finally:
            await started.engine.stop()


async def refusal(call: Awaitable[object]) -> RefusalReason:
    with pytest.raises(MediaRefusedError) as caught:
        await call
    return caught.value.reason


async def test_a_publisher_is_answered_with_the_preferred_codec_first() -> None:
    async with running() as one:
        answer = await one.publish()
        assert (answer.sends_audio, answer.sends_video) == (True, True)
        assert "m=video 9 UDP/TLS/RTP/SAVPF 109 114 96 97\r\n" in answer.sdp
        assert "\r\nb=TIAS:2000000\r\n" in answer.sdp
        assert one.fake.requests == ["CreateRoom", "POST WHIP"]
        assert one.fake.rooms[ROOM].metadata == "this server"


async def test_a_publisher_with_simulcast_goes_by_signalling() -> None:
    async with running() as one:
        answer = await one.publish(offer=offers.CHROMIUM_SIMULCAST)
        assert "a=simulcast:recv q;h;f" in answer.sdp
        assert answer.sdp.count("a=candidate:") == 4, "two in each section"
        assert one.fake.requests == ["CreateRoom"]


async def test_a_viewer_is_answered_once_it_has_subscribed() -> None:
    async with running() as one:
        await one.publish()
        answer = await one.watch()
        assert answer.sdp.count("a=candidate:") == 4
        assert answer.has_layers is False
        requests = [request.WhichOneof("message") for request in one.fake.received["v"]]
        assert requests == ["subscription", "offer"]


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ("no description", RefusalReason.MALFORMED),
        (offers.CHROMIUM.replace("H264", "AV1").replace("VP8", "AV1"), RefusalReason.VIDEO_CODEC),
        (offers.CHROMIUM.replace("opus", "PCMU"), RefusalReason.AUDIO_CODEC),
    ],
)
async def test_offers_are_refused_before_livekit_hears_of_them(offer: str, reason: RefusalReason) -> None:
    async with running() as one:
        assert await refusal(one.publish(offer=offer)) is reason
        assert one.fake.requests == []


async def test_a_viewer_without_the_codec_of_the_source_is_refused() -> None:
    async with running() as one:
        await one.publish()
        assert await refusal(one.watch(offer=VIEWER.replace("H264", "AV1"))) is RefusalReason.VIDEO_CODEC
        assert "v" not in one.fake.received


async def test_there_is_no_viewer_without_a_source() -> None:
    async with running() as one:
        assert await refusal(one.watch()) is RefusalReason.UNKNOWN_SOURCE


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, RefusalReason.MALFORMED),
        (429, RefusalReason.BUSY),
        (503, RefusalReason.ENGINE_LOST),
        (401, RefusalReason.ENGINE_LOST),
    ],
)
async def test_refusals_of_livekit(status: int, reason: RefusalReason) -> None:
    async with running() as one:
        one.fake.whip_status = status
        assert await refusal(one.publish()) is reason
        await until(lambda: ROOM not in one.fake.rooms, "the end of the room")
        assert len(one.engine.rooms) == 0


async def test_more_connections_than_allowed_are_refused() -> None:
    async with running(max_connections=1) as one:
        await one.publish()
        assert await refusal(one.watch()) is RefusalReason.BUSY


async def test_an_engine_without_uplinks_refuses_encoders() -> None:
    async with running() as one:
        opening = one.engine.open_feed(connection_id="e", source_id="s", is_redundant=False)
        assert await refusal(opening) is RefusalReason.BUSY


async def test_candidates_and_restarts_of_a_whip_publisher_are_passed_on() -> None:
    async with running() as one:
        first = (await one.publish()).ice_session
        trickled = await one.engine.patch(connection_id="p", fragment=TRICKLE, ice_session=first)
        assert (trickled.fragment, trickled.ice_session) == (None, first)
        restarted = await one.engine.patch(connection_id="p", fragment=RESTART, ice_session=None)
        assert restarted.ice_session == "restarted"
        assert restarted.fragment is not None
        stale = one.engine.patch(connection_id="p", fragment=TRICKLE, ice_session=first)
        assert await refusal(stale) is RefusalReason.ICE_SESSION_MISMATCH


async def test_a_restart_of_a_viewer_offers_again_with_its_new_credentials() -> None:
    async with running() as one:
        await one.publish()
        first = (await one.watch()).ice_session
        await one.engine.patch(connection_id="v", fragment=TRICKLE, ice_session=first)
        assert "192.0.2.1" in (await one.sent("v", "trickle"))[0].trickle.candidateInit
        restarted = await one.engine.patch(connection_id="v", fragment=RESTART, ice_session="*")
        assert restarted.ice_session != first
        assert restarted.fragment is not None
        assert f"a=ice-ufrag:{restarted.ice_session}\r\n" in restarted.fragment
        offered = (await one.sent("v", "offer"))[-1].offer.sdp
        assert offered.count("a=ice-ufrag:another\r\n") == 2


async def test_a_connection_that_is_closed_leaves_livekit_without_a_fact() -> None:
    async with running() as one:
        await one.publish()
        await one.watch()
        one.engine.close(connection_id="v")
        one.engine.close(connection_id="unknown")
        await until(lambda: (ROOM, "v") not in one.fake.participants, "the removal of the viewer")
        patched = one.engine.patch(connection_id="v", fragment=TRICKLE, ice_session=None)
        assert await refusal(patched) is RefusalReason.UNKNOWN_CONNECTION
        assert one.facts == []


async def test_connections_end_although_the_room_service_has_forgotten_them() -> None:
    """As after the loss of Redis: the room service finds no participants, and the nodes still have them."""
    async with running() as one:
        await one.publish()
        await one.watch()
        one.fake.forgets = True
        for connection_id in ("v", "p"):
            one.engine.close(connection_id=connection_id)
        await until(lambda: not one.fake.participants, "the end of both")


async def test_the_end_of_a_source_deletes_its_room_without_a_fact() -> None:
    async with running() as one:
        await one.publish()
        await one.watch()
        one.engine.end_source(source_id="s")
        await until(lambda: ROOM not in one.fake.rooms, "the end of the room")
        assert (one.facts, len(one.engine.rooms)) == ([], 0)


async def test_what_livekit_ends_is_reported_by_the_websocket() -> None:
    async with running() as one:
        await one.publish()
        await one.watch()
        one.engine.rooms.note_connected("v")
        await one.engine.service.remove_participant(ROOM, "v")
        await until(lambda: len(one.facts) == 2, "two facts")
        assert one.facts == [
            Connected(connection_id="v"),
            Closed(connection_id="v", cause=CloseCause.ENGINE_LOST),
        ]


async def test_a_replaced_publisher_leaves_livekit_with_its_viewers() -> None:
    async with running() as one:
        await one.publish("p")
        one.engine.rooms.note_connected("p")
        await one.watch()
        await one.publish("q")
        one.engine.rooms.note_connected("q")
        await until(lambda: set(one.fake.participants) == {(ROOM, "q")}, "the removals")
        closed = [fact for fact in one.facts if isinstance(fact, Closed)]
        assert [(fact.connection_id, fact.cause) for fact in closed] == [
            ("v", CloseCause.SOURCE_CHANGED),
            ("p", CloseCause.REPLACED),
        ]


async def test_a_lost_websocket_is_opened_again_and_no_end() -> None:
    async with running() as one:
        await one.publish()
        await one.watch()
        one.engine.rooms.note_connected("v")
        await one.fake.drop_socket("v")
        await until(
            lambda: [each.connection_id for each in one.engine.rooms.viewers_without_socket()] == ["v"],
            "the loss of the websocket",
        )
        await until(lambda: not one.engine.rooms.viewers_without_socket(), "another websocket")
        await one.engine.select_layer(connection_id="v", choice=LayerChoice())
        assert one.facts == [Connected(connection_id="v")]


async def test_a_viewer_chooses_what_it_is_sent() -> None:
    async with running() as one:
        await one.publish()
        await one.watch()
        assert await one.engine.layers(connection_id="v") == VideoLayers(section=1)
        await one.engine.select_layer(connection_id="v", choice=LayerChoice(mode=LayerMode.AUDIO_ONLY))
        await until(lambda: len(one.fake.received["v"]) == 4, "the settings")
        settings = [each.track_setting for each in await one.sent("v", "track_setting")]
        assert [each.disabled for each in settings] == [False, True]
        chosen = one.engine.select_layer(connection_id="v", choice=LayerChoice.exactly("q"))
        assert await refusal(chosen) is RefusalReason.UNKNOWN_LAYER
        assert await refusal(one.engine.layers(connection_id="p")) is RefusalReason.UNKNOWN_CONNECTION


async def test_an_end_that_livekit_does_not_hear_is_tried_again() -> None:
    async with running() as one:
        await one.publish()
        one.fake.failures = 1
        one.engine.end_source(source_id="s")
        await until(lambda: ROOM not in one.fake.rooms, "the end of the room")
        assert one.fake.requests.count("DeleteRoom") == 2


async def test_the_start_deletes_what_an_earlier_run_has_left() -> None:
    async with running() as one:
        one.fake.rooms["sb.-.left"] = models.Room(name="sb.-.left", metadata="this server")
        one.fake.rooms["sb.-.other"] = models.Room(name="sb.-.other", metadata="another server")
        one.fake.rooms["somebody's"] = models.Room(name="somebody's", metadata="this server")
        assert await one.engine.start() is None
        assert set(one.fake.rooms) == {"sb.-.other", "somebody's"}
        assert one.engine.describe() == f"LiveKit 1.13.5 at {one.fake.url}"


async def test_a_start_beside_other_nodes_deletes_nothing() -> None:
    async with running() as one:
        one.fake.rooms["sb.111122223333.left"] = models.Room(name="sb.111122223333.left", metadata="this server")
        assert await one.engine.start(ends_former_rooms=False) is None
        assert set(one.fake.rooms) == {"sb.111122223333.left"}


async def test_the_rooms_that_another_node_has_left_are_deleted_for_one_account() -> None:
    async with running() as one:
        left, of_another_account = "sb.111122223333.left", "sb.444455556666.live"
        for name in (left, of_another_account):
            one.fake.rooms[name] = models.Room(name=name, metadata="this server")
        await one.engine.publish(connection_id="p", source_id="111122223333.new", offer=offers.CHROMIUM)
        one.fake.failures = 1
        one.engine.end_former_rooms("111122223333")
        await until(lambda: left not in one.fake.rooms, "the end of the room")
        assert set(one.fake.rooms) == {of_another_account, "sb.111122223333.new"}


async def test_a_key_that_livekit_does_not_know_stops_the_start() -> None:
    async with running(key=LiveKitKey(key="test", secret="another secret that is long enough")) as one:
        with pytest.raises(LiveKitUnusableError, match="refuses the key"):
            await one.engine.start()


async def test_statistics_are_empty() -> None:
    async with running() as one:
        await one.publish()
        assert await one.engine.statistics(["p"]) == ()


def is_empty(one: Running) -> bool:
    """Whether nothing is left, here and in LiveKit."""
    engine = one.engine
    here = (len(engine.rooms), engine.rooms.rooms(), engine.rooms._held, engine._open.pop_all())
    return not any(here) and not engine._offers.in_progress and not one.fake.participants and not engine._tasks._tasks


async def test_a_publisher_that_gives_up_leaves_nothing() -> None:
    async with running() as one:
        one.fake.is_silent = True
        offered = asyncio.create_task(one.publish(offer=offers.CHROMIUM_SIMULCAST))
        await until(lambda: "p" in one.fake.received, "the websocket")
        one.fake.participants[ROOM, "p"] = models.ParticipantInfo(identity="p")
        offered.cancel()
        await asyncio.gather(offered, return_exceptions=True)
        await until(lambda: is_empty(one), "an engine without anything")
        assert ROOM not in one.fake.rooms


async def test_a_whip_publisher_that_gives_up_is_removed_although_livekit_continues_with_its_offer() -> None:
    async with running() as one:
        one.fake.whip_held = asyncio.Event()
        offered = asyncio.create_task(one.publish())
        await until(lambda: one.fake.whip_waiting == 1, "the offer")
        offered.cancel()
        await asyncio.gather(offered, return_exceptions=True)
        assert len(one.engine.rooms) == 0
        one.fake.whip_held.set()
        await until(lambda: is_empty(one), "an engine without anything")
        assert "POST WHIP" in one.fake.requests
        assert ROOM not in one.fake.rooms


async def test_the_end_of_an_offer_does_not_end_the_room_of_a_later_one() -> None:
    async with running() as one:
        one.fake.whip_held = asyncio.Event()
        offered = asyncio.create_task(one.publish())
        await until(lambda: one.fake.whip_waiting == 1, "the offer")
        offered.cancel()
        await asyncio.gather(offered, return_exceptions=True)
        held, one.fake.whip_held = one.fake.whip_held, None
        await one.publish("q")
        held.set()
        await until(lambda: not one.engine._tasks._tasks, "the end of the first offer")
        assert set(one.fake.participants) == {(ROOM, "q")}


async def test_offers_in_an_outage_of_livekit_are_to_be_repeated() -> None:
    async with running() as one:
        one.fake.failures = 1
        with pytest.raises(MediaRefusedError, match="LiveKit makes no rooms at the moment") as caught:
            await one.publish()
        assert caught.value.reason is RefusalReason.BUSY


@pytest.mark.parametrize(
    ("status", "reason"), [(503, RefusalReason.BUSY), (500, RefusalReason.BUSY), (401, RefusalReason.ENGINE_LOST)]
)
async def test_a_viewer_is_refused_by_the_status_of_the_handshake(status: int, reason: RefusalReason) -> None:
    async with running() as one:
        await one.publish()
        one.fake.signal_status = status
        with pytest.raises(MediaRefusedError) as caught:
            await one.watch()
        assert caught.value.reason is reason
        assert status < 500 or "192.0.2.1" not in caught.value.detail


async def test_the_end_of_a_source_refuses_its_offers_at_once() -> None:
    async with running() as one:
        await one.publish()
        one.fake.is_silent = True
        watching = asyncio.create_task(one.watch())
        await until(lambda: "v" in one.fake.received, "the websocket")
        one.engine.end_source(source_id="s")
        async with asyncio.timeout(4):
            assert await refusal(watching) is RefusalReason.ENGINE_LOST
        await until(lambda: is_empty(one), "an engine without anything")


async def test_a_viewer_whose_publisher_is_replaced_is_refused_at_once() -> None:
    async with running() as one:
        await one.publish("p")
        one.engine.rooms.note_connected("p")
        await one.publish("q")
        one.fake.is_silent = True
        watching = asyncio.create_task(one.watch())
        await until(lambda: "v" in one.fake.received, "the websocket")
        one.engine.rooms.note_connected("q")
        async with asyncio.timeout(4):
            assert await refusal(watching) is RefusalReason.ENGINE_LOST
        assert {fact.connection_id for fact in one.facts if isinstance(fact, Closed)} == {"p"}
        assert one.engine.rooms._held.keys() == set()


@pytest.mark.parametrize(
    "sdp", ["", "v=0\r\na=ice-ufrag:" + "z" * 300 + "\r\nm=audio 9 UDP 1\r\n", "a=ice-ufrag:abcd\r\nm=video\r\n"]
)
async def test_an_answer_that_cannot_be_used_leaves_nothing(sdp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.media.livekit.fake_livekit.WHIP_ANSWER", sdp)
    async with running() as one:
        assert await refusal(one.publish()) is RefusalReason.ENGINE_LOST
        await until(lambda: is_empty(one), "an engine without anything")


async def test_many_ends_are_told_a_few_at_a_time() -> None:
    async with running() as one:
        service = one.engine._tasks._service
        at_once = most = 0

        async def remove(name: str, identity: str) -> None:  # noqa: ARG001 - of nobody
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

        service.remove_participant = remove  # type: ignore[method-assign] # counts
        for number in range(1_000):
            one.engine._tasks.remove_participant(ROOM, f"viewer {number}")
        await until(lambda: not one.engine._tasks._tasks, "all ends")
        assert most == MAX_ENDS_AT_ONCE
