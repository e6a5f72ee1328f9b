"""The events websocket in the dialect of the Web Broadcast SDK, with real peers, and the events in the book."""

from tests.clients.events_client import connect_events_client
from tests.clients.sdk_events_client import connect_sdk_events
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle

PUBLISHED = ("JOINED", "PUBLISH_STARTED")
LEFT = ("PUBLISH_STOPPED", "LEFT")


async def test_only_publishers_are_listed_and_viewers_send_nothing(stage: StageHandle, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    async with connect_sdk_events(publisher_token) as publisher:
        assert await publisher.publishers() == []
        await peers.publisher(publisher_token).start()
        assert await publisher.publishers() == [publisher_id]
        async with connect_events_client(viewer_token) as everybody:
            await everybody.wait_until(lambda shown: set(shown) == {publisher_id, viewer_id})
        async with connect_sdk_events(viewer_token) as viewer:
            assert await viewer.publishers() == [publisher_id]
        await stage.expect_events(viewer_id, "JOINED", "LEFT", "JOINED", "LEFT")
        assert await publisher.others_until_pong() == []


async def test_a_mute_state_is_shown_in_both_dialects(stage: StageHandle, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    async with connect_sdk_events(publisher_token) as publisher, connect_events_client(viewer_token) as viewer:
        await publisher.receive()
        await publisher.send("SET_STATE", audioMuted=True, videoStopped=False, version="0")
        await peers.publisher(publisher_token).start()
        (shown,) = (await publisher.receive())["payload"]["participants"]
        assert (shown["id"], shown["audioMuted"], shown["videoStopped"]) == (publisher_id, True, False)
        await viewer.wait_until(lambda shown: shown[publisher_id]["audioMuted"])
        for _ in range(3):
            await publisher.send("SET_STATE", audioMuted=True, videoStopped=False, version="0")
        assert await publisher.others_until_pong() == []
    await stage.expect_events(publisher_id, *PUBLISHED, *LEFT)


async def test_a_publisher_without_video_is_shown_as_one_that_has_stopped_it(stage: StageHandle, peers: Peers) -> None:
    _, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    async with connect_sdk_events(viewer_token) as viewer:
        assert await viewer.publishers() == []
        for video in (None, "sendrecv"):
            await peers.publisher(publisher_token, video=video).start()
            (shown,) = (await viewer.receive())["payload"]["participants"]
            assert (shown["audioMuted"], shown["videoStopped"]) == (False, video is None)


async def test_a_disconnected_participant_is_told_so_before_the_close(stage: StageHandle) -> None:
    participant_id, token = await stage.token()
    async with connect_sdk_events(token) as participant:
        await participant.receive()
        await stage.call("disconnect_participant", participantId=participant_id, reason="be nice")
        assert await participant.receive() == {
            "type": "aws:ivs:DISCONNECT",
            "payload": {"code": "PARTICIPANT_DISCONNECTED", "reason": "be nice"},
        }
        assert await participant.close_code() == 4001


async def test_a_refused_handshake_is_told_why_over_the_websocket(stage: StageHandle) -> None:
    participant_id, token = await stage.token()
    await stage.call("disconnect_participant", participantId=participant_id)
    async with connect_sdk_events(token) as refused:
        message = await refused.receive()
        assert (message["type"], message["payload"]["code"]) == ("aws:ivs:JOIN_ERROR", "PARTICIPANT_DISCONNECTED")
        assert await refused.close_code() == 1008
    async with connect_sdk_events(f"{token[:-8]}AAAAAAAA") as forged:
        assert (await forged.receive())["payload"]["code"] == "TOKEN_INVALID"


async def test_a_second_page_with_the_token_ends_the_first(stage: StageHandle, peers: Peers) -> None:
    participant_id, token = await stage.token()
    async with connect_sdk_events(token) as first, connect_sdk_events(token) as second:
        assert await second.publishers() == []
        while (message := await first.receive())["type"] == "STAGE_STATE":
            pass
        assert message["type"] == "aws:ivs:DISCONNECT"
        assert message["payload"]["code"] == "TOKEN_REUSED"
        assert await first.close_code() == 4004
        await peers.publisher(token).start()
        assert await second.publishers() == [participant_id]
        assert await stage.events(participant_id) == [*PUBLISHED]


async def test_a_client_that_lost_its_websocket_keeps_its_media_and_one_that_closed_it_has_left(
    stage: StageHandle, peers: Peers
) -> None:
    participant_id, token = await stage.token()
    async with connect_sdk_events(token) as lost:
        await lost.receive()
        await peers.publisher(token).start()
        lost.lose()
    async with connect_sdk_events(token) as again:
        assert await again.publishers() == [participant_id]
        assert await stage.events(participant_id) == [*PUBLISHED]
    await stage.expect_events(participant_id, *PUBLISHED, *LEFT)


async def test_a_page_that_is_loaded_again_leaves_and_joins(stage: StageHandle, peers: Peers) -> None:
    participant_id, token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    async with connect_sdk_events(viewer_token) as viewer:
        assert await viewer.publishers() == []
        for again in (False, True):
            async with connect_sdk_events(token) as page:
                assert await page.publishers() == []
                await peers.publisher(token).start()
                assert await viewer.publishers() == [participant_id]
            assert await viewer.publishers() == []
            await stage.expect_events(participant_id, *[*PUBLISHED, *LEFT] * (1 + again))
    await stage.expect_events(viewer_id, "JOINED", "LEFT")
