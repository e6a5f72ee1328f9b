"""Tokens: exchanged, used in two tabs, refused; and a full stage."""

import asyncio
import time
from enum import IntEnum
from pathlib import Path

import pytest
from playwright.async_api import Error

from tests.clients.backend import Backend
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_packages import PACKAGES
from tests.e2e.sdk.sdk_tab import SdkTabs, Seen
from tests.e2e.server import run_server

# exchangeToken exists since 1.33; older versions do not ask for the reason of a refused handshake, and go on trying.
SINCE_EXCHANGES = pytest.mark.parametrize("package", PACKAGES[-2:], ids=lambda package: package.version)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]


class StageErrorCode(IntEnum):
    """Members of the SDK's enumeration of this name."""

    TOKEN_MALFORMED = 1
    TOKEN_EXPIRED = 2
    STAGE_AT_CAPACITY = 6
    TOKEN_NOT_ALLOWED = 8
    STAGE_DELETED = 9
    PARTICIPANT_DISCONNECTED = 10


@pytest.fixture
async def backend(stage: StageHandle) -> Backend:
    """An application backend with an imported key of its own, which signs tokens."""
    return await asyncio.to_thread(Backend, stage.ivs)


@SINCE_EXCHANGES
async def test_an_exchanged_token_allows_publishing(stage: StageHandle, backend: Backend, tabs: SdkTabs) -> None:
    watcher = await tabs.publisher((await stage.token())[1])
    guest = backend.token(stage.arn, "guest", "SUBSCRIBE", user_id="guest")
    host = backend.token(stage.arn, "guest", "SUBSCRIBE", "PUBLISH", user_id="host", attributes={"role": "host"})
    tab = await tabs.viewer(guest)
    await tab.expect_media(watcher.participant_id)
    await tab.run("recorder.stage.exchangeToken(argument)", host)
    await tab.open_devices()
    await tab.publish()
    await watcher.expect_media("guest")
    assert await watcher.info("guest", "userId", "attributes") == ["host", {"role": "host"}]
    started = ("SUBSCRIBE_STARTED", watcher.participant_id)
    await stage.expect_events("guest", "JOINED", started, "TOKEN_EXCHANGED", "PUBLISH_STARTED")


@SINCE_EXCHANGES
async def test_an_exchanged_token_takes_the_right_to_publish(
    stage: StageHandle, backend: Backend, tabs: SdkTabs
) -> None:
    host = backend.token(stage.arn, "host", "SUBSCRIBE", "PUBLISH", user_id="host")
    publisher = await tabs.publisher(host)
    watcher = await tabs.viewer((await stage.token())[1])
    await watcher.expect_media("host")
    await publisher.run("recorder.stage.exchangeToken(argument)", backend.token(stage.arn, "host", "SUBSCRIBE"))
    await watcher.expect((Seen.LEFT, "host"))
    # The SDK ends the publication and asks for the exchange at the same time.
    await watcher.expect((Seen.SUBSCRIBE_STATE, "host", "not_subscribed"))
    events = await stage.events("host")
    assert (events[:2], set(events[2:])) == (["JOINED", "PUBLISH_STARTED"], {"TOKEN_EXCHANGED", "PUBLISH_STOPPED"})


async def test_others_see_changed_attributes(stage: StageHandle, backend: Backend, tabs: SdkTabs) -> None:
    def token(user_id: str) -> str:
        return backend.token(stage.arn, "host", "SUBSCRIBE", "PUBLISH", user_id=user_id)

    publisher = await tabs.publisher(token("before"))
    watcher = await tabs.viewer((await stage.token())[1])
    await watcher.expect_media("host")
    await publisher.run("recorder.stage.exchangeToken(argument)", token("after"))
    await watcher.expect((Seen.METADATA_CHANGED, "host"))
    assert await watcher.info("host", "userId") == ["after"]


@SINCE_EXCHANGES
async def test_a_refused_exchange_ends_the_stage(stage: StageHandle, backend: Backend, tabs: SdkTabs) -> None:
    revoked = await asyncio.to_thread(Backend, stage.ivs)
    token = revoked.token(stage.arn, "guest", "SUBSCRIBE", "PUBLISH")
    stage.ivs.delete_public_key(arn=revoked.key.arn)
    tab = await tabs.viewer(backend.token(stage.arn, "guest", "SUBSCRIBE"))
    with pytest.raises(Error):
        await tab.run("recorder.stage.exchangeToken(argument)", token)
    await tab.expect((Seen.STAGE_LEFT, "failed-exchange"))
    await stage.expect_events("guest", "JOINED", "LEFT")


async def test_a_second_tab_with_the_same_token(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    publisher_id = publisher.participant_id
    second = await tabs.publisher(publisher.token)
    await publisher.expect((Seen.STAGE_LEFT, "token-reused"))
    await viewer.expect_media(publisher_id)
    await second.leave()
    events = await stage.events_until_left(publisher_id)
    assert events[:2] == ["JOINED", "PUBLISH_STARTED"]
    assert events[-2:] == ["PUBLISH_STOPPED", "LEFT"]


@SINCE_EXCHANGES
async def test_refused_tokens(stage: StageHandle, tabs: SdkTabs) -> None:
    disconnected_id, disconnected = await stage.token()
    await stage.call("disconnect_participant", participantId=disconnected_id)
    other = StageHandle(stage.server)
    _, of_deleted_stage = await other.token()
    other.ivs.delete_stage(arn=other.arn)
    backend = await asyncio.to_thread(Backend, stage.ivs)
    now_seconds = int(time.time())
    expired = backend.token(stage.arn, "late", "SUBSCRIBE", iat=now_seconds - 120, exp=now_seconds - 60)
    revoked_key = backend.token(stage.arn, "guest", "SUBSCRIBE")
    stage.ivs.delete_public_key(arn=backend.key.arn)
    for token, code in [
        (disconnected, StageErrorCode.PARTICIPANT_DISCONNECTED),
        (of_deleted_stage, StageErrorCode.STAGE_DELETED),
        (expired, StageErrorCode.TOKEN_EXPIRED),
        (revoked_key, StageErrorCode.TOKEN_MALFORMED),
        (f"{revoked_key[:-8]}AAAAAAAA", StageErrorCode.TOKEN_MALFORMED),
    ]:
        assert await refusal(tabs, token) == code
    assert await stage.session_id() is None


async def test_missing_capabilities(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher = await tabs.publisher((await stage.token("PUBLISH"))[1])
    viewer = await tabs.viewer((await stage.token("SUBSCRIBE"))[1])
    # The SDK reads in the token that it must not publish, and does not try to.
    await viewer.open_devices()
    await viewer.change(publishes=True)
    other = await tabs.publisher((await stage.token())[1])
    await viewer.expect_media(other.participant_id)
    await publisher.expect((Seen.JOINED, other.participant_id), (Seen.ERROR, StageErrorCode.TOKEN_NOT_ALLOWED))
    started = {("SUBSCRIBE_STARTED", each.participant_id) for each in (publisher, other)}
    assert {*await stage.events(viewer.participant_id)} == {"JOINED", *started}
    refused = ("SUBSCRIBE_ERROR", f"INSUFFICIENT_CAPABILITIES {other.participant_id}")
    assert await stage.events(publisher.participant_id) == ["JOINED", "PUBLISH_STARTED", refused]


async def test_a_full_stage(tmp_path: Path, tabs: SdkTabs) -> None:
    quotas = "publishers_per_stage=1,subscribers_per_stage=1"
    with run_server(tmp_path / "data", quota_overrides=quotas, session_linger_seconds="60") as server:
        stage = StageHandle(server)
        publisher, _ = await tabs.publisher_and_viewer(stage)
        late = await (await tabs.tab()).publisher((await stage.token())[1])
        await late.join()
        await late.wait_until(
            "recorder.errors.filter((code) => code === argument).length === 2", StageErrorCode.STAGE_AT_CAPACITY
        )
        events = await stage.events(late.participant_id)
        refused = ("SUBSCRIBE_ERROR", f"QUOTA_EXCEEDED {publisher.participant_id}")
        assert (events[0], {*events[1:]}) == ("JOINED", {refused, ("PUBLISH_ERROR", "QUOTA_EXCEEDED")})


async def refusal(tabs: SdkTabs, token: str) -> int:
    """Join with a token. Return the code of the SDK's error when join() is rejected."""
    stage = await (await tabs.tab()).stage(token)
    with pytest.raises(Error):
        await stage.join()
    await stage.wait_until("recorder.errors.length")
    return int(await stage.run("recorder.errors[0]"))
