"""What a participant does on a stage, in Chromium and Firefox."""

import asyncio

import pytest

from tests.clients.backend import Backend
from tests.e2e.client.client_tab import ClientTab, ClientTabs
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

OPEN = "() => made.filter((each) => each.connectionState !== 'closed' && !(each.readyState > 1)).length"


async def publisher_and_viewer(stage: StageHandle, tabs: ClientTabs, **options: object) -> tuple[ClientTab, ClientTab]:
    """Two participants: the first one publishes, and the second one watches it."""
    publisher, viewer = [await tabs.open((await stage.token(userId=name))[1]) for name in ("ann", "bob")]
    await publisher.join()
    await publisher.publish(**options)
    await viewer.join()
    await viewer.wait_for_event("publishstarted", publisher.participant_id)
    await viewer.subscribe(publisher.participant_id)
    await viewer.wait_for_media(publisher.participant_id)
    return publisher, viewer


async def test_others_see_what_is_muted(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    await publisher.run("() => stage.setMuted({ audio: true })")
    await viewer.wait_for_event("mutechanged", publisher.participant_id, ["audioMuted"])
    assert await publisher.run("() => local.getAudioTracks()[0].enabled") is False
    await publisher.run("() => stage.setMuted({ audio: false, video: true })")
    await viewer.wait_for_event("mutechanged", publisher.participant_id, ["videoStopped"])


async def test_tracks_are_replaced_without_a_new_connection(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs, audio=False)
    await publisher.run("() => stage.replaceTrack('video', null)")
    await viewer.wait_for_event("mutechanged", publisher.participant_id, ["audioMuted", "videoStopped"])
    await publisher.run(
        """async () => {
            const video = { width: 320, height: 240 };
            const media = await navigator.mediaDevices.getUserMedia({ audio: true, video });
            for (const track of media.getTracks()) await stage.replaceTrack(track.kind, track);
        }"""
    )
    await viewer.wait_for_event("mutechanged", publisher.participant_id, [])
    await viewer.wait_until("(id) => videos.get(id).videoWidth === 320", publisher.participant_id)
    await viewer.wait_until("(id) => videos.get(id).srcObject.getTracks().length === 2", publisher.participant_id)
    assert await stage.events(publisher.participant_id) == ["JOINED", "PUBLISH_STARTED"]


async def test_sound_alone_is_played_and_subscribed_to(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    await publisher.join()
    await publisher.publish(video=False)
    await viewer.join()
    await viewer.subscribe(publisher.participant_id)
    await viewer.wait_until("(id) => videos.get(id).currentTime > 1", publisher.participant_id)
    await viewer.run("(id) => stage.unsubscribe(id)", publisher.participant_id)
    await viewer.subscribe(publisher.participant_id, video=False)
    assert await viewer.run("() => made.at(-1).getTransceivers().length") == 1


async def test_a_viewer_chooses_a_layer(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    await publisher.join()
    await publisher.run("() => stage.publish(picture(1280, 720), { simulcast: true })")
    await viewer.join()
    await viewer.subscribe(publisher.participant_id)
    size = "([id, width]) => videos.get(id).videoWidth === width"
    await viewer.wait_until("async (id) => (await stage.layers(id)).length === 3", publisher.participant_id)
    await viewer.run("(id) => stage.selectLayer(id, 'low')", publisher.participant_id)
    await viewer.wait_until(size, [publisher.participant_id, 320])
    selected = "async (id) => (await stage.layers(id)).find(({ selected }) => selected)?.encodingId === 'low'"
    await viewer.wait_until(selected, publisher.participant_id)
    await viewer.run("(id) => stage.selectLayer(id, null, 'audioOnly')", publisher.participant_id)
    stopped = "async (id) => (await stage.layers(id)).every(({ selected }) => !selected)"
    await viewer.wait_until(stopped, publisher.participant_id)
    await viewer.run("(id) => stage.selectLayer(id, null)", publisher.participant_id)
    await viewer.wait_until(size, [publisher.participant_id, 1280])


async def test_statistics_of_both_sides(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    complete = """async () => {
        const { publication, subscriptions } = await stats();
        const tracks = publication ?? Object.values(subscriptions)[0];
        const video = tracks.find(({ kind }) => kind === "video");
        return tracks.length === 2 && tracks.every(({ bitrate, codec }) => bitrate > 1000 && codec)
            && video.width === 640 && video.height === 480 && video.frames > 10 && video.framesPerSecond > 1
            && video.lossShare < 0.5 && video.jitterSeconds < 1 && video.rttSeconds < 1;
    }"""
    await publisher.wait_until(complete)
    await viewer.wait_until(complete)


async def test_a_subscription_waits_for_the_publisher(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    await publisher.run("() => stage.unpublish()")
    await viewer.wait_for_event("subscriptionchange", publisher.participant_id, "waiting", None)
    await publisher.publish()
    await viewer.wait_until("(id) => stage.subscriptions.get(id).state === 'connected'", publisher.participant_id)
    await viewer.wait_for_media(publisher.participant_id)
    watched = publisher.participant_id
    started, stopped = ("SUBSCRIBE_STARTED", watched), ("SUBSCRIBE_STOPPED", watched)
    await stage.expect_events(viewer.participant_id, "JOINED", started, stopped, started)


async def test_refusals_have_the_code_of_the_server(stage: StageHandle, tabs: ClientTabs) -> None:
    viewer = await tabs.open((await stage.token("SUBSCRIBE"))[1])
    await viewer.join()
    assert await viewer.error_code("() => stage.subscribe('nobody')") == "PUBLISHER_NOT_FOUND"
    assert await viewer.error_code("() => stage.publish([])") == "INSUFFICIENT_CAPABILITIES"
    assert await viewer.run(OPEN) == 1  # the events websocket


async def test_a_network_that_is_back_restarts_ice(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    for tab in (publisher, viewer):
        user = "made.at(-1).localDescription.sdp.match(/ice-ufrag:(.*)/)[1]"
        before = await tab.run(f"() => {user}")
        await tab.run("() => dispatchEvent(new Event('online'))")
        await tab.wait_until(f"(before) => {user} !== before && made.at(-1).signalingState === 'stable'", before)
        assert await tab.run("() => made.length") == 2  # one websocket, one peer connection
    await viewer.wait_for_media(publisher.participant_id)
    assert await stage.events(publisher.participant_id) == ["JOINED", "PUBLISH_STARTED"]


async def test_a_missed_change_opens_a_new_websocket(stage: StageHandle, tabs: ClientTabs) -> None:
    ann, bob = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    await ann.join()
    await bob.join()
    await ann.wait_for_event("participantjoined", bob.participant_id)
    await ann.run(
        """() => {
            const lists = { joined: [], updated: [], left: [...stage.participants.keys()] };
            const payload = { baseSequenceNumber: 1e9, sequenceNumber: 1e9 + 1, ...lists };
            made[0].onmessage({ data: JSON.stringify({ type: "STAGE_STATE_CHANGE", payload }) });
        }"""
    )
    await ann.wait_for_event("statechange", "reconnecting")
    await ann.wait_until("() => stage.state === 'connected'")
    assert await ann.run("() => [made.length, ...stage.participants.keys()]") == [2, bob.participant_id]


async def test_a_second_tab_takes_the_publication_over(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    second = await tabs.open(publisher.token)
    await second.join()
    await second.publish()
    await publisher.wait_for_event("publicationchange", "closed", "REPLACED")
    await publisher.wait_for_event("error", "REPLACED")
    await viewer.wait_for_media(publisher.participant_id)
    assert await second.run("() => stage.publication.state") == "connected"
    assert await stage.events(publisher.participant_id) == ["JOINED", "PUBLISH_STARTED"]


async def test_disconnected_by_the_api(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    await stage.call("disconnect_participant", participantId=publisher.participant_id, reason="bye")
    await publisher.wait_for_event("disconnected", "PARTICIPANT_DISCONNECTED", "bye")
    await viewer.wait_for_event("participantleft", publisher.participant_id)
    assert await publisher.run(OPEN) == 0
    assert await publisher.error_code("() => stage.publish(local)") == "PARTICIPANT_DISCONNECTED"


async def test_a_deleted_stage(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    await asyncio.to_thread(stage.ivs.delete_stage, arn=stage.arn)
    for tab in (publisher, viewer):
        await tab.wait_for_event("disconnected", "STAGE_DELETED", "STAGE_DELETED")
        assert await tab.run(OPEN) == 0


async def test_a_join_is_refused_with_the_reason(stage: StageHandle, tabs: ClientTabs) -> None:
    participant_id, token = await stage.token()
    await stage.call("disconnect_participant", participantId=participant_id)
    tab = await tabs.open(token)
    assert await tab.error_code("(token) => join(token)", token) == "TOKEN_PARTICIPANT_DISCONNECTED"
    assert await tab.run("() => stage.state") == "closed"
    assert await tab.error_code("() => join('no token')") == "TOKEN_MALFORMED"


async def test_a_closed_tab_leaves_at_once(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await publisher_and_viewer(stage, tabs)
    await publisher.close()
    await viewer.wait_for_event("participantleft", publisher.participant_id)
    await stage.expect_events(publisher.participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_an_exchanged_token(stage: StageHandle, tabs: ClientTabs) -> None:
    backend = await asyncio.to_thread(Backend, stage.ivs)
    _, other_token = await stage.token()
    first = backend.token(stage.arn, "P", "PUBLISH", user_id="ann", attributes={"role": "host"})
    second = backend.token(stage.arn, "P", "SUBSCRIBE", user_id="Ann", attributes={"role": "guest"})
    publisher, viewer = await tabs.open(first), await tabs.open(other_token)
    await viewer.join()
    await publisher.join()
    await publisher.publish()
    await viewer.wait_for_event("publishstarted", "P")
    assert await publisher.error_code("(token) => stage.exchangeToken(token)", other_token) == "TOKEN_NOT_EXCHANGEABLE"
    await publisher.run("(token) => stage.exchangeToken(token)", second)
    await publisher.wait_for_event("publicationchange", "closed", "INSUFFICIENT_CAPABILITIES")
    await viewer.wait_for_event("metadatachanged", "P", "Ann", {"role": "guest"})
    await viewer.wait_for_event("publishstopped", "P")
    assert await publisher.run("() => stage.capabilities") == {"publish": False, "subscribe": True}
    assert await publisher.run("() => stage.self.userId") == "Ann"
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "TOKEN_EXCHANGED", "PUBLISH_STOPPED")


async def test_a_token_that_expires(stage: StageHandle, tabs: ClientTabs) -> None:
    _, token = await stage.token(duration=1)
    tab = await tabs.open(token)
    await tab.join()
    await tab.wait_for_event("tokenexpiring")


async def test_a_refusal_with_retry_after_is_obeyed(stage: StageHandle, tabs: ClientTabs) -> None:
    tab = await tabs.open((await stage.token())[1])
    await tab.join()
    await tab.run(
        """() => {
            const send = fetch;
            globalThis.fetch = async (url, init) => {
                globalThis.fetch = send;
                setTimeout(() => dispatchEvent(new Event("online")), 100);
                globalThis.refusedAt = performance.now();
                const body = JSON.stringify({ code: "TOO_MANY_REQUESTS" });
                return new Response(body, { status: 429, headers: { "Retry-After": "2" } });
            };
        }"""
    )
    await tab.publish()
    assert await tab.run("() => performance.now() - refusedAt") >= 2000
